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

static bool fail(VirtaskError code, const char *text, GError **error) {
        g_set_error_literal(error, VIRTASK_ERROR, (int) code, text);
        return false;
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
                return fail(VIRTASK_ERROR_FAILED, "An image is not qcow2", error);
        end = MIN(length, UINT64_C(1) << bits);
        if (offset < HEADER_LENGTH - 32 || offset >= end || name_length > NAME_MAX_LENGTH ||
                        name_length > end - offset)
                return fail(VIRTASK_ERROR_FAILED, "An image has no backing file in its header",
                                error);
        *ret_offset = offset;
        *ret_room = name_length;
        while (offset + *ret_room < end && head[offset + *ret_room] == 0)
                (*ret_room)++;
        return true;
}

static bool put_name(unsigned char *head, size_t length, const char *backing, GError **error) {
        uint64_t offset, room;
        size_t new_length = strlen(backing);
        uint32_t old_length = read_32(head + NAME_LENGTH);

        if (!find_room(head, length, &offset, &room, error))
                return false;
        if (new_length > MIN(room, NAME_MAX_LENGTH))
                return fail(VIRTASK_ERROR_NOT_SUPPORTED,
                                "The header of an image has no room for another backing file",
                                error);
        memset(head + offset, 0, old_length);
        memcpy(head + offset, backing, new_length);
        write_32(head + NAME_LENGTH, (uint32_t) new_length);
        return true;
}

GBytes *qcow2_head_with_backing(int fd, const char *backing, GError **error) {
        g_autofree unsigned char *head = g_malloc0(QCOW2_HEAD_MAX);
        ssize_t n = pread(fd, head, QCOW2_HEAD_MAX, 0);

        if (n < (ssize_t) HEADER_LENGTH)
                return fail(VIRTASK_ERROR_FAILED,
                                       n < 0 ? g_strerror(errno) : "An image is too short", error),
                       NULL;
        if (!put_name(head, (size_t) n, backing, error))
                return NULL;
        return g_bytes_new_take(g_steal_pointer(&head), (size_t) n);
}
