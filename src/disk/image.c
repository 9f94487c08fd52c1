/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Headers of images are read here and not by "qemu-img info": that would open whatever the header
 * names, with the rights of the service, before anybody has looked at it. All of a qcow2 header
 * that matters is in the first cluster (QEMU's docs/interop/qcow2.txt):
 *
 *     0       72            104         header_length
 *     | version 2 | version 3 | ... | extension, extension, ..., end | backing file name |
 *
 * The header is foreign data: an offset counts only if what it leads to is in the bytes that were
 * read. Any thread. */

#include "disk/image.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "disk/image-file.h"
#include "util/error.h"
#include "util/fd.h"

#define CHAIN_MAX 256

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
                        return image_file_fail(errno, "read the image", header->path, error);
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

/* A colon before the first slash makes QEMU take what stands before it for a protocol. A relative
 * name belongs to the directory of the name under which the image was opened, as QEMU has it. */
static bool read_backing(const Header *header, char **ret, GError **error) {
        const char *data = (const char *) header->data + header->backing_offset;
        g_autofree char *name = NULL, *directory = NULL;

        if (header->backing_offset == 0 || header->backing_length == 0)
                return true;
        if (!is_clean_text(data, header->backing_length))
                return invalid(header, "the name of its backing file is no text", error);
        name = g_strndup(data, header->backing_length);
        if (name[strcspn(name, ":/")] == ':')
                return refused(header->path, "has a backing file that is not a plain file", error);
        if (!g_path_is_absolute(name)) {
                directory = g_path_get_dirname(header->path);
                *ret = g_build_filename(directory, name, NULL);
        } else
                *ret = g_steal_pointer(&name);
        return true;
}

static bool read_qcow2(int fd, ImageInfo *info, GError **error) {
        g_auto(Header) header = {.path = info->path};
        g_autofree char *format = NULL;

        if (!header_read(fd, &header, error) || !read_backing_format(&header, &format, error) ||
                        !read_backing(&header, &info->backing, error))
                return false;
        if (info->backing)
                info->backing_format = g_steal_pointer(&format);
        info->virtual_size = number64(&header, 24);
        info->encrypted = number32(&header, 32) != 0;
        return true;
}

static bool read_raw(int fd, ImageInfo *info, GError **error) {
        off_t end = lseek(fd, 0, SEEK_END); /* st_size of a device is 0 */

        if (end < 0)
                return image_file_fail(errno, "find the size of", info->path, error);
        info->virtual_size = (uint64_t) end;
        return true;
}

/* The file, and who it is. */
static ImageInfo *read_info(
                const char *path, const char *format, struct stat *ret, GError **error) {
        bool raw = g_str_equal(format, "raw");
        g_autoptr(ImageInfo) info = NULL;
        auto_fd fd = -1;

        if (!raw && !g_str_equal(format, "qcow2")) {
                refused(path, "has a format that is not supported", error);
                return NULL;
        }
        fd = image_file_open(path, raw, ret, error);
        if (fd < 0)
                return NULL;
        info = g_new0(ImageInfo, 1);
        info->path = g_strdup(path);
        info->format = g_strdup(format);
        if (!(raw ? read_raw(fd, info, error) : read_qcow2(fd, info, error)))
                return NULL;
        info->actual_size = S_ISBLK(ret->st_mode) ? info->virtual_size
                                                  : (uint64_t) ret->st_blocks * 512;
        return g_steal_pointer(&info);
}

ImageInfo *image_info_read(const char *path, const char *format, GError **error) {
        struct stat st;

        return read_info(path, format, &st, error);
}

void image_info_free(ImageInfo *info) {
        if (!info)
                return;
        g_free(info->path);
        g_free(info->format);
        g_free(info->backing);
        g_free(info->backing_format);
        g_free(info);
}

static bool is_known(GArray *files, const struct stat *st) {
        for (guint i = 0; i < files->len; i++) {
                const struct stat *known = &g_array_index(files, struct stat, i);

                if (known->st_dev == st->st_dev && known->st_ino == st->st_ino)
                        return true;
        }
        return false;
}

/* Adds the image at the end of the chain. */
static bool extend_chain(GPtrArray *chain,
                GArray *files,
                const char *path,
                const char *format,
                GError **error) {
        struct stat st;
        g_autoptr(ImageInfo) info = read_info(path, format, &st, error);

        if (!info)
                return false;
        if (is_known(files, &st))
                return refused(path, "rests on itself", error);
        if (chain->len >= CHAIN_MAX)
                return refused(path, "is too deep in a chain of images", error);
        if (info->backing && !info->backing_format)
                return refused(path, "does not say the format of its backing file", error);
        g_array_append_val(files, st);
        g_ptr_array_add(chain, g_steal_pointer(&info));
        return true;
}

GPtrArray *image_chain_read_part(const char *path, const char *format, GError **ret_problem) {
        GPtrArray *chain = g_ptr_array_new_with_free_func((GDestroyNotify) image_info_free);
        g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(struct stat));

        while (path && extend_chain(chain, files, path, format, ret_problem)) {
                const ImageInfo *last = g_ptr_array_index(chain, chain->len - 1);

                path = last->backing;
                format = last->backing_format;
        }
        return chain;
}

GPtrArray *image_chain_read(const char *path, const char *format, GError **error) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(GPtrArray) chain = image_chain_read_part(path, format, &problem);

        if (!problem)
                return g_steal_pointer(&chain);
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
}
