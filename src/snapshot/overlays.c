/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "snapshot/overlays.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "backend/guest-disks.h"
#include "disk/image.h"
#include "snapshot/collect.h"
#include "snapshot/image-notes.h"
#include "snapshot/tree.h"

/* libvirt changes the disks of the guest first, and then the definition for the next start. In
 * between that would begin with what is below, which is not what the guest has. */
static bool follow_guest(
                virDomainPtr domain, const SnapshotTree *tree, char **overlays, GError **error) {
        g_autofree char *text = snapshot_tree_definition(domain, true, error);
        bool changed = false;

        for (unsigned i = 0; text && overlays[i]; i++) {
                const TreeImage *image = g_hash_table_lookup(tree->images, overlays[i]);
                g_autofree char *new = NULL;

                if (!image || !image->running || !image->backing)
                        continue;
                new = definition_replace_image(
                                text, image->backing, image->path, image->format, NULL);
                if (!new)
                        continue;
                g_free(text);
                text = g_steal_pointer(&new);
                changed = true;
        }
        return text && (!changed || snapshot_tree_define(domain, text, error));
}

/* libvirt had changed the disks, and not yet noted the snapshot: what was written since then is in
 * the overlay, and goes back into the image below. */
static bool take_back(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                char **overlays,
                GError **error) {
        g_autoptr(GHashTable) made = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) below = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; overlays[i]; i++) {
                const TreeImage *image = g_hash_table_lookup(tree->images, overlays[i]);

                if (!image || !image->backing)
                        continue;
                g_hash_table_add(made, image->path);
                g_hash_table_add(below, image->backing);
        }
        return follow_guest(domain, tree, overlays, error) &&
               image_notes_add(domain, IMAGE_MADE, made, error) &&
               image_notes_add(domain, IMAGE_HIDDEN, below, error) &&
               collect_images(job, domain, error);
}

/* Somebody else may have made a file where the overlay was to be, and libvirt have failed because
 * of it. Of ours the content may have been lost in a power cut, but it is not another's. */
static bool is_strange(const SnapshotTree *tree, const char *path) {
        static const char magic[] = {'Q', 'F', 'I', (char) 0xfb}, nothing[sizeof(magic)];
        char begin[sizeof(magic)] = "";
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        bool read_all = fd >= 0 && read(fd, begin, sizeof(begin)) >= 0;
        g_autoptr(ImageInfo) info = NULL;

        if (fd < 0)
                return errno != ENOENT;
        (void) close(fd);
        if (!read_all)
                return true;
        if (memcmp(begin, magic, sizeof(magic)) != 0)
                return memcmp(begin, nothing, sizeof(nothing)) != 0;
        info = image_info_read(path, "qcow2", NULL);
        return info && info->backing && !g_hash_table_contains(tree->images, info->backing);
}

/* The guest writes to it, and libvirt does not know: the next start has to go on with it, and the
 * next who may merges it into the image below. The definition may name it already. */
static bool keep(virDomainPtr domain, const char *path, GError **error) {
        g_autoptr(ImageInfo) info = image_info_read(path, "qcow2", error);
        g_autoptr(GHashTable) made = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) below = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *old = NULL, *new = NULL;
        g_autoptr(GError) cause = NULL;

        if (!info)
                return false;
        g_hash_table_add(made, (char *) path);
        if (info->backing)
                g_hash_table_add(below, info->backing);
        if (!image_notes_add(domain, IMAGE_MADE, made, error) ||
                        !image_notes_add(domain, IMAGE_HIDDEN, below, error))
                return false;
        old = snapshot_tree_definition(domain, true, error);
        if (!old)
                return false;
        new = info->backing ? definition_replace_image(old, info->backing, path, "qcow2", &cause)
                            : NULL;
        if (new)
                return snapshot_tree_define(domain, new, error);
        if (!cause)
                return true;
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
}

/* QEMU may have gone over to it while libvirtd died. */
static bool check_unused(virDomainPtr domain, const char *path, GError **error) {
        int used = guest_disks_use(domain, path, error);

        if (used > 0 && keep(domain, path, error))
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                                "libvirt does not know any more which images '%s' uses; turn the "
                                "machine off",
                                virDomainGetName(domain));
        return used == 0;
}

static bool remove_overlay(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const char *path,
                GError **error) {
        if (!*path || g_hash_table_contains(tree->images, path))
                return true;
        if (!is_strange(tree, path))
                return !g_file_test(path, G_FILE_TEST_EXISTS) ||
                       (check_unused(domain, path, error) && image_remove(path, error));
        job_log(job, LOG_WARNING, "'%s' is no overlay of ours and stays", path);
        return true;
}

bool overlays_remove(Job *job, virDomainPtr domain, char **overlays, GError **error) {
        g_autoptr(SnapshotTree) tree = snapshot_tree_read(domain, error);
        bool ok = tree;

        /* All of them: one that is kept does not come without the others. */
        for (unsigned i = 0; tree && overlays[i]; i++)
                ok = remove_overlay(job, domain, tree, overlays[i], ok ? error : NULL) && ok;
        return ok && take_back(job, domain, tree, overlays, error);
}
