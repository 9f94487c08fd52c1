/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/plan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "bundle/manifest.h"
#include "disk/image-file.h"
#include "disk/image-lock.h"
#include "export/rewrite.h"
#include "util/error.h"
#include "util/fd.h"

#define FIRST_DESCRIPTOR 3

static const char readme[] =
                "This directory is an export of a virtual machine, made by virtask.\n"
                "\n"
                "    sha256sum -c SHA256SUMS     is it whole?\n"
                "    virsh define machine.xml    use it here, as it is\n"
                "    virtask import DIRECTORY    make a machine of it\n"
                "\n"
                "machine.xml keeps the UUID of the machine: defined on the host that it comes "
                "from,\n"
                "it redefines the original. It names its disks where they were written; where the\n"
                "directory has been moved to another place, change the paths in it.\n"
                "\n"
                "manifest.json says what belongs to it.\n";

typedef struct Planner {
        virDomainPtr domain;
        const SnapshotTree *tree;
        const ExportRequest *request;
        ExportPlan *plan;
        GHashTable *names;  /* path of an image -> its name in the bundle */
        GHashTable *copies; /* path of any file -> the path of its copy */
        JsonObject *texts;
        JsonArray *images;
        char *here;
} Planner;

static bool fail(VirtaskError code, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool fail(VirtaskError code, GError **error, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list args;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        g_set_error_literal(error, VIRTASK_ERROR, (int) code, text);
        return false;
}

/* Files that are copied as they are */

static bool add_file(Planner *p,
                const char *path,
                const char *name,
                const char *backing,
                bool lock,
                GError **error) {
        JsonObject *image;
        struct stat st;
        int fd = image_file_open(path, true, &st, error);

        if (fd < 0)
                return false;
        if (lock && !image_lock_for_reading(fd, path, error)) {
                (void) close(fd);
                return false;
        }
        image = json_object_new();
        json_object_set_string_member(image, "file", name);
        json_object_set_int_member(
                        image, "descriptor", FIRST_DESCRIPTOR + (gint64) p->plan->descriptors->len);
        if (backing)
                json_object_set_string_member(image, "backing", backing);
        else
                json_object_set_null_member(image, "backing");
        json_array_add_object_element(p->images, image);
        g_array_append_val(p->plan->descriptors, fd);
        g_hash_table_insert(p->copies, g_strdup(path), g_strconcat(p->here, "/", name, NULL));
        return true;
}

/* True also without one; "name" becomes NULL then. */
static bool add_state(Planner *p, const char *path, char **name, GError **error) {
        if (path && g_file_test(path, G_FILE_TEST_EXISTS))
                return add_file(p, path, *name, NULL, false, error);
        g_clear_pointer(name, g_free);
        return true;
}

static char *base_of(const char *name) {
        return g_path_get_basename(name);
}

static bool add_image(Planner *p, const TreeImage *image, GError **error) {
        const char *name = g_hash_table_lookup(p->names, image->path);
        const char *below = image->backing ? g_hash_table_lookup(p->names, image->backing) : NULL;
        g_autofree char *backing = below ? base_of(below) : NULL;

        if (image->problem) {
                g_propagate_error(error, g_error_copy(image->problem));
                return false;
        }
        return add_file(p, image->path, name, backing, true, error);
}

static bool is_excluded(const Planner *p, const char *target) {
        return p->request->excluded &&
               g_strv_contains((const char *const *) p->request->excluded, target);
}

static bool check_excluded(const Planner *p, GError **error) {
        char **excluded = p->request->excluded;

        for (unsigned i = 0; excluded && excluded[i]; i++)
                if (!disk_set_find(p->tree->disks, excluded[i]))
                        return fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                        "The machine has no disk '%s'", excluded[i]);
        return true;
}

/* "vda.qcow2" for the first image of a disk, then "vda-1.qcow2". */
static void name_image(Planner *p, const TreeImage *image) {
        g_autofree char *first = g_strdup_printf("disks/%s.%s", image->target, image->format);
        g_autoptr(GHashTable) taken = g_hash_table_new(g_str_hash, g_str_equal);
        char *name = g_steal_pointer(&first);
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

static void name_chain(Planner *p, const char *path) {
        for (const TreeImage *image = g_hash_table_lookup(p->tree->images, path); image;
                        image = image->backing ? g_hash_table_lookup(
                                                                 p->tree->images, image->backing)
                                               : NULL)
                if (!g_hash_table_contains(p->names, image->path))
                        name_image(p, image);
}

/* CD-ROMs and floppies are not the machine's own. */
static bool name_disks(Planner *p, const DiskSet *disks, GError **error) {
        for (unsigned i = 0; i < disks->disks->len; i++) {
                const Disk *disk = disks->disks->pdata[i];

                if (!disk->is_disk || is_excluded(p, disk->target))
                        continue;
                if (!disk_is_snapshottable(disk) ||
                                !g_hash_table_contains(p->tree->images, disk->path))
                        return fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                        "The disk '%s' is not in a file of its own that can be "
                                        "copied; exclude it",
                                        disk->target);
                name_chain(p, disk->path);
        }
        return true;
}

static bool add_images(Planner *p, GError **error) {
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, p->names);
        while (g_hash_table_iter_next(&iter, &path, NULL))
                if (!add_image(p, g_hash_table_lookup(p->tree->images, path), error))
                        return false;
        return true;
}

/* The machine */

static void set_name(JsonObject *object, const char *member, const char *name) {
        if (name)
                json_object_set_string_member(object, member, name);
        else
                json_object_set_null_member(object, member);
}

static bool add_text(Planner *p, const char *name, const char *text, GError **error) {
        g_autofree char *changed = rewrite_paths(text, p->copies, error);

        if (changed)
                json_object_set_string_member(p->texts, name, changed);
        return changed;
}

static bool add_machine_state(Planner *p, JsonObject *machine, GError **error) {
        g_autofree char *saved = p->request->runtime ? saved_image_path(p->domain) : NULL;
        g_autofree char *saved_name = g_strdup("state/saved"),
                        *nvram_name = g_strdup("state/nvram"), *tpm_name = g_strdup("state/tpm");

        if (!add_state(p, saved, &saved_name, error) ||
                        !add_state(p, p->tree->disks->nvram, &nvram_name, error) ||
                        !add_state(p, p->tree->disks->tpm_state, &tpm_name, error))
                return false;
        set_name(machine, "saved-state", saved_name);
        set_name(machine, "nvram", nvram_name);
        set_name(machine, "tpm", tpm_name);
        return true;
}

static bool add_machine(Planner *p, JsonObject *machine, GError **error) {
        g_autofree char *text = snapshot_tree_definition(p->domain, true, error);
        char uuid[VIR_UUID_STRING_BUFLEN] = "";

        if (!text || !add_machine_state(p, machine, error) ||
                        !add_text(p, "machine.xml", text, error))
                return false;
        (void) virDomainGetUUIDString(p->domain, uuid);
        json_object_set_string_member(machine, "name", virDomainGetName(p->domain));
        json_object_set_string_member(machine, "uuid", uuid);
        json_object_set_string_member(machine, "definition", "machine.xml");
        json_object_set_string_member(p->texts, "README", readme);
        return true;
}

/* Snapshots: their IDs can be anything, so their files are numbered. */

static bool name_snapshot(Planner *p, const SnapshotDefinition *snapshot, GError **error) {
        g_autoptr(DiskSet) disks = disk_set_parse(snapshot->domain, error);

        return disks && name_disks(p, disks, error);
}

static bool add_snapshot_state(Planner *p,
                const SnapshotDefinition *snapshot,
                unsigned number,
                JsonObject *object,
                GError **error) {
        static const char *const kinds[] = {"memory", "nvram", "tpm"};

        for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
                g_autofree char *path = i == 0 ? g_strdup(snapshot->memory_file)
                                               : saved_image_path_of_snapshot(
                                                                 p->domain, snapshot->id, kinds[i]);
                g_autofree char *name = g_strdup_printf("snapshots/%u.%s", number, kinds[i]);

                if (!p->request->runtime && i == 0)
                        g_clear_pointer(&path, g_free);
                if (!add_state(p, path, &name, error))
                        return false;
                set_name(object, kinds[i], name);
        }
        return true;
}

static bool add_snapshot(Planner *p,
                const SnapshotDefinition *snapshot,
                unsigned number,
                JsonArray *all,
                GError **error) {
        g_autofree char *text = snapshot_tree_document(p->domain, snapshot->id, error);
        g_autofree char *name = g_strdup_printf("snapshots/%u.xml", number);
        JsonObject *object = json_object_new();
        bool ok = text && add_snapshot_state(p, snapshot, number, object, error) &&
                  add_text(p, name, text, error);

        json_object_set_string_member(object, "id", snapshot->id);
        json_object_set_string_member(object, "definition", name);
        json_array_add_object_element(all, object);
        return ok;
}

static bool name_snapshots(Planner *p, GError **error) {
        const GPtrArray *snapshots = p->tree->snapshots;

        for (unsigned i = 0; i < snapshots->len; i++)
                if (!name_snapshot(p, snapshots->pdata[i], error))
                        return false;
        return true;
}

static bool add_snapshots(Planner *p, JsonArray *all, GError **error) {
        const GPtrArray *snapshots = p->tree->snapshots;

        for (unsigned i = 0; i < snapshots->len; i++)
                if (!add_snapshot(p, snapshots->pdata[i], i + 1, all, error))
                        return false;
        return true;
}

/* The plan */

static JsonArray *describe_disks(const Planner *p) {
        JsonArray *disks = json_array_new();

        for (unsigned i = 0; i < p->tree->disks->disks->len; i++) {
                const Disk *disk = p->tree->disks->disks->pdata[i];
                const TreeImage *image =
                                disk->path ? g_hash_table_lookup(p->tree->images, disk->path)
                                           : NULL;
                JsonObject *object;
                JsonArray *images;

                if (!image || !g_hash_table_contains(p->names, image->path))
                        continue;
                object = json_object_new();
                images = json_array_new();
                json_object_set_string_member(object, "target", disk->target);
                json_object_set_string_member(object, "format", image->format);
                for (; image; image = image->backing ? g_hash_table_lookup(p->tree->images,
                                                                       image->backing)
                                                     : NULL)
                        json_array_add_string_element(
                                        images, g_hash_table_lookup(p->names, image->path));
                json_object_set_array_member(object, "images", images);
                json_array_add_object_element(disks, object);
        }
        return disks;
}

static JsonObject *new_manifest(void) {
        JsonObject *manifest = json_object_new();
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *created = g_date_time_format_iso8601(now);

        json_object_set_string_member(manifest, "format", MANIFEST_FORMAT);
        json_object_set_int_member(manifest, "version", MANIFEST_VERSION);
        json_object_set_string_member(manifest, "created", created);
        json_object_set_string_member(manifest, "producer", "virtask " VIRTASK_VERSION);
        json_object_set_string_member(manifest, "kind", "full");
        return manifest;
}

/* Without a subdirectory the directory itself becomes the bundle. */
static void set_place(const Planner *p, JsonObject *object, const char *partial) {
        const ExportRequest *request = p->request;
        g_autofree char *parent = g_path_get_dirname(request->directory);
        g_autofree char *own = g_path_get_basename(request->directory);

        json_object_set_string_member(
                        object, "directory", request->subdirectory ? request->directory : parent);
        json_object_set_string_member(
                        object, "name", request->subdirectory ? virDomainGetName(p->domain) : own);
        json_object_set_string_member(object, "partial", partial);
        json_object_set_boolean_member(object, "replace_empty", !request->subdirectory);
        json_object_set_string_member(object, "here", p->here);
}

static bool fill(Planner *p, const char *partial, GError **error) {
        bool all = p->request->snapshots == EXPORT_ALL_SNAPSHOTS;
        JsonObject *manifest = new_manifest(), *machine = json_object_new();
        JsonArray *snapshots = json_array_new();
        bool ok = check_excluded(p, error) && name_disks(p, p->tree->disks, error) &&
                  (!all || name_snapshots(p, error)) && add_images(p, error) &&
                  add_machine(p, machine, error) && (!all || add_snapshots(p, snapshots, error));

        json_object_set_object_member(manifest, "machine", machine);
        json_object_set_array_member(manifest, "disks", describe_disks(p));
        json_object_set_array_member(manifest, "snapshots", snapshots);
        json_object_set_object_member(p->plan->object, "manifest", manifest);
        json_object_set_object_member(p->plan->object, "texts", json_object_ref(p->texts));
        json_object_set_array_member(p->plan->object, "images", json_array_ref(p->images));
        set_place(p, p->plan->object, partial);
        return ok;
}

ExportPlan *export_plan_new(virDomainPtr domain,
                const SnapshotTree *tree,
                const ExportRequest *request,
                const char *partial,
                GError **error) {
        g_autoptr(ExportPlan) plan = g_new0(ExportPlan, 1);
        g_autofree char *random = g_uuid_string_random();
        Planner p = {.domain = domain, .tree = tree, .request = request, .plan = plan};
        bool ok;

        plan->object = json_object_new();
        plan->descriptors = g_array_new(FALSE, FALSE, sizeof(int));
        p.names = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
        p.copies = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        p.texts = json_object_new();
        p.images = json_array_new();
        p.here = g_strconcat("/", random, NULL); /* a path, since it stands for one */
        ok = fill(&p, partial, error);
        g_hash_table_unref(p.names);
        g_hash_table_unref(p.copies);
        json_object_unref(p.texts);
        json_array_unref(p.images);
        g_free(p.here);
        return ok ? g_steal_pointer(&plan) : NULL;
}

void export_plan_free(ExportPlan *plan) {
        if (!plan)
                return;
        for (unsigned i = 0; i < plan->descriptors->len; i++)
                (void) close(g_array_index(plan->descriptors, int, i));
        (void) g_array_unref(plan->descriptors);
        json_object_unref(plan->object);
        g_free(plan);
}
