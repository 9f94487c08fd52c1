/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bundle/extents.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static void add(ExtentList *list, uint64_t begin, uint64_t end) {
        Extent extent = {begin, end};
        Extent *last = list->data->len > 0 ? &g_array_index(list->data, Extent, list->data->len - 1)
                                           : NULL;

        if (last && last->end == begin)
                last->end = end;
        else
                g_array_append_val(list->data, extent);
        list->data_length += end - begin;
}

bool extent_list_read(int fd, ExtentList *ret) {
        struct stat st;
        off_t begin = 0, end;

        *ret = (ExtentList){.data = g_array_new(FALSE, FALSE, sizeof(Extent))};
        if (fstat(fd, &st) < 0)
                return false;
        if (!S_ISREG(st.st_mode)) { /* a device has a size, but does not tell it here */
                errno = EINVAL;
                return false;
        }
        ret->size = (uint64_t) st.st_size;
        while (begin < st.st_size) {
                begin = lseek(fd, begin, SEEK_DATA);
                if (begin < 0 && errno == ENXIO) /* the rest is a hole */
                        break;
                if (begin < 0)
                        return false;
                end = lseek(fd, begin, SEEK_HOLE);
                if (end < 0)
                        return false;
                /* It may grow under our hands, and what was not there at first is not wanted. */
                if (begin >= st.st_size)
                        break;
                end = MIN(end, st.st_size);
                add(ret, (uint64_t) begin, (uint64_t) end);
                begin = end;
        }
        return true;
}

/* The number of those that end at or before "offset". */
static unsigned count_before(const GArray *extents, uint64_t offset) {
        unsigned low = 0, high = extents->len;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;

                if (g_array_index(extents, Extent, middle).end <= offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

bool extent_list_find(const ExtentList *list, uint64_t begin, uint64_t end, Extent *ret) {
        unsigned next = count_before(list->data, begin);
        const Extent *extent;

        if (next >= list->data->len)
                return false;
        extent = &g_array_index(list->data, Extent, next);
        if (begin >= end || extent->begin >= end)
                return false;
        *ret = (Extent){MAX(extent->begin, begin), MIN(extent->end, end)};
        return true;
}

void extent_list_clear(ExtentList *list) {
        if (list->data)
                (void) g_array_unref(list->data);
        *list = (ExtentList){0};
}
