/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A machine's images must lie where nobody but the service (and root) can rename anything: libvirt
 * opens them by their paths, as root, whenever the machine is started. */

#include "disk/image-directories.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"

#define MODE 0711

static char **configured;

void image_directories_set(const char *const *directories) {
        g_strfreev(configured);
        configured = g_strdupv((char **) directories);
}

static char *resolve(const char *path) {
        char *resolved = realpath(path, NULL);
        char *copy = g_strdup(resolved);

        free(resolved);
        return copy;
}

/* The rest of the path behind the directory, with its slash; NULL: it is elsewhere. */
static const char *rest_behind(const char *path, const char *directory) {
        size_t length = directory ? strlen(directory) : 0;

        while (length > 0 && directory[length - 1] == '/')
                length--;
        return length > 0 && strncmp(path, directory, length) == 0 && path[length] == '/' &&
                                               path[length + 1]
                               ? path + length
                               : NULL;
}

bool image_directories_have(const Layout *layout, const char *path) {
        g_autofree char *clean = g_canonicalize_filename(path, "/");
        bool have = rest_behind(clean, layout->images);

        for (unsigned i = 0; !have && configured && configured[i]; i++)
                have = rest_behind(clean, configured[i]);
        return have;
}

static void add_resolved(GStrvBuilder *all, const char *directory) {
        g_autofree char *resolved = directory ? resolve(directory) : NULL;

        if (resolved)
                g_strv_builder_add(all, resolved);
}

static char *replace_directory(const char *path, const char *directory) {
        const char *rest = rest_behind(path, directory);
        g_autofree char *resolved = rest ? resolve(directory) : NULL;

        return resolved ? g_strconcat(resolved, rest, NULL) : NULL;
}

char *image_directories_find(const Layout *layout, const char *path, char ***ret_beneath) {
        g_autofree char *clean = g_canonicalize_filename(path, "/");
        char *found = replace_directory(clean, layout->images);
        g_autoptr(GStrvBuilder) all = g_strv_builder_new();

        for (unsigned i = 0; !found && configured && configured[i]; i++)
                found = replace_directory(clean, configured[i]);
        if (!found)
                return NULL;
        add_resolved(all, layout->images);
        for (unsigned i = 0; configured && configured[i]; i++)
                add_resolved(all, configured[i]);
        *ret_beneath = g_strv_builder_end(all);
        return found;
}

static bool is_beneath(const char *path, const char *directory) {
        g_autofree char *resolved = directory ? resolve(directory) : NULL;
        g_autofree char *prefix = resolved ? g_strconcat(resolved, "/", NULL) : NULL;

        return resolved && (g_str_equal(path, resolved) || g_str_has_prefix(path, prefix));
}

static bool is_of_service(const Layout *layout, const char *path) {
        if (is_beneath(path, layout->images))
                return true;
        for (unsigned i = 0; configured && configured[i]; i++)
                if (is_beneath(path, configured[i]))
                        return true;
        return false;
}

/* QEMU, which is another user, passes through it, whatever our umask is. */
static void make(const char *path) {
        g_autofree char *parent = g_path_get_dirname(path);

        if (g_mkdir_with_parents(parent, MODE) == 0 && mkdir(path, MODE) == 0)
                (void) chmod(path, MODE);
}

char *image_directories_choose(
                const Layout *layout, const char *wish, uid_t caller, GError **error) {
        g_autofree char *path = NULL;

        if (!layout->save || (!wish && !layout->images))
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                       "The files of this hypervisor are out of reach"),
                       NULL;
        if (!wish)
                make(layout->images);
        path = resolve(wish ?: layout->images);
        if (path && is_of_service(layout, path))
                return g_steal_pointer(&path);
        /* Others are told nothing of paths that they could not look at themselves. */
        if (caller != 0 && caller != geteuid())
                return error_fail(VIRTASK_ERROR_ACCESS_DENIED, error,
                                       "StorageDirectory is not one of the service's directories; "
                                       "see ImageDirectories= in virtaskd(8)"),
                       NULL;
        if (!path || !g_file_test(path, G_FILE_TEST_IS_DIR))
                return error_fail(VIRTASK_ERROR_PATH_NOT_FOUND, error,
                                       "There is no such StorageDirectory"),
                       NULL;
        return g_steal_pointer(&path);
}
