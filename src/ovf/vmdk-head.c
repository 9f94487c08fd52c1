/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What QEMU 7.2 makes of it (block/vmdk.c): a file without the magic is a text that names files;
 * one with a capacity of 0 holds such a text; and whatever stands behind "parentFileNameHint" in
 * its first blocks is opened as the image below. */

#include "ovf/vmdk-head.h"

#include <stdbool.h>
#include <string.h>

#include "util/error.h"
#include "util/io.h"

#define SECTOR          512U
#define HEAD_LENGTH     (UINT64_C(64) << 10) /* more than QEMU looks through for the hint */
#define CAPACITY_OFFSET 12U
#define SLACK           (UINT64_C(1) << 20)

static GBytes *fail(const char *what, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "A disk of the package %s",
                        what);
        return NULL;
}

static uint64_t little_endian(const unsigned char *bytes) {
        uint64_t value = 0;

        for (unsigned i = 8; i-- > 0;)
                value = value << 8 | bytes[i];
        return value;
}

static bool has_text(const unsigned char *head, size_t length, const char *text) {
        return memmem(head, length, text, strlen(text)) != NULL;
}

GBytes *vmdk_read_head(int fd, uint64_t offset, uint64_t size, uint64_t *capacity, GError **error) {
        g_autofree unsigned char *head = g_malloc(HEAD_LENGTH);
        size_t length = MIN(size, HEAD_LENGTH);
        uint64_t sectors;

        if (length < SECTOR || !io_read(fd, head, length, offset))
                return fail("can not be read", error);
        if (memcmp(head, "KDMV", 4) != 0)
                return fail("is no VMDK that holds its own data", error);
        sectors = little_endian(head + CAPACITY_OFFSET);
        if (sectors == 0)
                return fail("names other files", error);
        if (sectors > (*capacity + SLACK) / SECTOR)
                return fail("is larger than the package says", error);
        if (has_text(head, length, "parentFileNameHint"))
                return fail("rests on another image", error);
        *capacity = sectors * SECTOR;
        return g_bytes_new_take(g_steal_pointer(&head), length);
}
