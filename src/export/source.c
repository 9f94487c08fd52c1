/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/source.h"

#include "backend/saved-image.h"
#include "util/error.h"

static char *file_or_null(char *path) {
        if (path && g_file_test(path, G_FILE_TEST_EXISTS))
                return path;
        g_free(path);
        return NULL;
}

static bool read_present(ExportSource *source, GError **error) {
        source->definition = snapshot_tree_definition(source->domain, true, error);
        source->disks = source->definition ? disk_set_parse(source->definition, error) : NULL;
        if (!source->disks)
                return false;
        source->memory = saved_image_path(source->domain);
        source->nvram = file_or_null(g_strdup(source->tree->disks->nvram));
        source->tpm = file_or_null(g_strdup(source->tree->disks->tpm_state));
        return true;
}

/* The machine of that time under the name, and with the notes, that it has now. */
static char *definition_of(const ExportSource *source, GError **error) {
        g_autofree char *now = snapshot_tree_definition(source->domain, true, error);
        g_autoptr(DiskSet) frozen = now ? disk_set_parse(source->shown->domain, error) : NULL;
        g_autofree char *then = frozen ? definition_with_disks_of(source->shown->domain_to_define,
                                                         frozen, error)
                                       : NULL;

        return then ? definition_with_identity(then, now, error) : NULL;
}

static const SnapshotDefinition *find(const ExportSource *source, const char *id, GError **error) {
        const SnapshotDefinition *snapshot = snapshot_tree_find(source->tree, id);

        if (!snapshot)
                error_fail(VIRTASK_ERROR_NO_SUCH_SNAPSHOT, error, "The snapshot '%s' is gone", id);
        else if (!snapshot->external)
                error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                "The snapshot '%s' is inside the images of the machine and can "
                                "only be exported together with it",
                                id);
        else
                return snapshot;
        return NULL;
}

static bool read_snapshot(ExportSource *source, const char *id, GError **error) {
        source->shown = find(source, id, error);
        if (!source->shown)
                return false;
        source->definition = definition_of(source, error);
        source->disks = source->definition ? disk_set_parse(source->definition, error) : NULL;
        if (!source->disks)
                return false;
        source->memory = file_or_null(g_strdup(source->shown->memory_file));
        if (!source->memory)
                source->memory = file_or_null(
                                saved_image_path_of_snapshot(source->domain, id, "memory"));
        source->nvram = file_or_null(saved_image_path_of_snapshot(source->domain, id, "nvram"));
        source->tpm = file_or_null(saved_image_path_of_snapshot(source->domain, id, "tpm"));
        return true;
}

static bool read_base(ExportSource *source, const char *id, GError **error) {
        source->base = find(source, id, error);
        source->base_disks = source->base ? disk_set_parse(source->base->domain, error) : NULL;
        return source->base_disks;
}

ExportSource *export_source_read(
                virDomainPtr domain, const char *snapshot, const char *base, GError **error) {
        g_autoptr(ExportSource) source = g_new0(ExportSource, 1);

        source->domain = domain;
        source->tree = snapshot_tree_read(domain, error);
        if (!source->tree)
                return NULL;
        if (snapshot ? !read_snapshot(source, snapshot, error) : !read_present(source, error))
                return NULL;
        if (base && !read_base(source, base, error))
                return NULL;
        return g_steal_pointer(&source);
}

void export_source_free(ExportSource *source) {
        if (!source)
                return;
        snapshot_tree_free(source->tree);
        g_clear_pointer(&source->disks, disk_set_free);
        g_clear_pointer(&source->base_disks, disk_set_free);
        g_free(source->definition);
        g_free(source->memory);
        g_free(source->nvram);
        g_free(source->tpm);
        g_free(source);
}

static bool has(char **targets, const char *target) {
        return targets && g_strv_contains((const char *const *) targets, target);
}

static bool is_excluded(const ExportRequest *request, const char *target) {
        bool all = !request->included || !*request->included;

        return has(request->excluded, target) || (!all && !has(request->included, target));
}

bool export_source_has(const ExportRequest *request, const Disk *disk) {
        return disk->is_disk && !is_excluded(request, disk->target);
}

const char *export_source_base_of(const ExportSource *source, const Disk *disk) {
        const Disk *before =
                        source->base_disks ? disk_set_find(source->base_disks, disk->target) : NULL;

        return before && disk_is_snapshottable(before) ? before->path : NULL;
}

static const TreeImage *find_image(const ExportSource *source, const char *path) {
        return path ? g_hash_table_lookup(source->tree->images, path) : NULL;
}

uint64_t export_source_weigh(const ExportSource *source, const Disk *disk) {
        uint64_t bytes = 0;

        for (const TreeImage *image = find_image(source, disk->path); image;
                        image = find_image(source, image->backing))
                bytes += image->size;
        return bytes;
}

static bool rests_on(const ExportSource *source, const Disk *disk, const char *path) {
        const TreeImage *image = find_image(source, disk->path);

        while (image && !g_str_equal(image->path, path))
                image = find_image(source, image->backing);
        return image;
}

static bool check_base(const ExportSource *source, const Disk *disk, GError **error) {
        const char *base = export_source_base_of(source, disk);

        return !base || rests_on(source, disk, base) ||
               error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                               "The disk '%s' does not follow DifferentialBackupBase",
                               disk->target);
}

static bool check_targets(const ExportSource *source, char **targets, GError **error) {
        for (unsigned i = 0; targets && targets[i]; i++)
                if (!disk_set_find(source->disks, targets[i]))
                        return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                        "The machine has no disk '%s'", targets[i]);
        return true;
}

bool export_source_check(const ExportSource *source, const ExportRequest *request, GError **error) {
        if (!check_targets(source, request->excluded, error) ||
                        !check_targets(source, request->included, error))
                return false;
        for (unsigned i = 0; i < source->disks->disks->len; i++) {
                const Disk *disk = source->disks->disks->pdata[i];

                if (!request->storage || !export_source_has(request, disk))
                        continue;
                if (!disk_is_snapshottable(disk) ||
                                !g_hash_table_contains(source->tree->images, disk->path))
                        return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                        "The disk '%s' is not in a file of its own that can be "
                                        "copied; exclude it",
                                        disk->target);
                if (!check_base(source, disk, error))
                        return false;
        }
        return true;
}
