/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The beginning of a VMDK that somebody made whom we do not trust. */

#include <glib.h>
#include <stdint.h>

/* Its first bytes, all those by which QEMU decides which files it opens; NULL with INVALID_BUNDLE
 * unless it is an image in itself, of at most this capacity (in bytes; 1 MiB more for those who
 * round), which becomes its own: a VMDK can also be a list of other files, or rest on one, and QEMU
 * would open these. It lies at "offset" of the file and has "size" bytes.
 *
 * Whoever may write to the file can have changed it by the time that somebody else reads it. */
GBytes *vmdk_read_head(int fd, uint64_t offset, uint64_t size, uint64_t *capacity, GError **error);
