/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Headers of images are read by ourselves (image/qcow2-header.c) and not by "qemu-img info": that
 * would open whatever the header names, with the rights of the service, before anybody has looked
 * at it. Any thread. */

#include "disk/image.h"

#include <errno.h>
#include <unistd.h>

#include "disk/image-file.h"
#include "image/qcow2-header.h"
#include "util/error.h"
#include "util/fd.h"

#define CHAIN_MAX 256

static bool refused(const char *path, const char *text, GError **error) {
        return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error, "The image '%s' %s", path, text);
}

/* A relative name belongs to the directory of the name under which the image was opened, as QEMU
 * has it. */
static char *resolve(const char *path, const char *backing) {
        g_autofree char *directory = NULL;

        if (!backing || g_path_is_absolute(backing))
                return g_strdup(backing);
        directory = g_path_get_dirname(path);
        return g_build_filename(directory, backing, NULL);
}

static bool read_qcow2(int fd, ImageInfo *info, GError **error) {
        g_auto(Qcow2Header) header = {0};

        if (!qcow2_header_read(fd, info->path, &header, error))
                return false;
        info->backing = resolve(info->path, header.backing);
        info->backing_format = g_steal_pointer(&header.backing_format);
        info->virtual_size = header.virtual_size;
        info->encrypted = header.encrypted;
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
