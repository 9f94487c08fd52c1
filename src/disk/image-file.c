/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The names come from definitions and from the headers of images. They are opened with the rights
 * of the service, so what they lead to is looked at before it is opened. Any thread. */

#include "disk/image-file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fd.h"

bool image_file_fail(int reason, const char *verb, const char *path, GError **error) {
        return error_fail(reason == ENOENT ? VIRTASK_ERROR_FILE_NOT_FOUND : error_of_errno(reason),
                        error, "Failed to %s '%s': %s", verb, path, g_strerror(reason));
}

bool image_file_check_path(const char *path, GError **error) {
        if (g_path_is_absolute(path))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "The path of the image '%s' is not absolute", path);
        return false;
}

static bool check_type(const char *path, const struct stat *st, bool allow_device, GError **error) {
        if (S_ISREG(st->st_mode) || (allow_device && S_ISBLK(st->st_mode)))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "The image '%s' is not a regular file", path);
        return false;
}

int image_file_open(const char *path, bool allow_device, struct stat *ret, GError **error) {
        char link[sizeof("/proc/self/fd/") + 16];
        auto_fd place = -1;
        struct stat st;
        int fd;

        if (!image_file_check_path(path, error))
                return -1;
        place = open(path, O_PATH | O_CLOEXEC);
        if (place < 0 || fstat(place, &st) < 0) {
                image_file_fail(errno, "open the image", path, error);
                return -1;
        }
        if (!check_type(path, &st, allow_device, error))
                return -1;
        /* The very file that was looked at, whatever has the name by now. */
        (void) g_snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
        fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) {
                image_file_fail(errno, "open the image", path, error);
                return -1;
        }
        *ret = st;
        return fd;
}

void image_file_begin_sync(const char *path) {
        struct stat st;
        auto_fd fd = image_file_open(path, false, &st, NULL);

        if (fd >= 0)
                (void) sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

bool image_file_sync(const char *path, GError **error) {
        struct stat st;
        auto_fd fd = image_file_open(path, true, &st, error);

        if (fd < 0)
                return false;
        return fsync(fd) == 0 || image_file_fail(errno, "sync", path, error);
}

bool image_file_sync_directory(const char *path, GError **error) {
        g_autofree char *directory = g_path_get_dirname(path);
        auto_fd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return image_file_fail(errno, "sync the directory of", path, error);
        return true;
}
