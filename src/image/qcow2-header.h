/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the header of a qcow2 image says. Any thread, may block. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Qcow2Header {
        uint64_t virtual_size;
        uint32_t snapshots;   /* inside the image */
        char *backing;        /* as it stands there, perhaps a relative name; NULL: none */
        char *backing_format; /* NULL: no backing file, or it does not say */
        bool encrypted;
} Qcow2Header;

/* "path" is for errors. Refused (NOT_SUPPORTED) are external data files, features that are not
 * known, and backing files that are no plain files ("json:", "nbd:"); FAILED for what
 * is no qcow2 image. */
bool qcow2_header_read(int fd, const char *path, Qcow2Header *ret, GError **error);
void qcow2_header_clear(Qcow2Header *header);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Header, qcow2_header_clear)
