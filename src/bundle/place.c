/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bundle/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/directory.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/path.h"

#define DEPTH_MAX 16U /* of what is removed; a bundle has two */

#define BELOW_MAX 258U /* bytes of a path in a bundle and its slash: docs/EXPORT-FORMAT.md */

static VirtaskError code_of(int reason) {
        switch (reason) {
        case EACCES:
        case EPERM:
                return VIRTASK_ERROR_ACCESS_DENIED;
        case ENOENT:
        case ENOTDIR:
        case ELOOP:
                return VIRTASK_ERROR_PATH_NOT_FOUND;
        case EEXIST:
        case ENOTEMPTY:
                return VIRTASK_ERROR_FILE_EXISTS;
        case ENAMETOOLONG:
                return VIRTASK_ERROR_PATH_TOO_LONG;
        default:
                return error_of_errno(reason);
        }
}

static bool fail(int reason, const char *verb, const char *name, GError **error) {
        return error_fail(code_of(reason), error, "Failed to %s '%s': %s", verb, name,
                        g_strerror(reason));
}

/* A name is one component: nothing that leads elsewhere. */
static bool check_name(const char *name, GError **error) {
        if (*name && !strchr(name, '/') && strlen(name) <= NAME_MAX && !g_str_equal(name, ".") &&
                        !g_str_equal(name, ".."))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NAME_INVALID,
                        "'%s' can not be the name of a file", name);
        return false;
}

/* Links are followed once, with the rights of this process, and not any more after that: whoever
 * changes a component meanwhile does not lead us elsewhere. They may lead to a name that nobody
 * could have asked for, which would stand in a definition and in what we print. */
static int open_directory(const char *path, PlaceLinks links, char **ret_path, GError **error) {
        struct open_how how = {
                        .flags = O_DIRECTORY | O_RDONLY | O_CLOEXEC,
                        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        char *real = links == PLACE_FOLLOWS_LINKS ? realpath(path, NULL) : strdup(path);
        int fd = -1;

        if (!real) {
                fail(errno, "find the directory", path, error);
                return -1;
        }
        if (path_check(real, error)) {
                fd = (int) syscall(SYS_openat2, AT_FDCWD, real, &how, sizeof(how));
                if (fd < 0)
                        fail(errno, "open the directory", path, error);
        }
        if (fd >= 0 && ret_path)
                *ret_path = g_strdup(real);
        free(real);
        return fd;
}

/* Before anything is written, so that nobody waits an hour for it. */
static bool check_free(const Place *place, bool replace_empty, GError **error) {
        struct stat st;

        if (fstatat(place->parent, place->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT || fail(errno, "look for", place->path, error);
        if (replace_empty && S_ISDIR(st.st_mode))
                return true; /* rename() tells whether it is empty */
        return fail(EEXIST, "make", place->path, error);
}

static bool make_partial(Place *place, GError **error) {
        if (mkdirat(place->parent, place->partial, 0700) < 0)
                return fail(errno, "make a directory in", place->path, error);
        place->made = openat(place->parent, place->partial,
                        O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (place->made >= 0)
                return true;
        fail(errno, "open", place->path, error);
        (void) unlinkat(place->parent, place->partial, AT_REMOVEDIR);
        return false;
}

static bool make_partial_file(Place *place, GError **error) {
        place->made = openat(place->parent, place->partial,
                        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        return place->made >= 0 || fail(errno, "make a file in", place->path, error);
}

static bool open_place(const char *directory,
                const char *name,
                const char *partial,
                bool is_file,
                PlaceLinks links,
                Place *ret,
                GError **error) {
        g_autofree char *real = NULL;

        *ret = (Place){.parent = -1, .made = -1, .is_file = is_file};
        if (!check_name(name, error) || !check_name(partial, error))
                return false;
        ret->parent = open_directory(directory, links, &real, error);
        if (ret->parent < 0)
                return false;
        ret->path = g_build_filename(real, name, NULL);
        ret->name = g_strdup(name);
        ret->partial = g_strdup(partial);
        /* The definition of a bundle names what is below. */
        return strlen(ret->path) + (is_file ? 0 : BELOW_MAX) < PATH_MAX ||
               fail(ENAMETOOLONG, "make", ret->path, error);
}

bool place_make(const char *directory,
                const char *name,
                const char *partial,
                bool replace_empty,
                PlaceLinks links,
                Place *ret,
                GError **error) {
        return open_place(directory, name, partial, false, links, ret, error) &&
               check_free(ret, replace_empty, error) && make_partial(ret, error);
}

bool place_make_file(const char *directory,
                const char *name,
                const char *partial,
                PlaceLinks links,
                Place *ret,
                GError **error) {
        return open_place(directory, name, partial, true, links, ret, error) &&
               check_free(ret, false, error) && make_partial_file(ret, error);
}

bool place_check_room(const Place *place, uint64_t needed, GError **error) {
        return directory_check_room(place->made, place->path, needed, error);
}

/* The directory of the bundle that a name lies in. */
static int open_part(const Place *place, const char *name, const char **ret_base, GError **error) {
        const char *slash = strchr(name, '/');
        g_autofree char *part = slash ? g_strndup(name, (gsize) (slash - name)) : NULL;
        int fd;

        *ret_base = slash ? slash + 1 : name;
        if (!check_name(*ret_base, error) || (part && !check_name(part, error)))
                return -1;
        if (part && mkdirat(place->made, part, 0700) < 0 && errno != EEXIST) {
                fail(errno, "make the directory", part, error);
                return -1;
        }
        fd = openat(place->made, part ?: ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                fail(errno, "open", name, error);
        return fd;
}

int place_create(const Place *place, const char *name, GError **error) {
        const char *base;
        auto_fd directory = open_part(place, name, &base, error);
        int fd;

        if (directory < 0)
                return -1;
        fd = openat(directory, base, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                fail(errno, "make", name, error);
        return fd;
}

bool place_write(const Place *place, const char *name, const char *text, GError **error) {
        auto_fd fd = place_create(place, name, error);

        if (fd < 0)
                return false;
        for (size_t left = strlen(text); left > 0;) {
                ssize_t n = write(fd, text, left);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return fail(n < 0 ? errno : EIO, "write", name, error);
                text += n;
                left -= (size_t) n;
        }
        return fdatasync(fd) == 0 || fail(errno, "write", name, error);
}

/* Not every file system syncs directories; what it does instead is its own affair. */
static bool sync_directory(int fd) {
        return fsync(fd) == 0 || errno == EINVAL;
}

/* Removal */

void place_discard(Place *place) {
        if (place->made < 0)
                return;
        (void) directory_remove(place->parent, place->partial, DEPTH_MAX);
        (void) fsync(place->parent);
        fd_close(&place->made);
}

bool place_remove(const char *directory, const char *name, GError **error) {
        auto_fd parent = -1;

        if (!check_name(name, error))
                return false;
        parent = open_directory(directory, PLACE_FOLLOWS_LINKS, NULL, error);
        if (parent < 0)
                return false;
        if (!directory_remove(parent, name, DEPTH_MAX))
                return fail(errno, "remove", name, error);
        return sync_directory(parent) || fail(errno, "sync", directory, error);
}

/* Publication */

static bool sync_part(int directory, const char *name, unsigned depth) {
        auto_fd fd = openat(directory, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return errno == ENOTDIR; /* a file: it was synced when it was written */
        return sync_directory(fd);
}

/* Where a file system can't rename without replacing, the name is looked at a moment before. */
static int rename_without_replacing(const Place *place) {
        struct stat st;
        int r = renameat2(place->parent, place->partial, place->parent, place->name,
                        RENAME_NOREPLACE);

        if (r == 0 || errno != EINVAL)
                return r;
        if (place->is_file &&
                        linkat(place->parent, place->partial, place->parent, place->name, 0) == 0) {
                if (unlinkat(place->parent, place->partial, 0) == 0)
                        return 0;
                r = errno;
                (void) unlinkat(place->parent, place->name, 0); /* not there at all, then */
                errno = r;
                return -1;
        }
        if (place->is_file && errno == EEXIST)
                return -1;
        if (fstatat(place->parent, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                errno = EEXIST;
                return -1;
        }
        /* A directory is never put in the place of a file or of a directory that is not empty. */
        return renameat(place->parent, place->partial, place->parent, place->name);
}

/* Nobody may find what may be gone after a power cut. */
static void withdraw(const Place *place) {
        if (renameat(place->parent, place->name, place->parent, place->partial) < 0)
                (void) directory_remove(place->parent, place->name, DEPTH_MAX);
}

bool place_publish(Place *place, bool replace_empty, GError **error) {
        if (place->is_file ? fsync(place->made) < 0
                           : !directory_for_each(place->made, sync_part, 0) ||
                                                        !sync_directory(place->made))
                return fail(errno, "sync", place->path, error);
        if (replace_empty ? renameat(place->parent, place->partial, place->parent, place->name) < 0
                          : rename_without_replacing(place) < 0)
                return fail(errno, "make", place->path, error);
        if (!sync_directory(place->parent)) {
                int saved = errno;

                withdraw(place);
                return fail(saved, "sync", place->path, error);
        }
        fd_close(&place->made);
        return true;
}

void place_clear(Place *place) {
        fd_close(&place->made);
        fd_close(&place->parent);
        g_free(place->path);
        g_free(place->name);
        g_free(place->partial);
}
