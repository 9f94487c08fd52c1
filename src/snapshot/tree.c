/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Images form a forest: each lies on at most one other, and several may lie on one. Disks of the
 * machine and of its snapshots point into it. What nobody points at, and what carries nobody, is
 * waste; what carries one alone can be merged with that one. */

#include "snapshot/tree.h"

#include <string.h>
#include <sys/statvfs.h>

#include "backend/backend-error.h"
#include "backend/backend.h"
#include "backend/layout.h"
#include "backend/saved-image.h"
#include "disk/image.h"
#include "util/error.h"

#define ROOM_BYTES (64 * 1024) /* for the descriptions of a few snapshots */

static void image_free(void *data) {
        TreeImage *image = data;

        g_free(image->path);
        g_free(image->format);
        g_free(image->backing);
        g_free(image->target);
        g_ptr_array_unref(image->users);
        g_clear_error(&image->problem);
        g_free(image);
}

static void definition_free(void *data) {
        snapshot_definition_free(data);
}

void snapshot_tree_free(SnapshotTree *tree) {
        if (!tree)
                return;
        disk_set_free(tree->disks);
        g_ptr_array_unref(tree->snapshots);
        g_hash_table_unref(tree->images);
        g_clear_error(&tree->problem);
        g_free(tree);
}

SnapshotDefinition *snapshot_tree_find(const SnapshotTree *tree, const char *id) {
        for (unsigned i = 0; i < tree->snapshots->len; i++) {
                SnapshotDefinition *snapshot = tree->snapshots->pdata[i];

                if (g_str_equal(snapshot->id, id))
                        return snapshot;
        }
        return NULL;
}

static TreeImage *add_image(SnapshotTree *tree, const ImageInfo *info, const char *target) {
        TreeImage *image = g_hash_table_lookup(tree->images, info->path);

        if (image)
                return image;
        image = g_new0(TreeImage, 1);
        image->path = g_strdup(info->path);
        image->format = g_strdup(info->format);
        image->backing = g_strdup(info->backing);
        image->target = g_strdup(target);
        image->size = info->actual_size;
        image->virtual_size = info->virtual_size;
        image->users = g_ptr_array_new();
        g_hash_table_insert(tree->images, image->path, image);
        return image;
}

/* The one at the end of the chain, of which no more is known than its name. "problem" is taken. */
static void add_unreadable(
                SnapshotTree *tree, GPtrArray *chain, const Disk *disk, GError *problem) {
        const ImageInfo *last = chain->len > 0 ? chain->pdata[chain->len - 1] : NULL;
        ImageInfo *info = g_new0(ImageInfo, 1);
        TreeImage *image;

        info->path = g_strdup(last ? last->backing : disk->path);
        info->format = g_strdup(last ? last->backing_format : disk->format);
        g_ptr_array_add(chain, info);
        image = add_image(tree, info, disk->target);
        if (!tree->problem)
                tree->problem = g_error_copy(problem);
        if (image->problem)
                g_error_free(problem);
        else
                image->problem = problem;
}

static void add_chain(SnapshotTree *tree, const Disk *disk, bool live, bool running) {
        GError *problem = NULL;
        g_autoptr(GPtrArray) chain = image_chain_read_part(disk->path, disk->format, &problem);

        if (problem)
                add_unreadable(tree, chain, disk, problem);
        for (unsigned i = 0; i < chain->len; i++) {
                TreeImage *image = add_image(tree, chain->pdata[i], disk->target);

                image->live |= live && i == 0;
                image->running |= running;
        }
}

static void add_disks(SnapshotTree *tree, const DiskSet *disks, bool running) {
        for (unsigned i = 0; i < disks->disks->len; i++) {
                const Disk *disk = disks->disks->pdata[i];

                if (disk_is_snapshottable(disk))
                        add_chain(tree, disk, true, running);
        }
}

/* Of a snapshot inside its images. */
static void add_inhabited(SnapshotTree *tree, const SnapshotDefinition *snapshot, DiskSet *disks) {
        for (unsigned i = 0; i < snapshot->targets->len; i++) {
                const Disk *disk = disk_set_find(disks, snapshot->targets->pdata[i]);
                TreeImage *image;

                if (!disk || !disk_is_snapshottable(disk))
                        continue;
                add_chain(tree, disk, false, false);
                image = g_hash_table_lookup(tree->images, disk->path);
                image->inhabited = true;
        }
}

static bool add_snapshot(SnapshotTree *tree, SnapshotDefinition *snapshot, GError **error) {
        g_autoptr(DiskSet) disks = NULL;

        g_ptr_array_add(tree->snapshots, snapshot);
        disks = disk_set_parse(snapshot->domain, error);
        if (!disks)
                return false;
        if (snapshot->external)
                add_disks(tree, disks, false);
        else
                add_inhabited(tree, snapshot, disks);
        return true;
}

static void link_users(SnapshotTree *tree) {
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, tree->images);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                TreeImage *image = value;
                TreeImage *below =
                                image->backing ? g_hash_table_lookup(tree->images, image->backing)
                                               : NULL;

                if (below)
                        g_ptr_array_add(below->users, image);
        }
}

char *snapshot_tree_definition(virDomainPtr domain, bool inactive, GError **error) {
        char *text = virDomainGetXMLDesc(
                        domain, VIR_DOMAIN_XML_SECURE | (inactive ? VIR_DOMAIN_XML_INACTIVE : 0));
        char *copy;

        if (!text) {
                backend_error_set(error, "Failed to read the definition of '%s'",
                                virDomainGetName(domain));
                return NULL;
        }
        copy = g_strdup(text);
        free(text);
        return copy;
}

bool snapshot_tree_define(virDomainPtr domain, const char *text, GError **error) {
        g_autoptr(virDomain) defined =
                        virDomainDefineXMLFlags(virDomainGetConnect(domain), text, 0);

        if (!defined)
                backend_error_set(error, "Failed to change the definition of '%s'",
                                virDomainGetName(domain));
        return defined;
}

static bool add_definition(SnapshotTree *tree, const char *text, GError **error) {
        g_autoptr(DiskSet) disks = disk_set_parse(text, error);

        if (disks)
                add_disks(tree, disks, false);
        return disks;
}

/* The disks that a running machine will have need not be those that it has. */
static bool add_next_start(SnapshotTree *tree, virDomainPtr domain, GError **error) {
        g_autofree char *text = NULL;

        if (!tree->active || virDomainIsPersistent(domain) != 1)
                return true;
        text = snapshot_tree_definition(domain, true, error);
        return text && add_definition(tree, text, error);
}

/* A saved machine goes on with the disks that its saved state names. */
static bool add_saved_state(SnapshotTree *tree, virDomainPtr domain, GError **error) {
        char *text;
        bool ok;

        if (tree->active || saved_image_exists(domain) != 1)
                return true;
        text = virDomainManagedSaveGetXMLDesc(domain, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
        if (!text) {
                backend_error_set(error, "Failed to read the saved state of '%s'",
                                virDomainGetName(domain));
                return false;
        }
        ok = add_definition(tree, text, error);
        free(text);
        return ok;
}

/* Where libvirt keeps the descriptions; NULL where that is out of reach. */
static char *directory_of_snapshots(virDomainPtr domain) {
        g_auto(Layout) layout = {0};
        char *uri = virConnectGetURI(virDomainGetConnect(domain));

        if (uri)
                layout_of_uri(uri, &layout);
        free(uri);
        return layout.snapshots ? g_build_filename(layout.snapshots, virDomainGetName(domain), NULL)
                                : NULL;
}

/* One that libvirt has dropped, because it could not write its description, comes back when it is
 * restarted. What it names is not known until then. */
static void check_all_are_listed(SnapshotTree *tree, virDomainPtr domain) {
        g_autofree char *path = directory_of_snapshots(domain);
        g_autoptr(GDir) directory = path ? g_dir_open(path, 0, NULL) : NULL;
        const char *name;

        while (directory && !tree->problem && (name = g_dir_read_name(directory))) {
                g_autofree char *id = g_str_has_suffix(name, ".xml")
                                                      ? g_strndup(name, strlen(name) - 4)
                                                      : NULL;

                if (id && !snapshot_tree_find(tree, id))
                        g_set_error(&tree->problem, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                        "libvirt does not know the snapshot in '%s/%s' any more; "
                                        "restart it",
                                        path, name);
        }
}

static bool read_snapshots(SnapshotTree *tree, virDomainPtr domain, GError **error) {
        virDomainSnapshotPtr *all = NULL;
        int n = virDomainListAllSnapshots(domain, &all, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
        bool ok = n >= 0;

        if (n < 0)
                backend_error_set(error, "Failed to list the snapshots of '%s'",
                                virDomainGetName(domain));
        for (int i = 0; i < n; i++) {
                char *text = ok ? virDomainSnapshotGetXMLDesc(
                                                  all[i], VIR_DOMAIN_SNAPSHOT_XML_SECURE)
                                : NULL;
                SnapshotDefinition *snapshot = NULL;

                if (ok && !text)
                        backend_error_set(error, "Failed to read the snapshot '%s'",
                                        virDomainSnapshotGetName(all[i]));
                else if (ok)
                        snapshot = snapshot_definition_parse(text, error);
                ok = snapshot && add_snapshot(tree, snapshot, error);
                free(text);
                (void) virDomainSnapshotFree(all[i]);
        }
        free(all);
        return ok;
}

/* libvirt 9.0 chooses the firmware anew at each start: before, the definition does not say where
 * the variables are, which have the same name each time. */
static char *find_variables(virDomainPtr domain) {
        g_auto(Layout) layout = {0};
        g_autofree char *directory = NULL, *name = NULL;

        layout_of_domain(domain, &layout);
        if (!layout.save)
                return NULL;
        directory = g_path_get_dirname(layout.save);
        name = g_strdup_printf("%s_VARS.fd", virDomainGetName(domain));
        return g_build_filename(directory, "nvram", name, NULL);
}

/* Where libvirt has told swtpm to keep it. NULL before the first start. */
static char *find_tpm_state(virDomainPtr domain) {
        static const char *const files[] = {"tpm2/tpm2-00.permall", "tpm1.2/tpm-00.permall"};
        g_auto(Layout) layout = {0};
        char uuid[VIR_UUID_STRING_BUFLEN];

        layout_of_domain(domain, &layout);
        for (unsigned i = 0; layout.tpm && virDomainGetUUIDString(domain, uuid) == 0 &&
                             i < G_N_ELEMENTS(files);
                        i++) {
                g_autofree char *path = g_build_filename(layout.tpm, uuid, files[i], NULL);

                if (g_file_test(path, G_FILE_TEST_EXISTS))
                        return g_steal_pointer(&path);
        }
        return NULL;
}

SnapshotTree *snapshot_tree_read(virDomainPtr domain, GError **error) {
        g_autoptr(SnapshotTree) tree = g_new0(SnapshotTree, 1);
        g_autofree char *now = NULL;
        int active = virDomainIsActive(domain);

        tree->images = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, image_free);
        tree->snapshots = g_ptr_array_new_with_free_func(definition_free);
        if (active < 0) {
                backend_error_set(error, "Failed to look at '%s'", virDomainGetName(domain));
                return NULL;
        }
        tree->active = active;
        now = snapshot_tree_definition(domain, false, error);
        tree->disks = now ? disk_set_parse(now, error) : NULL;
        if (!tree->disks)
                return NULL;
        add_disks(tree, tree->disks, tree->active);
        if (!add_next_start(tree, domain, error) || !add_saved_state(tree, domain, error) ||
                        !read_snapshots(tree, domain, error))
                return NULL;
        check_all_are_listed(tree, domain);
        if (tree->disks->has_uefi && !tree->disks->nvram)
                tree->disks->nvram = find_variables(domain);
        if (tree->disks->has_tpm)
                tree->disks->tpm_state = find_tpm_state(domain);
        link_users(tree);
        return g_steal_pointer(&tree);
}

char *snapshot_tree_document(virDomainPtr domain, const char *id, GError **error) {
        virDomainSnapshotPtr snapshot = virDomainSnapshotLookupByName(domain, id, 0);
        char *text = snapshot ? virDomainSnapshotGetXMLDesc(
                                                snapshot, VIR_DOMAIN_SNAPSHOT_XML_SECURE)
                              : NULL;
        char *copy = g_strdup(text);

        if (!text)
                backend_error_set(error, "Failed to read the snapshot '%s'", id);
        if (snapshot)
                (void) virDomainSnapshotFree(snapshot);
        free(text);
        return copy;
}

/* libvirt drops a snapshot, until it is restarted, whose description it fails to write. */
static bool check_room(virDomainPtr domain, const char *id, const char *text, GError **error) {
        g_autofree char *directory = directory_of_snapshots(domain);
        struct statvfs st;

        if (!directory || statvfs(directory, &st) < 0 ||
                        st.f_bavail >= (2 * strlen(text) + ROOM_BYTES) / st.f_frsize)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL,
                        "Failed to change the snapshot '%s': No space left on device", id);
        return false;
}

static bool
redefine(virDomainPtr domain, const char *id, const char *text, unsigned flags, GError **error) {
        virDomainSnapshotPtr snapshot;

        if (!check_room(domain, id, text, error))
                return false;
        snapshot = virDomainSnapshotCreateXML(
                        domain, text, VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | flags);
        if (!snapshot) {
                backend_error_set(error, "Failed to change the snapshot '%s'", id);
                return false;
        }
        (void) virDomainSnapshotFree(snapshot);
        return true;
}

bool snapshot_tree_redefine(virDomainPtr domain, const char *id, const char *text, GError **error) {
        virDomainSnapshotPtr snapshot = virDomainSnapshotLookupByName(domain, id, 0);
        bool current = snapshot && virDomainSnapshotIsCurrent(snapshot, 0) == 1;

        if (snapshot)
                (void) virDomainSnapshotFree(snapshot);
        return redefine(domain, id, text, current ? VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT : 0, error);
}

bool snapshot_tree_check_room(virDomainPtr domain, const char *id, GError **error) {
        g_autofree char *text = snapshot_tree_document(domain, id, error);

        return text && check_room(domain, id, text, error);
}

bool snapshot_tree_make_current(virDomainPtr domain, const char *id, GError **error) {
        g_autofree char *text = snapshot_tree_document(domain, id, error);

        return text && redefine(domain, id, text, VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT, error);
}
