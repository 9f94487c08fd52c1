/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Blocks of a tar archive (POSIX.1-1988 "ustar"), as far as packages have them: a file each. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define TAR_BLOCK       512U
#define TAR_NAME_LENGTH 100U

typedef struct TarHeader {
        char name[TAR_NAME_LENGTH + 1];
        uint64_t size;
        char type;        /* '0' for a regular file, whatever the archive says for one */
        bool is_prefixed; /* its name goes on in another field: it lies in a directory */
} TarHeader;

/* "name" has at most TAR_NAME_LENGTH bytes. A size of 8 GiB or more is written as GNU tar does,
 * which ustar has no room for. */
void tar_header_write(unsigned char *block, const char *name, uint64_t size, uint64_t mtime);

/* INVALID_BUNDLE if it is no header, or a number in it none. */
bool tar_header_read(const unsigned char *block, TarHeader *ret, GError **error);

/* Whether it is one of the two that end an archive. */
bool tar_block_is_zero(const unsigned char *block);
