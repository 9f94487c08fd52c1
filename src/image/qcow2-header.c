/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All of a qcow2 header that matters is in the first cluster (QEMU's docs/interop/qcow2.txt):
 *
 *     0       72            104         header_length
 *     | version 2 | version 3 | ... | extension, extension, ..., end | backing file name |
 *
 * The header is foreign data: an offset counts only if what it leads to is in the bytes that were
 * read. Any thread. */

#include "image/qcow2-header.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"

#define MAGIC                    0x514649FBU /* "QFI\xFB" */
#define HEADER_LENGTH_2          72
#define HEADER_LENGTH_3          104
#define CLUSTER_BITS_MIN         9
#define CLUSTER_BITS_MAX         21
#define BACKING_LENGTH_MAX       1023
#define FORMAT_LENGTH_MAX        15
#define EXTENSION_END            0
#define EXTENSION_BACKING_FORMAT 0xE2792ACAU

/* Bits of the incompatible features. Dirty and corrupt images have a header all the same. */
#define FEATURE_DIRTY       (UINT64_C(1) << 0)
#define FEATURE_CORRUPT     (UINT64_C(1) << 1)
#define FEATURE_DATA_FILE   (UINT64_C(1) << 2)
#define FEATURE_COMPRESSION (UINT64_C(1) << 3)
#define FEATURE_EXTENDED_L2 (UINT64_C(1) << 4)
#define FEATURES_KNOWN      (FEATURE_DIRTY | FEATURE_CORRUPT | FEATURE_COMPRESSION | FEATURE_EXTENDED_L2)

/* The beginning of a qcow2 file. */
typedef struct Header {
        const char *path; /* for errors */
        uint8_t *data;
        size_t size;
        uint32_t version, length;
        uint64_t cluster_size;
        uint64_t backing_offset; /* 0: none */
        uint32_t backing_length;
} Header;

static void header_clear(Header *header) {
        g_free(header->data);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Header, header_clear)

static bool invalid(const Header *header, const char *text, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                        "The image '%s' is not a valid qcow2 file: %s", header->path, text);
        return false;
}

static bool refused(const char *path, const char *text, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED, "The image '%s' %s", path,
                        text);
        return false;
}

static uint32_t number32(const Header *header, size_t offset) {
        uint32_t number;

        memcpy(&number, header->data + offset, sizeof(number));
        return GUINT32_FROM_BE(number);
}

static uint64_t number64(const Header *header, size_t offset) {
        uint64_t number;

        memcpy(&number, header->data + offset, sizeof(number));
        return GUINT64_FROM_BE(number);
}

/* Reads the first "size" bytes, or what there is of them. */
static bool read_beginning(int fd, Header *header, size_t size, GError **error) {
        g_free(header->data);
        header->data = g_malloc(size);
        header->size = 0;
        while (header->size < size) {
                ssize_t n = pread(fd, header->data + header->size, size - header->size,
                                (off_t) header->size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_fail(error_of_errno(errno), error,
                                        "Failed to read the image '%s': %s", header->path,
                                        g_strerror(errno));
                if (n == 0)
                        break;
                header->size += (size_t) n;
        }
        return true;
}

static bool check_beginning(Header *header, GError **error) {
        uint32_t cluster_bits;

        if (header->size < HEADER_LENGTH_2)
                return invalid(header, "it is too short", error);
        if (number32(header, 0) != MAGIC)
                return invalid(header, "it does not begin as one", error);
        header->version = number32(header, 4);
        if (header->version != 2 && header->version != 3)
                return refused(header->path, "has an unknown version of qcow2", error);
        cluster_bits = number32(header, 20);
        if (cluster_bits < CLUSTER_BITS_MIN || cluster_bits > CLUSTER_BITS_MAX)
                return invalid(header, "its cluster size is impossible", error);
        header->cluster_size = UINT64_C(1) << cluster_bits;
        if (number64(header, 24) > INT64_MAX)
                return invalid(header, "its virtual size is impossible", error);
        return true;
}

static bool check_features(const Header *header, GError **error) {
        uint64_t features = number64(header, 72);

        if (features & FEATURE_DATA_FILE)
                return refused(header->path, "keeps its data in an external file", error);
        if (features & ~FEATURES_KNOWN)
                return refused(header->path, "needs a feature that is not known", error);
        return true;
}

static bool check_length(Header *header, GError **error) {
        header->length = HEADER_LENGTH_2;
        if (header->version == 2)
                return true;
        if (header->size < HEADER_LENGTH_3)
                return invalid(header, "it is too short", error);
        if (!check_features(header, error))
                return false;
        header->length = number32(header, 100);
        if (header->length < HEADER_LENGTH_3 || header->length > header->cluster_size ||
                        header->length > header->size)
                return invalid(header, "the length of its header is impossible", error);
        return true;
}

/* QEMU wants the name in the first cluster, behind the header. */
static bool check_backing(Header *header, GError **error) {
        header->backing_offset = number64(header, 8);
        header->backing_length = number32(header, 16);
        if (header->backing_offset == 0)
                return true;
        if (header->backing_length > BACKING_LENGTH_MAX)
                return invalid(header, "the name of its backing file is too long", error);
        if (header->backing_offset < header->length || header->backing_offset > header->size ||
                        header->backing_length > header->size - header->backing_offset)
                return invalid(header, "the name of its backing file is out of place", error);
        return true;
}

/* Two readings, because the length of the second follows from the first; what is checked and used
 * is the second. */
static bool header_read(int fd, Header *header, GError **error) {
        return read_beginning(fd, header, HEADER_LENGTH_2, error) &&
               check_beginning(header, error) &&
               read_beginning(fd, header, header->cluster_size, error) &&
               check_beginning(header, error) && check_length(header, error) &&
               check_backing(header, error);
}

static bool is_format_name(const char *text, size_t length) {
        if (length == 0 || length > FORMAT_LENGTH_MAX)
                return false;
        for (size_t i = 0; i < length; i++)
                if (!g_ascii_isalnum(text[i]) && text[i] != '-' && text[i] != '_')
                        return false;
        return true;
}

/* NULL in *ret if the header does not say. */
static bool read_backing_format(const Header *header, char **ret, GError **error) {
        size_t end = header->backing_offset ?: MIN(header->cluster_size, header->size);
        size_t offset = header->length;
        g_autofree char *format = NULL;

        while (end - offset >= 8) {
                uint32_t type = number32(header, offset);
                uint32_t length = number32(header, offset + 4);
                const char *data = (const char *) header->data + offset + 8;

                offset += 8;
                if (type == EXTENSION_END)
                        break;
                if (length > end - offset)
                        return invalid(header, "an extension of its header is too long", error);
                if (type == EXTENSION_BACKING_FORMAT) {
                        if (!is_format_name(data, length))
                                return invalid(header,
                                                "the format of its backing file is impossible",
                                                error);
                        g_free(format);
                        format = g_strndup(data, length);
                }
                offset += MIN((length + UINT64_C(7)) & ~UINT64_C(7), end - offset);
        }
        *ret = g_steal_pointer(&format);
        return true;
}

static bool is_clean_text(const char *text, size_t length) {
        if (!g_utf8_validate(text, (gssize) length, NULL)) /* refuses NUL bytes, too */
                return false;
        for (size_t i = 0; i < length; i++)
                if (g_ascii_iscntrl(text[i]))
                        return false;
        return true;
}

/* A colon before the first slash makes QEMU take what stands before it for a protocol. */
static bool read_backing(const Header *header, char **ret, GError **error) {
        const char *data = (const char *) header->data + header->backing_offset;

        if (header->backing_offset == 0 || header->backing_length == 0)
                return true;
        if (!is_clean_text(data, header->backing_length))
                return invalid(header, "the name of its backing file is no text", error);
        *ret = g_strndup(data, header->backing_length);
        if ((*ret)[strcspn(*ret, ":/")] != ':')
                return true;
        return refused(header->path, "has a backing file that is not a plain file", error);
}

bool qcow2_header_read(int fd, const char *path, Qcow2Header *ret, GError **error) {
        g_auto(Header) header = {.path = path};
        g_autofree char *format = NULL, *backing = NULL;

        if (!header_read(fd, &header, error) || !read_backing_format(&header, &format, error) ||
                        !read_backing(&header, &backing, error))
                return false;
        *ret = (Qcow2Header){
                        .virtual_size = number64(&header, 24),
                        .snapshots = number32(&header, 60),
                        .encrypted = number32(&header, 32) != 0,
        };
        if (backing)
                ret->backing_format = g_steal_pointer(&format);
        ret->backing = g_steal_pointer(&backing);
        return true;
}

void qcow2_header_clear(Qcow2Header *header) {
        g_free(header->backing);
        g_free(header->backing_format);
}
