/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "snapshot/state-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/saved-image.h"
#include "disk/image-file.h"
#include "disk/image.h"
#include "util/error.h"
#include "util/fd.h"

#define BLOCK_BYTES (1024 * 1024)

static bool write_all(int fd, const char *block, size_t length) {
        while (length > 0) {
                ssize_t n = write(fd, block, length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return false;
                block += n;
                length -= (size_t) n;
        }
        return true;
}

static bool copy_content(int in,
                int out,
                uint64_t total,
                const char *name,
                const StateFileHooks *hooks,
                GError **error) {
        g_autofree char *block = g_malloc(BLOCK_BYTES);
        uint64_t done = 0;
        ssize_t n;

        while ((n = read(in, block, BLOCK_BYTES)) > 0) {
                if (!write_all(out, block, (size_t) n))
                        return image_file_fail(errno, "write", name, error);
                done += (uint64_t) n;
                if (hooks && hooks->copied)
                        hooks->copied(done, total, hooks->userdata);
                if (hooks && hooks->stop && hooks->stop(hooks->userdata)) {
                        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED,
                                        "Copying was cancelled");
                        return false;
                }
        }
        return n == 0 || image_file_fail(errno, "read", name, error);
}

static bool copy_to(int in,
                const struct stat *st,
                const char *to,
                const StateFileHooks *hooks,
                GError **error) {
        auto_fd out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (out < 0)
                return image_file_fail(errno, "create", to, error);
        if (!copy_content(in, out, (uint64_t) st->st_size, to, hooks, error))
                return false;
        /* Who is not root keeps his own files his own. */
        if (fchown(out, st->st_uid, st->st_gid) < 0 && errno != EPERM)
                return image_file_fail(errno, "change the owner of", to, error);
        if (fchmod(out, st->st_mode & 0777) < 0 || fdatasync(out) < 0)
                return image_file_fail(errno, "write", to, error);
        return true;
}

/* The directories of libvirt are QEMU's as well, which could put a link there. */
static int open_without_links(const char *path, struct stat *ret, GError **error) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);

        if (fd < 0 || fstat(fd, ret) < 0) {
                image_file_fail(errno, "open", path, error);
        } else if (!S_ISREG(ret->st_mode)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "'%s' is not a regular file", path);
        } else
                return fd;
        fd_close(&fd);
        return -1;
}

bool state_file_copy(
                const char *from, const char *to, const StateFileHooks *hooks, GError **error) {
        g_autofree char *temporary = g_strconcat(to, ".new", NULL);
        struct stat st;
        auto_fd in = open_without_links(from, &st, error);

        if (in < 0 || !image_remove(temporary, error))
                return false;
        if (!copy_to(in, &st, temporary, hooks, error)) {
                (void) unlink(temporary);
                return false;
        }
        if (rename(temporary, to) < 0) {
                image_file_fail(errno, "replace", to, error);
                (void) unlink(temporary);
                return false;
        }
        return image_file_sync_directory(to, error);
}

void state_file_remove_halves(virDomainPtr domain) {
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        g_autoptr(GPtrArray) files = NULL;

        (void) virDomainGetUUIDString(domain, uuid);
        files = saved_image_files_of_snapshots(virDomainGetConnect(domain), uuid);
        for (unsigned i = 0; i < files->len; i++)
                if (g_str_has_suffix(files->pdata[i], ".new"))
                        (void) image_remove(files->pdata[i], NULL);
}
