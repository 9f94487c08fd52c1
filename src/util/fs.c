/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon keeps little on disk, and all of it in directories that nobody else may enter. A file
 * is written under another name and renamed, so that there is never half of it. Any thread. */

#include "util/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fd.h"

static bool fail(GError **error, const char *verb, const char *name) {
        return error_fail(error_of_errno(errno), error, "Failed to %s '%s' of the service: %s",
                        verb, name, g_strerror(errno));
}

int fs_open_directory(const char *path, GError **error) {
        g_autofree char *parent = g_path_get_dirname(path);
        int fd;

        if (g_mkdir_with_parents(parent, 0755) < 0 || (mkdir(path, 0700) < 0 && errno != EEXIST)) {
                fail(error, "make the directory", path);
                return -1;
        }
        fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                fail(error, "open the directory", path);
        return fd;
}

static bool write_all(int fd, const char *text) {
        size_t left = strlen(text);

        while (left > 0) {
                ssize_t n = write(fd, text, left);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return false;
                text += n;
                left -= (size_t) n;
        }
        return true;
}

int fs_create(int directory, const char *name, GError **error) {
        int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                        0600);

        if (fd < 0)
                fail(error, "create", name);
        return fd;
}

bool fs_write(int fd, const char *name, const char *text, GError **error) {
        return write_all(fd, text) || fail(error, "write", name);
}

bool fs_replace(int directory, const char *name, const char *text, bool sync, GError **error) {
        g_autofree char *temporary = g_strconcat(name, ".new", NULL);
        auto_fd fd = fs_create(directory, temporary, error);

        if (fd < 0)
                return false;
        if (!write_all(fd, text) || (sync && fdatasync(fd) < 0) ||
                        renameat(directory, temporary, directory, name) < 0) {
                fail(error, "write", name);
                (void) unlinkat(directory, temporary, 0);
                return false;
        }
        if (sync && fsync(directory) < 0)
                return fail(error, "sync the directory of", name);
        return true;
}

bool fs_sync(int directory, const char *name, GError **error) {
        auto_fd fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 || fdatasync(fd) < 0 || fsync(directory) < 0)
                return fail(error, "sync", name);
        return true;
}

bool fs_sync_all(const char *directory) {
        auto_fd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? errno == ENOENT : syncfs(fd) == 0;
}

char *fs_read(int directory, const char *name, size_t limit, GError **error) {
        auto_fd fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        g_autoptr(GString) text = g_string_new(NULL);
        char buffer[4096];
        ssize_t n;

        if (fd < 0) {
                fail(error, "open", name);
                return NULL;
        }
        while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
                g_string_append_len(text, buffer, n);
                if (text->len > limit) {
                        errno = EMSGSIZE; /* more than we take */
                        n = -1;
                        break;
                }
        }
        if (n < 0) {
                fail(error, "read", name);
                return NULL;
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}
