/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file in which libvirt keeps a saved state: where it is, whether it is whole, how far it is
 * read. libvirt tells none of this; on a connection to another host nothing can be known. Any
 * thread, may block. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/layout.h"

typedef enum SavedImageState {
        SAVED_IMAGE_UNKNOWN, /* not there, not readable or not of a form that we know */
        SAVED_IMAGE_PARTIAL, /* a save that was interrupted */
        SAVED_IMAGE_WHOLE,
} SavedImageState;

/* Whether a start would go on from a saved state: 1, 0 or -1, as virDomainHasManagedSaveImage()
 * says, which only looks for the file when libvirt is started. One that was put there since (by an
 * import) counts as well: libvirt's start looks at the file. */
int saved_image_exists(virDomainPtr domain);

/* Path of the managed save image of the domain if it exists on this host, else NULL. */
char *saved_image_path(virDomainPtr domain);

/* Where a file of a snapshot that is no disk would be, whether it is there or not; NULL where
 * libvirt's directories are out of reach. "kind" is "memory" (as a saved image), "nvram" or "tpm".
 */
char *saved_image_path_of_snapshot(virDomainPtr domain, const char *id, const char *kind);

/* The same of a machine that there is not yet. */
char *saved_image_path_by_id(
                const Layout *layout, const char *uuid, const char *id, const char *kind);

/* All such files of a machine that are there, also half ones: paths, owned. */
GPtrArray *saved_image_files_of_snapshots(virConnectPtr connection, const char *uuid);

/* Reads the header; *ret_running says whether the guest ran when it was saved (only set for a whole
 * image). */
SavedImageState saved_image_inspect(const char *path, bool *ret_running);

/* How much of the image the domain's QEMU has read. False where the kernel does not let us see it.
 */
bool saved_image_progress(
                virDomainPtr domain, const char *path, uint64_t *ret_done, uint64_t *ret_total);
