/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What becomes of each disk:
 *
 *     copied      its chain, file by file: snapshots rest on the same files; of a difference what
 *                 lies above the base
 *     merged      one snapshot, as a machine of its own: its chain becomes one image
 *     overlaid    it stays where it is, and whoever uses the bundle writes to an overlay in it
 *     named       it stays where it is, and is used there */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/manifest.h"
#include "disk/image-file.h"
#include "disk/image-lock.h"
#include "disk/image-server.h"
#include "disk/image.h"
#include "export/plan-internal.h"
#include "util/error.h"
#include "util/fd.h"

#define FIRST_DESCRIPTOR 3

static bool is_copied(const Planner *p, const Disk *disk) {
        return p->request->storage && export_source_has(p->request, disk);
}

static const TreeImage *find_image(const Planner *p, const char *path) {
        return path ? g_hash_table_lookup(p->source->tree->images, path) : NULL;
}

static bool is_merged(const Planner *p, const Disk *disk) {
        const TreeImage *image = find_image(p, disk->path);

        return export_request_merges(p->request) && image && image->backing;
}

bool plan_has_snapshot(const Planner *p, const SnapshotDefinition *snapshot) {
        return p->request->snapshots == EXPORT_ALL_SNAPSHOTS && snapshot != p->source->shown;
}

/* Names */

/* "vda.qcow2" for the first image of a disk, then "vda-1.qcow2". */
static void name_image(Planner *p, const TreeImage *image) {
        g_autoptr(GHashTable) taken = g_hash_table_new(g_str_hash, g_str_equal);
        char *name = g_strdup_printf("disks/%s.%s", image->target, image->format);
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, p->names);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                g_hash_table_add(taken, value);
        for (unsigned i = 1; g_hash_table_contains(taken, name); i++) {
                g_free(name);
                name = g_strdup_printf("disks/%s-%u.%s", image->target, i, image->format);
        }
        g_hash_table_insert(p->names, image->path, name);
}

/* Down to the image "base", which is left out; NULL: all of it. */
static void name_chain(Planner *p, const char *path, const char *base) {
        for (const TreeImage *image = find_image(p, path);
                        image && g_strcmp0(image->path, base) != 0;
                        image = find_image(p, image->backing))
                if (!g_hash_table_contains(p->names, image->path))
                        name_image(p, image);
}

void plan_name_images(Planner *p) {
        const GPtrArray *disks = p->source->disks->disks;

        for (unsigned i = 0; i < disks->len; i++) {
                const Disk *disk = disks->pdata[i];

                if (is_copied(p, disk) && !is_merged(p, disk))
                        name_chain(p, disk->path, export_source_base_of(p->source, disk));
        }
}

bool plan_name_snapshot(Planner *p, const SnapshotDefinition *snapshot, GError **error) {
        g_autoptr(DiskSet) disks = disk_set_parse(snapshot->domain, error);

        for (unsigned i = 0; disks && p->request->storage && i < disks->disks->len; i++) {
                const Disk *disk = disks->disks->pdata[i];

                if (disk->is_disk)
                        name_chain(p, disk->path, NULL);
        }
        return disks;
}

/* Files that are copied as they are */

static void add_descriptor(Planner *p, JsonObject *image, int fd) {
        json_object_set_int_member(
                        image, "descriptor", FIRST_DESCRIPTOR + (gint64) p->plan->descriptors->len);
        g_array_append_val(p->plan->descriptors, fd);
}

static void add_entry(Planner *p, const char *path, const char *name, JsonObject *image) {
        json_object_set_string_member(image, "file", name);
        json_array_add_object_element(p->images, image);
        if (path)
                g_hash_table_insert(
                                p->copies, g_strdup(path), g_strconcat(p->here, "/", name, NULL));
}

static bool add_file(Planner *p,
                const char *path,
                const char *name,
                const char *backing,
                bool lock,
                GError **error) {
        JsonObject *image;
        struct stat st;
        auto_fd fd = image_file_open(path, false, &st, error);

        if (fd < 0 || (lock && !image_lock_for_reading(fd, path, error)))
                return false;
        image = json_object_new();
        add_descriptor(p, image, fd_take(&fd));
        if (backing)
                json_object_set_string_member(image, "backing", backing);
        else
                json_object_set_null_member(image, "backing");
        add_entry(p, path, name, image);
        return true;
}

bool plan_add_state(Planner *p, const char *path, char **name, GError **error) {
        if (path && g_file_test(path, G_FILE_TEST_EXISTS))
                return add_file(p, path, *name, NULL, false, error);
        g_clear_pointer(name, g_free);
        return true;
}

/* No file has this name: what rests on the base can't be used without it. */
static char *base_name(const char *target) {
        return g_strconcat(target, MANIFEST_BASE, NULL);
}

static char *backing_name(const Planner *p, const TreeImage *image) {
        const char *below = image->backing ? g_hash_table_lookup(p->names, image->backing) : NULL;

        if (below)
                return g_path_get_basename(below);
        return image->backing ? base_name(image->target) : NULL;
}

static bool add_copy(Planner *p, const TreeImage *image, GError **error) {
        const char *name = g_hash_table_lookup(p->names, image->path);
        g_autofree char *backing = backing_name(p, image);

        if (image->problem) {
                g_propagate_error(error, g_error_copy(image->problem));
                return false;
        }
        return add_file(p, image->path, name, backing, true, error);
}

static bool add_copies(Planner *p, GError **error) {
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, p->names);
        while (g_hash_table_iter_next(&iter, &path, NULL)) {
                const TreeImage *image = find_image(p, path);

                if (image && !add_copy(p, image, error))
                        return false;
        }
        return true;
}

/* Images that are made */

static void replace_disk(Planner *p, const Disk *disk, const char *name, JsonObject *image) {
        add_entry(p, NULL, name, image);
        g_hash_table_insert(
                        p->replaced, g_strdup(disk->target), g_strconcat(p->here, "/", name, NULL));
}

/* An overlay on an image that the guest writes to would show a mixture. */
static bool is_overlaid(const Planner *p, const Disk *disk) {
        return disk->is_disk && !is_copied(p, disk) && disk->path && disk->format &&
               disk_is_snapshottable(disk) && !p->request->without_overlays &&
               !p->request->for_migration &&
               (!p->source->tree->active || export_request_is_of_one(p->request));
}

static bool add_overlay(Planner *p, const Disk *disk, const char *backing, GError **error) {
        g_autofree char *name = g_strdup_printf("disks/%s.qcow2", disk->target);
        g_autoptr(ImageInfo) info = image_info_read(disk->path, disk->format, error);
        JsonObject *image;

        if (!info)
                return false;
        image = json_object_new();
        json_object_set_string_member(image, "overlay", backing);
        json_object_set_string_member(image, "format", disk->format);
        json_object_set_int_member(image, "size", (gint64) info->virtual_size);
        replace_disk(p, disk, name, image);
        return true;
}

/* Nothing has changed since the base. */
static bool is_base(const Planner *p, const Disk *disk) {
        return g_strcmp0(disk->path, export_source_base_of(p->source, disk)) == 0;
}

static bool add_merged(Planner *p, const Disk *disk, GError **error) {
        g_autofree char *name = g_strdup_printf("disks/%s.qcow2", disk->target);
        JsonObject *object;
        int connection = image_server_connect(p->plan->server, error);

        if (connection < 0)
                return false;
        object = json_object_new();
        add_descriptor(p, object, connection);
        json_object_set_string_member(object, "export", disk->target);
        json_object_set_int_member(object, "size", (gint64) export_source_weigh(p->source, disk));
        replace_disk(p, disk, name, object);
        return true;
}

static bool serve_merged(Planner *p, GError **error) {
        const GPtrArray *disks = p->source->disks->disks;
        g_autoptr(GArray) served = g_array_new(FALSE, FALSE, sizeof(ServedImage));

        for (unsigned i = 0; i < disks->len; i++) {
                const Disk *disk = disks->pdata[i];
                const ServedImage image = {disk->target, disk->path, disk->format, false};

                if (is_copied(p, disk) && is_merged(p, disk))
                        g_array_append_val(served, image);
        }
        if (served->len == 0)
                return true;
        p->plan->server = image_server_start(
                        (const ServedImage *) (void *) served->data, served->len, error);
        return p->plan->server;
}

static bool add_made(Planner *p, const Disk *disk, GError **error) {
        g_autofree char *base = base_name(disk->target);

        if (is_copied(p, disk) && is_merged(p, disk))
                return add_merged(p, disk, error);
        if (is_copied(p, disk) && is_base(p, disk))
                return add_overlay(p, disk, base, error);
        return !is_overlaid(p, disk) || add_overlay(p, disk, disk->path, error);
}

/* What the manifest says of a disk: its images in the bundle, the top of the chain first. */
static void describe(Planner *p, const Disk *disk) {
        const char *here = g_hash_table_lookup(p->replaced, disk->target);
        const TreeImage *image = find_image(p, disk->path);
        const char *file;
        JsonObject *object;
        JsonArray *images;

        if (!image || (!here && !g_hash_table_contains(p->names, image->path)))
                return;
        object = json_object_new();
        images = json_array_new();
        json_object_set_string_member(object, "target", disk->target);
        json_object_set_string_member(object, "format", here ? "qcow2" : image->format);
        json_object_set_int_member(object, "virtual-size", (gint64) image->virtual_size);
        if (here)
                json_array_add_string_element(images, here + strlen(p->here) + 1);
        for (; !here && image && (file = g_hash_table_lookup(p->names, image->path));
                        image = find_image(p, image->backing))
                json_array_add_string_element(images, file);
        json_object_set_array_member(object, "images", images);
        if (here && !is_copied(p, disk))
                json_object_set_string_member(object, "backing", disk->path);
        if (is_copied(p, disk) && export_source_base_of(p->source, disk))
                json_object_set_boolean_member(object, "differs", true);
        json_array_add_object_element(p->disks, object);
}

bool plan_add_images(Planner *p, GError **error) {
        const GPtrArray *disks = p->source->disks->disks;

        if (!add_copies(p, error) || !serve_merged(p, error))
                return false;
        for (unsigned i = 0; i < disks->len; i++) {
                if (!add_made(p, disks->pdata[i], error))
                        return false;
                describe(p, disks->pdata[i]);
        }
        return true;
}
