/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Hashes the pieces of a file, several at once, while the file still comes in. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "bundle/extents.h"

typedef struct FileHash FileHash;

/* Begins, on threads of its own: none of the file is read before file_hash_allow(). "fd" is read at
 * offsets; what "data" has not is taken for zeros. "pieces" (of Extent) are in order. All of them
 * stay with the caller, to file_hash_end(). */
FileHash *file_hash_new(int fd, const ExtentList *data, const GArray *pieces);

/* What lies before "end" can be read, "length" bytes of data more than at the last call. Waits
 * while there is a lot that is not hashed yet, so that it is hashed while it is in memory; false if
 * that failed. */
bool file_hash_allow(FileHash *hash, uint64_t end, uint64_t length);

/* Waits a moment for the rest, of which all can be read: true when there is none, or it failed. */
bool file_hash_wait(FileHash *hash, gint64 usec);

/* Ends when all is hashed, or at once if "all" is false or it failed. The digests of the pieces, as
 * text; NULL and "errno" (ESTALE: the file is shorter) if there is one without. */
GPtrArray *file_hash_end(FileHash *hash, bool all);
