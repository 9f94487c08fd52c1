/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images, each with all that it rests on, as their guest would see them: served by
 * qemu-storage-daemon over NBD to whom we hand a connection. That way a program with fewer rights
 * than ours can read a chain of images whose files it can not open, or fill one, and no more of it
 * than a guest could. Worker. */

#include <glib.h>
#include <stdbool.h>

typedef struct ImageServer ImageServer;

typedef struct ServedImage {
        const char *name; /* of the NBD export */
        const char *path, *format;
        bool writable;
} ServedImage;

/* While it serves, QEMU can not open the images for writing. FAILED if it can't be started; what
 * else goes wrong shows on the connections. */
ImageServer *image_server_start(const ServedImage *images, size_t n, GError **error);

/* A descriptor; each connection is good for one image. -1 and FAILED. */
int image_server_connect(ImageServer *server, GError **error);

/* True if what was written is in the files then; it need not be on the disk. Accepts NULL, which
 * has nothing to write. */
bool image_server_stop(ImageServer *server);
