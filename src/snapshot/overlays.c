/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "snapshot/overlays.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "backend/backend-error.h"
#include "disk/image.h"
#include "snapshot/collect.h"
#include "snapshot/image-notes.h"
#include "snapshot/tree.h"

/* libvirt changes the disks of the guest first, and then the definition for the next start. In
 * between that would begin with what is below, which is not what the guest has. */
static bool follow_guest(
                virDomainPtr domain, const SnapshotTree *tree, char **overlays, GError **error) {
        g_autofree char *text = snapshot_tree_definition(domain, true, error);
        g_autoptr(virDomain) defined = NULL;
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
        if (!text || !changed)
                return text;
        defined = virDomainDefineXMLFlags(virDomainGetConnect(domain), text, 0);
        if (!defined)
                backend_error_set(error, "Failed to change the definition of '%s'",
                                virDomainGetName(domain));
        return defined;
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

static bool remove_overlay(Job *job, const SnapshotTree *tree, const char *path, GError **error) {
        if (!*path || g_hash_table_contains(tree->images, path))
                return true;
        if (!is_strange(tree, path))
                return image_remove(path, error);
        job_log(job, LOG_WARNING, "'%s' is no overlay of ours and stays", path);
        return true;
}

bool overlays_remove(Job *job, virDomainPtr domain, char **overlays, GError **error) {
        g_autoptr(SnapshotTree) tree = snapshot_tree_read(domain, error);

        if (!tree)
                return false;
        for (unsigned i = 0; overlays[i]; i++)
                if (!remove_overlay(job, tree, overlays[i], error))
                        return false;
        return take_back(job, domain, tree, overlays, error);
}
