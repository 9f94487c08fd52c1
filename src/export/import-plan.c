/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/import-plan.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "backend/saved-image.h"
#include "backend/xml.h"
#include "bundle/writer.h"
#include "disk/disk-set.h"
#include "snapshot/definition.h"
#include "util/error.h"
#include "util/name.h"

#define README         "README"
#define STATE_PREFIX   "state/"
#define SNAPSHOTS      "snapshots/"
#define DIRECTORY_MAX  200U                  /* bytes of a name that a directory can have */
#define STATE_SIZE_MAX (UINT64_C(256) << 20) /* of variables of the firmware, or of a TPM */
#define TPM_USER       "tss"                 /* libvirt's preset for who runs swtpm */

static bool fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool fail(GError **error, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list args;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, text);
        return false;
}

static void free_snapshot(void *data) {
        ImportSnapshot *snapshot = data;

        g_free(snapshot->id);
        g_free(snapshot->definition);
        g_free(snapshot->memory);
        g_clear_pointer(&snapshot->by_target, g_hash_table_unref);
        g_free(snapshot);
}

static void free_disk(void *data) {
        ImportDisk *disk = data;

        g_free(disk->target);
        g_ptr_array_unref(disk->images);
        g_free(disk->below);
        g_free(disk);
}

void import_plan_free(ImportPlan *plan) {
        if (!plan)
                return;
        g_free(plan->name);
        g_free(plan->uuid);
        g_free(plan->directory);
        g_free(plan->definition);
        g_free(plan->variables);
        g_free(plan->current);
        g_free(plan->saved);
        g_ptr_array_unref(plan->disks);
        g_ptr_array_unref(plan->snapshots);
        g_hash_table_unref(plan->by_target);
        definition_import_clear(&plan->import);
        import_files_free(plan->files);
        g_ptr_array_unref(plan->lower_disks);
        g_hash_table_unref(plan->joints);
        g_free(plan);
}

/* Whom the files are for. */
typedef struct Planner {
        ImportPlan *plan;
        const Manifest *manifest;
        const ImportRequest *request;
        const Layout *layout;
        ImportPlace *images; /* the directory */
        GHashTable *used;    /* set of the files of the manifest that are for something */
} Planner;

static const char *definition_text(const Planner *p, const char *name) {
        g_hash_table_add(p->used, (char *) name);
        return g_hash_table_lookup(p->plan->summary->texts, name);
}

/* Identity */

static bool choose_name(Planner *p, JsonObject *machine, GError **error) {
        const char *name = p->request->name ?: manifest_text(machine, "name");

        if (!name)
                return fail(error, "The manifest does not name the machine");
        p->plan->name = g_strdup(name);
        return name_check(name, error);
}

static bool choose_uuid(Planner *p, JsonObject *machine, GError **error) {
        const char *uuid = manifest_text(machine, "uuid");

        if (!uuid || !g_uuid_string_is_valid(uuid))
                return fail(error, "The manifest has no UUID of the machine");
        p->plan->uuid = p->request->new_identifier ? g_uuid_string_random()
                                                   : g_ascii_strdown(uuid, -1);
        return true;
}

ImportPlace *import_plan_choose_directory(ImportPlan *plan, const char *storage) {
        bool fits = *plan->name != '.' && strlen(plan->name) <= DIRECTORY_MAX;
        ImportPlace *place;

        plan->directory = g_build_filename(storage, fits ? plan->name : plan->uuid, NULL);
        place = import_files_add_place(plan->files, plan->directory, true);
        plan->place = place;
        return place;
}

/* Images */

static bool is_chunk_list(const Manifest *manifest, const char *name) {
        for (unsigned i = 0; i < manifest->files->len; i++)
                if (g_strcmp0(((ManifestFile *) manifest->files->pdata[i])->chunks, name) == 0)
                        return true;
        return false;
}

static void add_images(Planner *p) {
        for (unsigned i = 0; i < p->manifest->files->len; i++) {
                const ManifestFile *file = p->manifest->files->pdata[i];

                if (is_chunk_list(p->manifest, file->name)) {
                        g_hash_table_add(p->used, file->name);
                        continue;
                }
                if (!g_str_has_prefix(file->name, IMAGES_PREFIX))
                        continue;
                g_hash_table_add(p->used, file->name);
                g_hash_table_insert(p->plan->import.images, g_strdup(file->name), NULL);
                import_files_add(p->plan->files, p->images, file->name + strlen(IMAGES_PREFIX),
                                file->name);
        }
}

/* Whoever says that a disk is here is not believed either, see import-check.c. */
static bool check_is_here(JsonObject *object, const char *target, GError **error) {
        if (!json_object_has_member(object, "backing"))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "The disk '%s' was left where it is, and rests on an image there", target);
        return false;
}

static bool check_has_base(const Planner *p, const ImportDisk *disk, GError **error) {
        if (!disk->differs || (p->request->bases && *p->request->bases))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "The disk '%s' is only what has changed, and the exports that it is "
                        "counted from are needed as well (option BaseDirectories)",
                        disk->target);
        return false;
}

static bool read_disk(ImportDisk *disk, JsonNode *node, const char **ret_format, GError **error) {
        JsonObject *object = manifest_object(node);
        const char *target = object ? manifest_text(object, "target") : NULL;
        const char *format = object ? manifest_text(object, "format") : NULL;
        JsonArray *images = object ? manifest_array(object, "images") : NULL;

        if (!target || !format || !images || json_array_get_length(images) == 0 ||
                        !manifest_number(object, "virtual-size", &disk->size) ||
                        (!g_str_equal(format, "raw") && !g_str_equal(format, "qcow2")))
                return fail(error, "The manifest does not say what one of the disks is");
        disk->target = g_strdup(target);
        disk->differs = manifest_flag(object, "differs");
        *ret_format = format;
        for (unsigned i = 0; i < json_array_get_length(images); i++) {
                const char *name = manifest_text_of(json_array_get_element(images, i));

                if (!name)
                        return fail(error, "The disk '%s' has an image that is not in the bundle",
                                        target);
                g_ptr_array_add(disk->images, g_strdup(name));
        }
        return check_is_here(object, target, error);
}

ImportDisk *import_disk_read(JsonNode *node, const char **ret_format, GError **error) {
        ImportDisk *disk = g_new0(ImportDisk, 1);

        disk->images = g_ptr_array_new_with_free_func(g_free);
        if (read_disk(disk, node, ret_format, error))
                return disk;
        free_disk(disk);
        return NULL;
}

static bool add_disk(Planner *p, JsonNode *node, GError **error) {
        const char *format;
        ImportDisk *disk = import_disk_read(node, &format, error);

        if (!disk)
                return false;
        g_ptr_array_add(p->plan->disks, disk);
        if (!check_has_base(p, disk, error))
                return false;
        for (unsigned i = 0; i < disk->images->len; i++)
                if (!g_hash_table_contains(p->plan->import.images, disk->images->pdata[i]))
                        return fail(error, "The disk '%s' has an image that is not in the bundle",
                                        disk->target);
        if (!g_hash_table_insert(p->plan->by_target, disk->target, disk->images->pdata[0]))
                return fail(error, "The manifest has the disk '%s' twice", disk->target);
        return definition_import_image(&p->plan->import, disk->images->pdata[0], format, error);
}

static bool add_disks(Planner *p, GError **error) {
        JsonArray *disks = manifest_array(p->manifest->object, "disks");

        add_images(p);
        for (unsigned i = 0; disks && i < json_array_get_length(disks); i++)
                if (!add_disk(p, json_array_get_element(disks, i), error))
                        return false;
        return true;
}

/* The images of the disks of a definition of ours: target -> name. */
static GHashTable *images_of(const char *definition, GError **error) {
        GHashTable *images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(DiskSet) set = disk_set_parse(definition, error);

        for (unsigned i = 0; set && i < set->disks->len; i++) {
                const Disk *disk = set->disks->pdata[i];
                g_autofree char *base = disk->path ? g_path_get_basename(disk->path) : NULL;

                if (disk->is_disk && base)
                        g_hash_table_insert(images, g_strdup(disk->target),
                                        g_strconcat(IMAGES_PREFIX, base, NULL));
        }
        if (!set)
                g_clear_pointer(&images, g_hash_table_unref);
        return images;
}

static bool check_disks(const Planner *p, GError **error) {
        g_autoptr(GHashTable) images = images_of(p->plan->definition, error);
        const GPtrArray *disks = p->plan->disks;

        if (!images)
                return false;
        for (unsigned i = 0; i < disks->len; i++) {
                const ImportDisk *disk = disks->pdata[i];

                if (g_strcmp0(g_hash_table_lookup(images, disk->target), disk->images->pdata[0]) !=
                                0)
                        return fail(error,
                                        "The disk '%s' is another one in the definition than in "
                                        "the manifest",
                                        disk->target);
        }
        return g_hash_table_size(images) == disks->len ||
               fail(error, "The definition has a disk that the manifest does not have");
}

/* Other files */

/* Of a file that is in a directory of libvirt's. */
static bool add_state(Planner *p,
                const char *name,
                const char *prefix,
                const char *final,
                bool is_small,
                GError **error) {
        const ManifestFile *file = manifest_find(p->manifest, name);

        if (!file || !g_str_has_prefix(name, prefix) || !g_hash_table_add(p->used, file->name) ||
                        (is_small && file->size > STATE_SIZE_MAX))
                return fail(error, "The manifest does not say what '%s' is", name);
        if (!final) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "'%s' can not be put where the hypervisor has its files", name);
                return false;
        }
        import_files_add(p->plan->files, import_files_add_place(p->plan->files, final, false), NULL,
                        name);
        return true;
}

static char *in_directory(const char *directory, const char *name, const char *suffix) {
        g_autofree char *base = g_strconcat(name, suffix, NULL);

        return directory ? g_build_filename(directory, base, NULL) : NULL;
}

static bool add_saved(Planner *p, JsonObject *machine, GError **error) {
        const char *name = manifest_text(machine, "saved-state");
        g_autofree char *final = in_directory(p->layout->save, p->plan->name, ".save");

        p->plan->saved = g_strdup(name);
        return !name || add_state(p, name, STATE_PREFIX, final, false, error);
}

static bool add_variables(Planner *p, JsonObject *machine, GError **error) {
        const char *name = manifest_text(machine, "nvram");
        g_autofree char *library = p->layout->save ? g_path_get_dirname(p->layout->save) : NULL;
        g_autofree char *directory = library ? g_build_filename(library, "nvram", NULL) : NULL;

        p->plan->variables = in_directory(directory, p->plan->name, "_VARS.fd");
        return !name || add_state(p, name, STATE_PREFIX, p->plan->variables, true, error);
}

static bool has_old_tpm(const char *definition) {
        g_autoptr(xmlDoc) document = xml_parse(definition);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *tpm = xml_child(xml_child(root, "devices"), "tpm");
        g_autofree char *version = xml_attribute(xml_child(tpm, "backend"), "version");

        return g_strcmp0(version, "1.2") == 0;
}

/* swtpm runs as a user of its own, and libvirt takes a directory that is there as it is. */
static bool add_tpm(Planner *p, JsonObject *machine, GError **error) {
        const char *name = manifest_text(machine, "tpm");
        const ManifestFile *file = name ? manifest_find(p->manifest, name) : NULL;
        g_autofree char *final = in_directory(p->layout->tpm, p->plan->uuid, "");
        bool is_old = has_old_tpm(p->plan->definition);
        const struct passwd *user = geteuid() == 0 ? getpwnam(TPM_USER) : NULL;
        ImportPlace *place;

        if (!name)
                return true;
        if (!file || !g_str_has_prefix(name, STATE_PREFIX) || !final ||
                        !g_hash_table_add(p->used, file->name) || file->size > STATE_SIZE_MAX)
                return fail(error, "The manifest does not say what '%s' is", name);
        place = import_files_add_place(p->plan->files, final, true);
        if (user) {
                place->owner = user->pw_uid;
                place->group = user->pw_gid;
        }
        import_files_add(p->plan->files, place,
                        is_old ? "tpm1.2/tpm-00.permall" : "tpm2/tpm2-00.permall", name);
        return true;
}

/* Snapshots */

static bool add_snapshot_state(
                Planner *p, const char *id, const char *kind, const char *name, GError **error) {
        g_autofree char *final = saved_image_path_by_id(p->layout, p->plan->uuid, id, kind);

        return !name || add_state(p, name, SNAPSHOTS, final, !g_str_equal(kind, "memory"), error);
}

static GHashTable *images_of_snapshot(const char *definition, GError **error) {
        g_autoptr(SnapshotDefinition) parsed = snapshot_definition_parse(definition, error);

        return parsed ? images_of(parsed->domain, error) : NULL;
}

static bool read_snapshot(
                Planner *p, JsonObject *object, ImportSnapshot *snapshot, GError **error) {
        const char *name = manifest_text(object, "definition");
        const char *text = name ? definition_text(p, name) : NULL;
        const char *id = manifest_text(object, "id");
        g_autofree char *memory =
                        id ? saved_image_path_by_id(p->layout, p->plan->uuid, id, "memory") : NULL;

        if (!text || !id)
                return fail(error, "The manifest does not say what one of the snapshots is");
        snapshot->memory = g_strdup(manifest_text(object, "memory"));
        snapshot->definition = definition_import_snapshot(&p->plan->import, text, name,
                        snapshot->memory ? memory : NULL, &snapshot->id, error);
        if (!snapshot->definition)
                return false;
        if (!g_str_equal(snapshot->id, id))
                return fail(error, "The snapshot '%s' has another name in its definition", id);
        snapshot->by_target = images_of_snapshot(snapshot->definition, error);
        return snapshot->by_target;
}

static bool add_snapshot(Planner *p, JsonNode *node, GError **error) {
        JsonObject *object = manifest_object(node);
        ImportSnapshot *snapshot = g_new0(ImportSnapshot, 1);

        g_ptr_array_add(p->plan->snapshots, snapshot);
        if (!object)
                return fail(error, "The manifest does not say what one of the snapshots is");
        if (!read_snapshot(p, object, snapshot, error))
                return false;
        for (unsigned i = 0; i + 1 < p->plan->snapshots->len; i++)
                if (g_str_equal(((ImportSnapshot *) p->plan->snapshots->pdata[i])->id,
                                    snapshot->id))
                        return fail(error, "The snapshot '%s' is there twice", snapshot->id);
        return add_snapshot_state(p, snapshot->id, "memory", snapshot->memory, error) &&
               add_snapshot_state(
                               p, snapshot->id, "nvram", manifest_text(object, "nvram"), error) &&
               add_snapshot_state(p, snapshot->id, "tpm", manifest_text(object, "tpm"), error);
}

static bool add_snapshots(Planner *p, JsonObject *machine, GError **error) {
        JsonArray *all = manifest_array(p->manifest->object, "snapshots");

        for (unsigned i = 0; all && i < json_array_get_length(all); i++)
                if (!add_snapshot(p, json_array_get_element(all, i), error))
                        return false;
        p->plan->current = g_strdup(manifest_text(machine, "current-snapshot"));
        return true;
}

/* All together */

static bool check_used(const Planner *p, GError **error) {
        for (unsigned i = 0; i < p->manifest->files->len; i++) {
                const char *name = ((ManifestFile *) p->manifest->files->pdata[i])->name;

                if (!g_hash_table_contains(p->used, name) && !g_str_equal(name, README))
                        return fail(error, "The file '%s' is not for anything", name);
        }
        return true;
}

static bool fill(Planner *p, const char *storage, GError **error) {
        ImportPlan *plan = p->plan;
        JsonObject *machine =
                        manifest_object(json_object_get_member(p->manifest->object, "machine"));
        const char *name = machine ? manifest_text(machine, "definition") : NULL;
        const char *text = name ? definition_text(p, name) : NULL;

        if (!text)
                return fail(error, "The manifest names no definition");
        if (!choose_name(p, machine, error) || !choose_uuid(p, machine, error))
                return false;
        p->images = import_plan_choose_directory(plan, storage);
        plan->import.name = plan->name;
        plan->import.uuid = plan->uuid;
        plan->import.new_identifier = p->request->new_identifier;
        plan->import.directory = plan->directory;
        if (!add_disks(p, error))
                return false;
        plan->definition = definition_import_domain(&plan->import, text, name, error);
        return plan->definition && check_disks(p, error) && add_saved(p, machine, error) &&
               add_variables(p, machine, error) && add_tpm(p, machine, error) &&
               add_snapshots(p, machine, error) && check_used(p, error);
}

ImportPlan *import_plan_empty(void) {
        ImportPlan *plan = g_new0(ImportPlan, 1);

        plan->disks = g_ptr_array_new_with_free_func(free_disk);
        plan->snapshots = g_ptr_array_new_with_free_func(free_snapshot);
        plan->lower_disks = g_ptr_array_new_with_free_func(free_disk);
        plan->joints = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        plan->by_target = g_hash_table_new(g_str_hash, g_str_equal);
        plan->files = import_files_new();
        definition_import_init(&plan->import);
        return plan;
}

ImportPlan *import_plan_new(const Summary *summary,
                const ImportRequest *request,
                const Layout *layout,
                const char *storage,
                GError **error) {
        g_autoptr(ImportPlan) plan = import_plan_empty();
        g_autoptr(GHashTable) used = g_hash_table_new(g_str_hash, g_str_equal);
        Planner p = {.plan = plan,
                        .manifest = summary->manifest,
                        .request = request,
                        .layout = layout,
                        .used = used};

        plan->summary = summary;
        plan->data = summary->data;
        return fill(&p, storage, error) ? g_steal_pointer(&plan) : NULL;
}
