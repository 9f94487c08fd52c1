/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A hidden image H that carries one image U alone:
 *
 *     base <── H <── U <── others          base <── H' <── others
 *
 * What U holds is written into H, which nobody reads but through U; then everything that names U
 * names H instead, and U is removed. While U's data lies in both, it makes no difference which of
 * the two is named, so the names can be changed one after the other, and a crash in between leaves
 * nothing to repair: U stands on the list before the first of them changes.
 *
 * Images that QEMU has open are merged by QEMU, and the names that it knows are changed with that.
 *
 * libvirt does not sync the directories that it writes to. A file is only removed when everything
 * that stopped to name it is on the disk. */

#include "snapshot/collect.h"

#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "backend/backend-error.h"
#include "backend/guest-disks.h"
#include "backend/layout.h"
#include "backend/saved-image.h"
#include "disk/image-file.h"
#include "disk/image.h"
#include "snapshot/block-commit.h"
#include "snapshot/image-notes.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/state-file.h"
#include "snapshot/tree.h"
#include "util/error.h"
#include "util/fs.h"

/* What all merges together have to write, in bytes; how far each is tells QEMU in other units. */
typedef struct Work {
        uint64_t done, total;
} Work;

#define OPERATIONAL_STATUS_MERGING 32772

/* The work of one merge. */
typedef struct Merge {
        Job *job;
        virDomainPtr domain;
        const SnapshotTree *tree;
        const TreeImage *base, *top;
        const Work *work;
} Merge;

static void progress(const Merge *merge, double part) {
        job_progress(merge->job, merge->work->done + (uint64_t) (part * (double) merge->top->size),
                        merge->work->total);
}

static void on_percent(double percent, void *userdata) {
        progress(userdata, percent / 100);
}

static bool hide(virDomainPtr domain, const char *path, GError **error) {
        g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);

        g_hash_table_add(paths, (char *) path);
        return image_notes_add(domain, IMAGE_HIDDEN, paths, error);
}

/* The file is gone, or none of our business. */
static bool forget(virDomainPtr domain, const char *path, GError **error) {
        return image_notes_drop(domain, IMAGE_HIDDEN, path, error) &&
               image_notes_drop(domain, IMAGE_MADE, path, error);
}

/* Whatever was interrupted on the way here, the definition must not send libvirt to the file. */
static bool forget_chain(virDomainPtr domain, const char *path, GError **error) {
        g_autofree char *old = snapshot_tree_definition(domain, true, error), *new = NULL;
        g_autoptr(GError) cause = NULL;

        if (!old)
                return false;
        new = definition_forget_chain(old, path, &cause);
        if (cause)
                g_propagate_error(error, g_steal_pointer(&cause));
        return new ? snapshot_tree_define(domain, new, error) : !cause;
}

/* Where libvirt writes what named the image, and the image itself. */
static void sync_names(virDomainPtr domain, const char *path) {
        g_auto(Layout) layout = {0};
        g_autofree char *images = g_path_get_dirname(path);
        bool ok;

        layout_of_domain(domain, &layout);
        ok = layout.definitions && fs_sync_all(layout.definitions) &&
             fs_sync_all(layout.snapshots) && fs_sync_all(layout.save) && fs_sync_all(images);
        if (!ok)
                sync();
}

/* Nobody names it any more. A file that no snapshot made is left to whoever did. */
static bool remove_waste(Job *job, virDomainPtr domain, const char *path, GError **error) {
        g_autoptr(GHashTable) made = image_notes_read(domain, IMAGE_MADE, error);

        if (!made)
                return false;
        if (!g_hash_table_contains(made, path)) {
                job_log(job, LOG_NOTICE,
                                "An image that is not needed any more stays: no snapshot made it");
                return forget(domain, path, error);
        }
        if (!forget_chain(domain, path, error))
                return false;
        sync_names(domain, path);
        return image_remove(path, error) && forget(domain, path, error);
}

/* Names */

/* *ret stays NULL if the text does not name the image. */
static bool replace(const Merge *merge, const char *text, char **ret, GError **error) {
        g_autoptr(GError) cause = NULL;

        *ret = definition_replace_image(
                        text, merge->top->path, merge->base->path, merge->base->format, &cause);
        if (!cause)
                return true;
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
}

static bool rename_in_snapshot(const Merge *merge, const char *id, GError **error) {
        g_autofree char *old = snapshot_tree_document(merge->domain, id, error);
        g_autofree char *new = NULL;

        if (!old || !replace(merge, old, &new, error))
                return false;
        return !new || snapshot_tree_redefine(merge->domain, id, new, error);
}

static bool rename_in_snapshots(const Merge *merge, GError **error) {
        for (unsigned i = 0; i < merge->tree->snapshots->len; i++) {
                const SnapshotDefinition *snapshot = merge->tree->snapshots->pdata[i];

                if (snapshot->external && !rename_in_snapshot(merge, snapshot->id, error))
                        return false;
        }
        return true;
}

/* A saved state has a definition of its own. */
static bool rename_in_saved_state(const Merge *merge, GError **error) {
        int saved = saved_image_exists(merge->domain);
        char *text;
        g_autofree char *new = NULL;
        bool ok;

        if (saved == 0)
                return true;
        text = saved > 0 ? virDomainManagedSaveGetXMLDesc(
                                           merge->domain, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
                         : NULL;
        ok = text && replace(merge, text, &new, NULL);
        if (ok && (!new || virDomainManagedSaveDefineXML(merge->domain, new, 0) == 0)) {
                free(text);
                return true;
        }
        backend_error_set(error, "Failed to change the saved state of '%s'",
                        virDomainGetName(merge->domain));
        free(text);
        return false;
}

static bool rename_in_definition(const Merge *merge, GError **error) {
        g_autofree char *old = snapshot_tree_definition(merge->domain, true, error);
        g_autofree char *new = NULL;

        if (!old || !replace(merge, old, &new, error))
                return false;
        return !new || snapshot_tree_define(merge->domain, new, error);
}

/* QEMU does it for what it has open. */
static bool rename_in_users(const Merge *merge, GError **error) {
        for (unsigned i = 0; i < merge->top->users->len; i++) {
                const TreeImage *user = merge->top->users->pdata[i];

                if (!user->running &&
                                !image_rebase_unsafe(user->path, user->format, merge->base->path,
                                                merge->base->format, error))
                        return false;
        }
        return true;
}

/* Merging */

static bool merge_offline(const Merge *merge, GError **error) {
        const ImageHooks hooks = {on_percent, NULL, (void *) merge};

        return image_commit(merge->top->path, merge->top->format, merge->base->path, &hooks,
                               error) &&
               hide(merge->domain, merge->top->path, error) && rename_in_users(merge, error) &&
               rename_in_snapshots(merge, error) && rename_in_saved_state(merge, error) &&
               rename_in_definition(merge, error);
}

/* What can't be read may rest on anything. */
static SnapshotTree *read_whole_tree(virDomainPtr domain, GError **error) {
        g_autoptr(SnapshotTree) tree = snapshot_tree_read(domain, error);

        if (!tree || !tree->problem)
                return g_steal_pointer(&tree);
        g_propagate_error(error, g_error_copy(tree->problem));
        return NULL;
}

/* Whether the running machine has stopped to use the image. */
static bool check_gone(const Merge *merge, GError **error) {
        g_autoptr(SnapshotTree) now = read_whole_tree(merge->domain, error);
        const TreeImage *top;

        if (!now)
                return false;
        top = g_hash_table_lookup(now->images, merge->top->path);
        if (!top || !top->running)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                        "QEMU could not merge the images of disk %s", merge->top->target);
        return false;
}

static bool merge_running(const Merge *merge, GError **error) {
        const ImageHooks hooks = {on_percent, NULL, (void *) merge};

        return hide(merge->domain, merge->top->path, error) &&
               block_commit(merge->job, merge->domain, merge->base, merge->top, &hooks, error) &&
               check_gone(merge, error) && image_file_sync(merge->base->path, error) &&
               rename_in_users(merge, error) && rename_in_snapshots(merge, error);
}

/* The tree that was gone by is as old as the merge took. Somebody beside us may have started the
 * machine, or made a snapshot, on the very image that is to go. */
static bool check_unused(const Merge *merge, GError **error) {
        g_autoptr(SnapshotTree) now = read_whole_tree(merge->domain, error);
        const TreeImage *top;

        if (!now)
                return false;
        top = g_hash_table_lookup(now->images, merge->top->path);
        if (!top || (!top->live && !top->running && top->users->len == 0))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FILE_IN_USE,
                        "An image of disk %s came into use while it was merged; it stays",
                        merge->top->target);
        return false;
}

static bool merge(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const TreeImage *base,
                Work *work,
                GError **error) {
        const Merge merge = {job, domain, tree, base, base->users->pdata[0], work};

        job_operational_status(job, OPERATIONAL_STATUS_MERGING);
        job_status(job, "merging disks");
        job_log(job, LOG_INFO, "Merging an image of disk %s into the one below", base->target);
        if (merge.top->running ? !merge_running(&merge, error) : !merge_offline(&merge, error))
                return false;
        work->done += merge.top->size;
        if (!check_unused(&merge, error))
                return false;
        /* The base is what the top was, which may have been hidden too; collect_one() will see. */
        return remove_waste(job, domain, merge.top->path, error);
}

/* Other machines */

static bool is_same_file(const char *a, const char *b) {
        struct stat x, y;

        return g_str_equal(a, b) || (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
                                                    x.st_ino == y.st_ino);
}

/* Whatever is there and can't be read may rest on the image. */
static bool disk_uses(const Disk *disk, const char *path) {
        g_autoptr(GPtrArray) chain = NULL;

        if (!disk->path || access(disk->path, F_OK) < 0)
                return false;
        if (is_same_file(disk->path, path))
                return true;
        if (!disk->is_disk || g_strcmp0(disk->format, "raw") == 0)
                return false;
        chain = image_chain_read(disk->path, disk->format ?: "qcow2", NULL);
        for (unsigned i = 0; chain && i < chain->len; i++)
                if (is_same_file(((ImageInfo *) chain->pdata[i])->path, path))
                        return true;
        return !chain && g_strcmp0(disk->format, "qcow2") == 0;
}

static bool definition_uses(virDomainPtr other, unsigned flags, const char *path) {
        char *text = virDomainGetXMLDesc(other, flags);
        g_autoptr(DiskSet) disks = text ? disk_set_parse(text, NULL) : NULL;

        free(text);
        for (unsigned i = 0; disks && i < disks->disks->len; i++)
                if (disk_uses(disks->disks->pdata[i], path))
                        return true;
        return !disks;
}

/* Now, and at its next start. */
static bool uses(virDomainPtr other, const char *path) {
        return definition_uses(other, 0, path) ||
               definition_uses(other, VIR_DOMAIN_XML_INACTIVE, path);
}

/* Somebody may have put a machine of his on an image of ours, as a linked clone. */
static bool is_used_elsewhere(virDomainPtr domain, const char *path) {
        virDomainPtr *all = NULL;
        int n = virConnectListAllDomains(virDomainGetConnect(domain), &all, 0);
        char own[VIR_UUID_STRING_BUFLEN] = "", uuid[VIR_UUID_STRING_BUFLEN];
        bool found = n < 0;

        (void) virDomainGetUUIDString(domain, own);
        for (int i = 0; i < n; i++) {
                if (!found && virDomainGetUUIDString(all[i], uuid) == 0 && !g_str_equal(uuid, own))
                        found = uses(all[i], path);
                (void) virDomainFree(all[i]);
        }
        free(all);
        return found;
}

static bool is_inhabited(const GPtrArray *images) {
        for (unsigned i = 0; i < images->len; i++)
                if (((const TreeImage *) images->pdata[i])->inhabited)
                        return true;
        return false;
}

static bool can_be_merged(const TreeImage *image) {
        return !image->live && image->users->len == 1 && !is_inhabited(image->users);
}

static uint64_t weigh(const SnapshotTree *tree, GHashTable *hidden) {
        uint64_t bytes = 0;
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, hidden);
        while (g_hash_table_iter_next(&iter, &path, NULL)) {
                const TreeImage *image = g_hash_table_lookup(tree->images, path);

                if (image && can_be_merged(image))
                        bytes += ((const TreeImage *) image->users->pdata[0])->size;
        }
        return bytes;
}

/* One image of the list. *ret_changed: the tree is different now. */
static bool collect_one(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const char *path,
                Work *work,
                bool *ret_changed,
                GError **error) {
        const TreeImage *image = g_hash_table_lookup(tree->images, path);

        *ret_changed = false;
        if (image && image->live)
                return image_notes_drop(domain, IMAGE_HIDDEN, path, error);
        if (image && !can_be_merged(image))
                return true;
        if (is_used_elsewhere(domain, path)) {
                job_log(job, LOG_NOTICE, "An image stays because another machine uses it");
                return true;
        }
        *ret_changed = true;
        if (image)
                return merge(job, domain, tree, image, work, error);
        return remove_waste(job, domain, path, error);
}

/* An image that can't be read may rest on any other, and may come back: a mount that is missing. */
static bool postpone(Job *job, const SnapshotTree *tree) {
        job_log(job, LOG_WARNING,
                        "Images that are not needed any more stay until all can be read: %s",
                        tree->problem->message);
        return true;
}

/* Whoever makes a file of that name later shall keep it. */
static bool forget_strangers(Job *job, virDomainPtr domain, GError **error) {
        g_autoptr(GHashTable) made = image_notes_read(domain, IMAGE_MADE, error);
        g_autoptr(GHashTable) hidden = image_notes_read(domain, IMAGE_HIDDEN, error);
        g_autoptr(SnapshotTree) tree = NULL;
        GHashTableIter iter;
        void *path;

        if (!made || !hidden)
                return false;
        if (g_hash_table_size(made) == 0)
                return true;
        tree = snapshot_tree_read(domain, error);
        if (!tree || tree->problem)
                return tree && postpone(job, tree);
        g_hash_table_iter_init(&iter, made);
        while (g_hash_table_iter_next(&iter, &path, NULL))
                if (!g_hash_table_contains(tree->images, path) &&
                                !g_hash_table_contains(hidden, path) &&
                                !image_notes_drop(domain, IMAGE_MADE, path, error))
                        return false;
        return true;
}

/* *ret: what the guest has gone over to from an image; NULL if it has not. */
static bool find_new(virDomainPtr domain,
                const SnapshotTree *tree,
                const TreeImage *left,
                const TreeImage **ret,
                GError **error) {
        const Disk *disk = left ? disk_set_find(tree->disks, left->target) : NULL;
        const TreeImage *below = left && left->backing
                                                 ? g_hash_table_lookup(tree->images, left->backing)
                                                 : NULL;
        int gone;

        *ret = NULL;
        if (!disk || !below)
                return true;
        if (!left->running)
                gone = g_strcmp0(disk->path, below->path) == 0;
        else if (g_strcmp0(disk->path, left->path) == 0)
                gone = guest_disks_have_left(domain, left->target, error);
        else
                gone = 0;
        if (gone > 0)
                *ret = below;
        return gone >= 0;
}

/* Takes the text; the one with the image that the guest has gone over to. NULL on failure. */
static char *follow_from(virDomainPtr domain,
                const SnapshotTree *tree,
                const char *path,
                char *text,
                bool *ret_changed,
                GError **error) {
        g_autofree char *old = text;
        const TreeImage *below;
        g_autoptr(GError) cause = NULL;
        char *new;

        if (!find_new(domain, tree, g_hash_table_lookup(tree->images, path), &below, error))
                return NULL;
        if (!below)
                return g_steal_pointer(&old);
        new = definition_replace_image(old, path, below->path, below->format, &cause);
        if (cause)
                g_propagate_error(error, g_steal_pointer(&cause));
        else if (!new)
                return g_steal_pointer(&old);
        *ret_changed = true;
        return new;
}

/* A disk goes over to the image below before the definition for the next start does. Who was
 * stopped in between would start with what the guest has left. */
static bool follow_guest(virDomainPtr domain, GError **error) {
        g_autoptr(GHashTable) hidden = image_notes_read(domain, IMAGE_HIDDEN, error);
        g_autoptr(SnapshotTree) tree = NULL;
        g_autofree char *text = NULL;
        bool changed = false;
        GHashTableIter iter;
        void *path;

        if (!hidden || g_hash_table_size(hidden) == 0)
                return hidden;
        tree = snapshot_tree_read(domain, error);
        if (!tree || !tree->active)
                return tree;
        text = snapshot_tree_definition(domain, true, error);
        g_hash_table_iter_init(&iter, hidden);
        while (text && g_hash_table_iter_next(&iter, &path, NULL))
                text = follow_from(domain, tree, path, text, &changed, error);
        return text && (!changed || (snapshot_tree_define(domain, text, error) &&
                                                    libvirt_files_sync(domain, error)));
}

bool collect_images(Job *job, virDomainPtr domain, GError **error) {
        bool changed = true;
        Work work = {0, 0};

        /* A guest that was stopped to switch over has not written since, and both images show the
         * same; once it goes on, only one of them is its disk. */
        if (!follow_guest(domain, error)) {
                if (block_commit_holds(job))
                        g_prefix_error(error, "'%s' stays paused: ", virDomainGetName(domain));
                return false;
        }
        block_commit_let_go_on(job, domain);
        if (!guest_disks_check(domain, error))
                return false;
        state_file_remove_halves(domain);
        while (changed) {
                g_autoptr(GHashTable) hidden = image_notes_read(domain, IMAGE_HIDDEN, error);
                g_autoptr(SnapshotTree) tree = NULL;
                GHashTableIter iter;
                void *path;

                if (!hidden)
                        return false;
                if (g_hash_table_size(hidden) == 0)
                        break;
                tree = snapshot_tree_read(domain, error);
                if (!tree || tree->problem)
                        return tree && postpone(job, tree);
                changed = false;
                work.total = work.done + weigh(tree, hidden);
                g_hash_table_iter_init(&iter, hidden);
                while (!changed && g_hash_table_iter_next(&iter, &path, NULL))
                        if (!collect_one(job, domain, tree, path, &work, &changed, error))
                                return false;
        }
        return forget_strangers(job, domain, error) && libvirt_files_sync(domain, error);
}
