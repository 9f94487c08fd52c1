/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* block/file-posix.c of QEMU: for each of its permissions there are two bytes in the file. Whoever
 * has the permission holds a shared lock on the one, and whoever does not allow it to others on the
 * other. */

#include "disk/image-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "util/error.h"

#define HELD    100 /* + permission */
#define REFUSED 200

enum {
        CONSISTENT_READ = 0,
        WRITE = 1,
        RESIZE = 3,
};

static bool set(int fd, off_t byte) {
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

        return fcntl(fd, F_OFD_SETLK, &lock) == 0 || errno == ENOLCK || errno == EINVAL ||
               errno == EOPNOTSUPP;
}

static bool is_held(int fd, off_t byte) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

        return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool image_lock_for_reading(int fd, const char *path, GError **error) {
        static const int others[] = {WRITE, RESIZE};
        /* First ours, then a look at theirs: two who come at the same time both see the other. */
        bool free = set(fd, HELD + CONSISTENT_READ);

        for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
                free = free && set(fd, REFUSED + others[i]);
        for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
                free = free && !is_held(fd, HELD + others[i]);
        free = free && !is_held(fd, REFUSED + CONSISTENT_READ);
        if (!free)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FILE_IN_USE,
                                "The image '%s' is in use", path);
        return free;
}
