/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What of a file is data and what is holes, which are read as zeros and take no place. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Extent {
        uint64_t begin, end;
} Extent;

typedef struct ExtentList {
        GArray *data;         /* of Extent, in order, none empty and none next to another */
        uint64_t size;        /* of the file */
        uint64_t data_length; /* the sum of all */
} ExtentList;

/* Of a regular file. "errno" is set on failure, and *ret is empty. The file position is lost. Where
 * the file system knows no holes, all is data. */
bool extent_list_read(int fd, ExtentList *ret);

/* The first data in a part of the file, cut to it. false: there is none. */
bool extent_list_find(const ExtentList *list, uint64_t begin, uint64_t end, Extent *ret);
void extent_list_clear(ExtentList *list);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ExtentList, extent_list_clear)
