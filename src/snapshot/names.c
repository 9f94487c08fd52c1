/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "snapshot/names.h"

#include <string.h>
#include <unistd.h>

#include "disk/image.h"
#include "util/error.h"

#define ID_BYTES   64 /* a file is named after it, and after more */
#define STEM_BYTES 100
#define CHAIN_MAX  100 /* QEMU opens every image of a chain */

static char *sanitize(const char *wish) {
        char *id = g_strndup(wish, ID_BYTES);

        for (char *p = id; *p; p++)
                if (!g_ascii_isalnum(*p) && !strchr("._-", *p))
                        *p = '-';
        if (*id == '.' || *id == '-')
                *id = '_';
        return id;
}

char *snapshot_new_id(const SnapshotTree *tree, const char *wish, const char *otherwise) {
        g_autofree char *id = sanitize(wish && *wish ? wish : otherwise);

        if (wish && *wish && !snapshot_tree_find(tree, id))
                return g_steal_pointer(&id);
        for (unsigned n = wish && *wish ? 2 : 1;; n++) {
                g_autofree char *numbered = g_strdup_printf("%s-%u", id, n);

                if (!snapshot_tree_find(tree, numbered))
                        return g_steal_pointer(&numbered);
        }
}

/* No other disk has the name, of this machine or of another: two may lie beside each other whose
 * files begin alike, and both may be snapshotted at once. A file that is missing may come back. */
char *snapshot_overlay_path(const SnapshotTree *tree,
                const char *base,
                const char *id,
                const char *uuid,
                const char *target) {
        g_autofree char *directory = g_path_get_dirname(base);
        g_autofree char *name = g_path_get_basename(base);
        g_autofree char *stem = g_strndup(name, MIN(strcspn(name, "."), STEM_BYTES));

        for (unsigned n = 1;; n++) {
                g_autofree char *number = n == 1 ? g_strdup("") : g_strdup_printf(".%u", n);
                g_autofree char *file = g_strdup_printf(
                                "%s.%s.%.8s-%s%s.qcow2", stem, id, uuid, target, number);
                g_autofree char *path = g_build_filename(directory, file, NULL);

                if (access(path, F_OK) < 0 && !g_hash_table_contains(tree->images, path))
                        return g_steal_pointer(&path);
        }
}

/* The number of images, and why the last of them can't be read. */
static unsigned depth(const SnapshotTree *tree, const char *path, const GError **ret_problem) {
        unsigned n = 0;

        *ret_problem = NULL;
        while (path) {
                const TreeImage *image = g_hash_table_lookup(tree->images, path);

                if (image)
                        *ret_problem = image->problem;
                path = image ? image->backing : NULL;
                n++;
        }
        return n;
}

bool snapshot_check_room(const SnapshotTree *tree, GError **error) {
        for (unsigned i = 0; i < tree->disks->disks->len; i++) {
                const Disk *disk = tree->disks->disks->pdata[i];
                const GError *problem;
                unsigned n;

                if (disk->path && strchr(disk->path, '\n')) {
                        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                        "The file name of disk %s has more than one line",
                                        disk->target);
                        return false;
                }
                if (!disk_is_snapshottable(disk))
                        continue;
                n = depth(tree, disk->path, &problem);
                if (problem) {
                        g_propagate_error(error, g_error_copy(problem));
                        return false;
                }
                if (n < CHAIN_MAX)
                        continue;
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_LIMITS_EXCEEDED,
                                "Disk %s rests on %u images already; destroy a snapshot first",
                                disk->target, CHAIN_MAX);
                return false;
        }
        return true;
}
