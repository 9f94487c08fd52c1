/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The directories are those of the service: nobody else can rename what is in them, and all the
 * same no link is followed on the way (openat2).
 *
 * What has its name at the end is ours if it has the other one no more: a rename does both at once,
 * and what was to be renamed is on the disk, with its first name, before the others are remembered.
 * So nothing else is ever removed that came to have such a name. */

#include "export/import-files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jobs/job.h"
#include "util/directory.h"
#include "util/fd.h"

#define MEMORY_TEMPORARY "Temporary" /* paths */
#define MEMORY_FINAL     "Final" /* the same in the same order: since they may have these names */
#define MEMORY_OURS      "Ours"  /* those of them that are to be removed */

#define DIRECTORY_MODE 0711 /* QEMU, which is another user, passes */
#define DEPTH_MAX      3U
#define SEAL_TRIES     100U /* while another child is between fork and exec it has our descriptors */
#define SEAL_USEC      20000U

static bool fail(const char *verb, const char *path, GError **error) {
        int saved = errno;
        VirtaskError code = saved == EEXIST                       ? VIRTASK_ERROR_FILE_EXISTS
                            : saved == ENOENT || saved == ENOTDIR ? VIRTASK_ERROR_PATH_NOT_FOUND
                                                                  : error_of_errno(saved);

        return error_fail(code, error, "Failed to %s '%s': %s", verb, path, g_strerror(saved));
}

/* The lists */

static void free_place(void *data) {
        ImportPlace *place = data;

        g_free(place->temporary);
        g_free(place->final);
        g_free(place);
}

static void free_file(void *data) {
        ImportFile *file = data;

        fd_close(&file->fd);
        g_free(file->name);
        g_free(file->below);
        g_free(file->origin);
        g_free(file);
}

ImportFiles *import_files_new(void) {
        ImportFiles *files = g_new0(ImportFiles, 1);

        files->places = g_ptr_array_new_with_free_func(free_place);
        files->files = g_ptr_array_new_with_free_func(free_file);
        return files;
}

void import_files_free(ImportFiles *files) {
        if (!files)
                return;
        (void) g_ptr_array_unref(files->files);
        (void) g_ptr_array_unref(files->places);
        g_free(files);
}

/* Links in the paths of the service's own directories are those of whoever runs the host. */
static char *resolve(const char *directory) {
        char *resolved = realpath(directory, NULL);
        char *copy = g_strdup(resolved ?: directory);

        free(resolved);
        return copy;
}

ImportPlace *import_files_add_place(ImportFiles *files, const char *final, bool is_directory) {
        ImportPlace *place = g_new0(ImportPlace, 1);
        g_autofree char *given = g_path_get_dirname(final), *base = g_path_get_basename(final);
        g_autofree char *parent = resolve(given), *random = g_uuid_string_random();

        place->final = g_build_filename(parent, base, NULL);
        place->temporary = g_strdup_printf("%s/.virtask-import-%s", parent, random);
        place->is_directory = is_directory;
        place->owner = (uid_t) -1;
        place->group = (gid_t) -1;
        g_ptr_array_add(files->places, place);
        return place;
}

ImportFile *import_files_add(
                ImportFiles *files, const ImportPlace *place, const char *below, const char *name) {
        ImportFile *file = g_new0(ImportFile, 1);

        file->name = g_strdup(name);
        file->place = place;
        file->below = g_strdup(below);
        file->fd = -1;
        g_ptr_array_add(files->files, file);
        return file;
}

const char *import_file_origin(const ImportFile *file) {
        return file->origin ?: file->name;
}

ImportFile *import_files_find(const ImportFiles *files, const char *name) {
        for (unsigned i = 0; i < files->files->len; i++) {
                ImportFile *file = files->files->pdata[i];

                if (g_str_equal(file->name, name))
                        return file;
        }
        return NULL;
}

char *import_file_path(const ImportFile *file) {
        if (file->head > 0)
                return g_strdup_printf("/proc/self/fd/%d", file->fd);
        return file->below ? g_build_filename(file->place->temporary, file->below, NULL)
                           : g_strdup(file->place->temporary);
}

bool import_files_check(const ImportFiles *files, GError **error) {
        for (unsigned i = 0; i < files->places->len; i++) {
                const ImportPlace *place = files->places->pdata[i];

                if (faccessat(AT_FDCWD, place->final, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                errno = EEXIST;
                return fail("make", place->final, error);
        }
        return true;
}

/* Opening */

/* The directory that a path lies in, without a link on the way. */
static int open_parent(const char *path) {
        g_autofree char *parent = g_path_get_dirname(path);
        struct open_how how = {
                        .flags = O_DIRECTORY | O_RDONLY | O_CLOEXEC,
                        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };

        return (int) syscall(SYS_openat2, AT_FDCWD, parent, &how, sizeof(how));
}

static char *base_of(const char *path) {
        return g_path_get_basename(path);
}

static bool remember(const ImportFiles *files, Job *job, bool final, GError **error) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new();

        for (unsigned i = 0; i < files->places->len; i++) {
                const ImportPlace *place = files->places->pdata[i];

                g_ptr_array_add(paths, final ? place->final : place->temporary);
        }
        g_ptr_array_add(paths, NULL);
        return job_remember_list(job, final ? MEMORY_FINAL : MEMORY_TEMPORARY,
                        (const char *const *) paths->pdata, error);
}

static bool make_directory(const ImportPlace *place, GError **error) {
        g_autofree char *parent = g_path_get_dirname(place->final);
        g_autofree char *base = base_of(place->temporary);
        auto_fd fd = -1;

        if (g_mkdir_with_parents(parent, DIRECTORY_MODE) < 0)
                return fail("make", parent, error);
        fd = open_parent(place->temporary);
        if (fd < 0)
                return fail("open", parent, error);
        return !place->is_directory || mkdirat(fd, base, 0700) == 0 ||
               fail("make", place->temporary, error);
}

/* Directories between the place and the file, at most one. */
static bool make_between(const ImportFile *file, const char *path, GError **error) {
        g_autofree char *parent = g_path_get_dirname(path), *base = base_of(parent);
        auto_fd fd = -1;

        if (!file->below || !strchr(file->below, '/'))
                return true;
        fd = open_parent(parent);
        if (fd < 0 || (mkdirat(fd, base, 0700) < 0 && errno != EEXIST))
                return fail("make", parent, error);
        return (file->place->owner == (uid_t) -1 ||
                               fchownat(fd, base, file->place->owner, file->place->group,
                                               AT_SYMLINK_NOFOLLOW) == 0) ||
               fail("change the owner of", parent, error);
}

static bool open_file(ImportFile *file, GError **error) {
        g_autofree char *path = import_file_path(file), *base = base_of(path);
        auto_fd parent = -1;

        if (!make_between(file, path, error))
                return false;
        parent = open_parent(path);
        file->fd = parent < 0 ? -1
                              : openat(parent, base,
                                                O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                                0600);
        if (file->fd < 0)
                return fail("create", path, error);
        return (file->place->owner == (uid_t) -1 ||
                               fchown(file->fd, file->place->owner, file->place->group) == 0) ||
               fail("change the owner of", path, error);
}

static bool open_in_memory(ImportFile *file, uint64_t head, GError **error) {
        file->head = head;
        file->fd = memfd_create("import", MFD_CLOEXEC);
        return file->fd >= 0 || fail("create", file->name, error);
}

bool import_files_create(ImportFiles *files, Job *job, uint64_t heads, GError **error) {
        if (heads == 0 && !remember(files, job, false, error))
                return false;
        for (unsigned i = 0; heads == 0 && i < files->places->len; i++)
                if (!make_directory(files->places->pdata[i], error))
                        return false;
        for (unsigned i = 0; i < files->files->len; i++) {
                ImportFile *file = files->files->pdata[i];

                if (!(heads > 0 ? open_in_memory(file, heads, error) : open_file(file, error)))
                        return false;
        }
        return true;
}

/* A descriptor was in the hands of the caller, who could have kept it. A lease for reading is only
 * given when nobody has the file open for writing. */
static bool seal(ImportFile *file, GError **error) {
        g_autofree char *path = import_file_path(file);
        auto_fd fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return fail("open", path, error);
        for (unsigned i = 0; i < SEAL_TRIES; i++) {
                if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
                        return fcntl(fd, F_SETLEASE, F_UNLCK) == 0 || fail("release", path, error);
                if (errno != EAGAIN && errno != EINTR)
                        break;
                g_usleep(SEAL_USEC);
        }
        g_set_error(error, VIRTASK_ERROR,
                        errno == EAGAIN ? VIRTASK_ERROR_FILE_IN_USE : VIRTASK_ERROR_NOT_SUPPORTED,
                        "It can not be made sure that nobody else writes to '%s': %s", path,
                        g_strerror(errno));
        return false;
}

bool import_files_seal(ImportFiles *files, bool foreign, GError **error) {
        for (unsigned i = 0; i < files->files->len; i++)
                fd_close(&((ImportFile *) files->files->pdata[i])->fd);
        for (unsigned i = 0; foreign && i < files->files->len; i++)
                if (!seal(files->files->pdata[i], error))
                        return false;
        return true;
}

/* Publishing */

static bool sync_directory(const char *path, GError **error) {
        auto_fd fd = open(path, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        return (fd >= 0 && fsync(fd) == 0) || fail("sync", path, error);
}

static bool sync_parent(const char *path, GError **error) {
        auto_fd fd = open_parent(path);

        return (fd >= 0 && fsync(fd) == 0) || fail("sync the directory of", path, error);
}

static bool sync_place(const ImportFiles *files, const ImportPlace *place, GError **error) {
        for (unsigned i = 0; i < files->files->len; i++) {
                const ImportFile *file = files->files->pdata[i];
                g_autofree char *path = import_file_path(file), *parent = g_path_get_dirname(path);

                if (file->place == place && !sync_directory(parent, error))
                        return false;
        }
        return (!place->is_directory || sync_directory(place->temporary, error)) &&
               sync_parent(place->temporary, error);
}

static bool hand_over(const ImportPlace *place, GError **error) {
        if (!place->is_directory)
                return true;
        return (place->owner == (uid_t) -1 ||
                               lchown(place->temporary, place->owner, place->group) == 0)
                               ? chmod(place->temporary, DIRECTORY_MODE) == 0 ||
                                                 fail("change", place->temporary, error)
                               : fail("change the owner of", place->temporary, error);
}

static bool publish(const ImportPlace *place, GError **error) {
        g_autofree char *from = base_of(place->temporary), *to = base_of(place->final);
        auto_fd parent = open_parent(place->final);

        if (parent < 0 || renameat2(parent, from, parent, to, RENAME_NOREPLACE) < 0 ||
                        fsync(parent) < 0)
                return fail("make", place->final, error);
        return true;
}

bool import_files_publish(ImportFiles *files, Job *job, GError **error) {
        for (unsigned i = 0; i < files->places->len; i++)
                if (!hand_over(files->places->pdata[i], error) ||
                                !sync_place(files, files->places->pdata[i], error))
                        return false;
        if (!remember(files, job, true, error))
                return false;
        for (unsigned i = 0; i < files->places->len; i++)
                if (!publish(files->places->pdata[i], error))
                        return false;
        return true;
}

/* Removing */

static bool remove_path(const char *path, GError **error) {
        g_autofree char *base = base_of(path);
        auto_fd parent = open_parent(path);

        if (parent < 0 && errno == ENOENT)
                return true;
        return (parent >= 0 && directory_remove(parent, base, DEPTH_MAX) && fsync(parent) == 0) ||
               fail("remove", path, error);
}

static bool is_there(const char *path) {
        struct stat st;

        return lstat(path, &st) == 0;
}

/* Which of the names at the end are ours, while the others tell. */
static bool remember_ours(Job *job, GError **error) {
        g_auto(GStrv) temporary = job_recall_list(job, MEMORY_TEMPORARY);
        g_auto(GStrv) final = job_recall_list(job, MEMORY_FINAL);
        g_autoptr(GPtrArray) ours = g_ptr_array_new();

        if (job_recall(job, MEMORY_OURS))
                return true;
        for (unsigned i = 0; final[i] && temporary[i]; i++)
                if (!is_there(temporary[i]))
                        g_ptr_array_add(ours, final[i]);
        g_ptr_array_add(ours, NULL);
        return job_remember_list(job, MEMORY_OURS, (const char *const *) ours->pdata, error);
}

static bool remove_all(Job *job, const char *key, GError **error) {
        g_auto(GStrv) paths = job_recall_list(job, key);

        for (unsigned i = 0; paths[i]; i++)
                if (!remove_path(paths[i], error))
                        return false;
        return true;
}

bool import_files_remove(Job *job, GError **error) {
        return remember_ours(job, error) && remove_all(job, MEMORY_TEMPORARY, error) &&
               remove_all(job, MEMORY_OURS, error);
}
