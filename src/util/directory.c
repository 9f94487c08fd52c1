/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "util/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fd.h"

#define SPARE_PERCENT 5U

bool directory_for_each(int directory, DirectoryFunction function, unsigned depth) {
        int fd = openat(directory, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
        bool ok = entries != NULL;

        if (!entries && fd >= 0)
                (void) close(fd);
        for (struct dirent *entry; ok && (entry = readdir(entries));)
                if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
                        ok = function(directory, entry->d_name, depth);
        if (entries)
                (void) closedir(entries);
        return ok;
}

bool directory_remove(int parent, const char *name, unsigned depth) {
        auto_fd inner = -1;

        if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
                return true;
        if ((errno != EISDIR && errno != EPERM) || depth == 0)
                return false;
        inner = openat(parent, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return inner >= 0 && directory_for_each(inner, directory_remove, depth - 1) &&
               unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

bool directory_check_room(int fd, const char *path, uint64_t needed, GError **error) {
        struct statvfs st;
        uint64_t room;

        if (fstatvfs(fd, &st) < 0)
                return error_fail(VIRTASK_ERROR_FAILED, error, "Failed to look at '%s': %s", path,
                                g_strerror(errno));
        room = (uint64_t) st.f_bavail * st.f_frsize;
        needed += needed / 100 * SPARE_PERCENT;
        return room >= needed ||
               error_fail(VIRTASK_ERROR_DISK_FULL, error,
                               "%" G_GUINT64_FORMAT " bytes are needed at '%s', and "
                               "%" G_GUINT64_FORMAT " are free",
                               needed, path, room);
}
