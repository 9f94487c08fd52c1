/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* docs/interop/qcow2.txt of QEMU: all numbers are big-endian, the name of the backing file has no
 * end mark and lies in the first cluster, behind the header and its extensions. */

#include "bundle/qcow2-head.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"

#define MAGIC            0x514649FBU /* "QFI\xfb" */
#define NAME_OFFSET      8U
#define NAME_LENGTH      16U
#define CLUSTER_BITS     20U
#define HEADER_LENGTH    104U
#define VERSION          4U
#define LENGTH           100U /* where version 3 has the length of the header */
#define LENGTH_2         72U  /* of version 2 */
#define EXTENSION_FORMAT 0xE2792ACAU
#define EXTENSION_ALIGN  8U
#define NAME_MAX_LENGTH  1023U
#define CLUSTER_BITS_MIN 9U
#define CLUSTER_BITS_MAX 21U

static uint32_t read_32(const unsigned char *p) {
        return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static uint64_t read_64(const unsigned char *p) {
        return (uint64_t) read_32(p) << 32 | read_32(p + 4);
}

static void write_32(unsigned char *p, uint32_t value) {
        for (int i = 3; i >= 0; i--, value >>= 8)
                p[i] = (unsigned char) value;
}

/* The place of the name, and how long it may get: what follows in the cluster is zeros. */
static bool find_room(const unsigned char *head,
                size_t length,
                uint64_t *ret_offset,
                uint64_t *ret_room,
                GError **error) {
        uint32_t bits = read_32(head + CLUSTER_BITS), name_length = read_32(head + NAME_LENGTH);
        uint64_t offset = read_64(head + NAME_OFFSET), end;

        if (read_32(head) != MAGIC || bits < CLUSTER_BITS_MIN || bits > CLUSTER_BITS_MAX)
                return error_fail(VIRTASK_ERROR_FAILED, error, "An image is not qcow2");
        end = MIN(length, UINT64_C(1) << bits);
        if (offset < HEADER_LENGTH - 32 || offset >= end || name_length > NAME_MAX_LENGTH ||
                        name_length > end - offset)
                return error_fail(VIRTASK_ERROR_FAILED, error,
                                "An image has no backing file in its header");
        *ret_offset = offset;
        *ret_room = name_length;
        while (offset + *ret_room < end && head[offset + *ret_room] == 0)
                (*ret_room)++;
        return true;
}

static bool put_name(unsigned char *head, size_t length, const char *backing, GError **error) {
        uint64_t offset = 0, room = 0;
        size_t new_length = strlen(backing);
        uint32_t old_length = read_32(head + NAME_LENGTH);

        if (!find_room(head, length, &offset, &room, error))
                return false;
        if (new_length > MIN(room, NAME_MAX_LENGTH))
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                "The header of an image has no room for another backing file");
        memset(head + offset, 0, old_length);
        memcpy(head + offset, backing, new_length);
        write_32(head + NAME_LENGTH, (uint32_t) new_length);
        return true;
}

/* The format's extension; 0: none. Extensions end where the name of the backing file begins. */
static size_t find_format(const unsigned char *head, size_t length) {
        uint64_t end = MIN(length, read_64(head + NAME_OFFSET));
        uint64_t offset = read_32(head + VERSION) == 2 ? LENGTH_2 : read_32(head + LENGTH);

        while (offset + EXTENSION_ALIGN < end) {
                uint32_t type = read_32(head + offset), size = read_32(head + offset + 4);

                if (type == 0 || size > end - offset - EXTENSION_ALIGN)
                        return 0;
                if (type == EXTENSION_FORMAT)
                        return offset;
                offset += EXTENSION_ALIGN +
                          (size + UINT64_C(7)) / EXTENSION_ALIGN * EXTENSION_ALIGN;
        }
        return 0;
}

/* "raw" and "qcow2" take the same room. */
static bool put_format(unsigned char *head, size_t length, const char *format, GError **error) {
        size_t offset = find_format(head, length), size = strlen(format);
        uint32_t old = offset ? read_32(head + offset + 4) : 0;

        if (old == 0 || old > EXTENSION_ALIGN || size > EXTENSION_ALIGN ||
                        offset + 2 * EXTENSION_ALIGN > length)
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                "The header of an image has no room for another format of its "
                                "backing file");
        memset(head + offset + EXTENSION_ALIGN, 0, EXTENSION_ALIGN);
        memcpy(head + offset + EXTENSION_ALIGN, format, size);
        write_32(head + offset + 4, (uint32_t) size);
        return true;
}

static GBytes *change_head(int fd, const char *backing, const char *format, GError **error) {
        g_autofree unsigned char *head = g_malloc0(QCOW2_HEAD_MAX);
        ssize_t n = pread(fd, head, QCOW2_HEAD_MAX, 0);

        if (n < (ssize_t) HEADER_LENGTH)
                return error_fail(VIRTASK_ERROR_FAILED, error, "%s",
                                       n < 0 ? g_strerror(errno) : "An image is too short"),
                       NULL;
        if (!put_name(head, (size_t) n, backing, error) ||
                        (format && !put_format(head, (size_t) n, format, error)))
                return NULL;
        return g_bytes_new_take(g_steal_pointer(&head), (size_t) n);
}

GBytes *qcow2_head_with_backing(int fd, const char *backing, GError **error) {
        return change_head(fd, backing, NULL, error);
}

GBytes *qcow2_head_with_base(int fd, const char *backing, const char *format, GError **error) {
        return change_head(fd, backing, format, error);
}
