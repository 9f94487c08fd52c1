/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/plan.h"

#include <string.h>

#include "backend/backend.h"
#include "backend/saved-image.h"
#include "bundle/manifest.h"
#include "export/plan-internal.h"
#include "export/rewrite.h"
#include "util/error.h"
#include "util/fd.h"

static const char readme_title[] =
                "This directory is an export of a virtual machine, made by virtask.\n"
                "\n"
                "    sha256sum -c SHA256SUMS     is it whole?\n"
                "    virtask verify DIRECTORY    the same, with the pieces of large images\n";

static const char readme_usage[] = "    virsh define machine.xml    use it here, as it is\n";

static const char readme_import[] = "    virtask import DIRECTORY    make a machine of it\n";

static const char readme_difference[] =
                "\n"
                "It holds only what has changed since another export, its base, and can't be used\n"
                "without that. That may be such an export itself, and so on down to a full one:\n"
                "\n"
                "    virtask import --base FULL [--base NEXT]... DIRECTORY    make a machine of "
                "all\n"
                "\n"
                "docs/EXPORT-FORMAT.md of virtask says how they are put together without it.\n";

static const char readme_elsewhere[] = "\n"
                                       "Disks that were not copied are overlays on images where "
                                       "they are (manifest.json has\n"
                                       "their paths as \"backing\"), or machine.xml names those.\n";

static const char readme_chunks[] =
                "\n"
                "An image with a list beside it (IMAGE.chunks) has digests of its pieces there. "
                "Without virtask\n"
                "they are looked at with\n"
                "\n"
                "    tail -n +3 IMAGE.chunks | while read -r sum begin length; do\n"
                "        tail -c +$((begin + 1)) IMAGE | head -c $length | sha256sum | grep -q "
                "^$sum ||\n"
                "            echo changed at $begin\n"
                "    done\n";

static const char readme_definition[] =
                "\n"
                "machine.xml keeps the UUID of the machine: defined on the host that it comes "
                "from,\n"
                "it redefines the original. It names its disks where they were written; where the\n"
                "directory has been moved to another place, change the paths in it.\n"
                "\n"
                "manifest.json says what belongs to it.\n";

static const char readme_memory[] =
                "\n"
                "The machine was saved. Once it is defined it can go on from there:\n"
                "\n"
                "    virsh restore state/saved --xml machine.xml\n";

/* Texts */

static GHashTable *ids_of_travellers(const Planner *p) {
        const GPtrArray *snapshots = p->source->tree->snapshots;
        GHashTable *ids = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < snapshots->len; i++) {
                const SnapshotDefinition *snapshot = snapshots->pdata[i];

                if (plan_has_snapshot(p, snapshot))
                        g_hash_table_add(ids, snapshot->id);
        }
        return ids;
}

static void set_name(JsonObject *object, const char *member, const char *name) {
        if (name)
                json_object_set_string_member(object, member, name);
        else
                json_object_set_null_member(object, member);
}

static bool add_text(Planner *p, const char *name, const char *text, GError **error) {
        g_autoptr(GHashTable) ids = ids_of_travellers(p);
        g_autofree char *changed = rewrite_definition(text, p->copies, ids, error);

        if (changed)
                json_object_set_string_member(p->texts, name, changed);
        return changed;
}

/* The machine */

static bool add_machine_state(Planner *p, JsonObject *machine, GError **error) {
        const char *memory = p->request->runtime ? p->source->memory : NULL;
        g_autofree char *saved = g_strdup("state/saved"), *nvram = g_strdup("state/nvram"),
                        *tpm = g_strdup("state/tpm");

        if (!plan_add_state(p, memory, &saved, error) ||
                        !plan_add_state(p, p->source->nvram, &nvram, error) ||
                        !plan_add_state(p, p->source->tpm, &tpm, error))
                return false;
        json_object_set_string_member(machine, "state", saved ? "saved" : "turned-off");
        set_name(machine, "saved-state", saved);
        set_name(machine, "nvram", nvram);
        set_name(machine, "tpm", tpm);
        return true;
}

/* What is true of this one. libvirt takes memory only with the UUID that it was saved with. */
static void add_readme(Planner *p, bool with_memory) {
        const ExportRequest *request = p->request;
        bool difference = p->source->base;
        bool elsewhere = !request->storage || (request->excluded && *request->excluded);
        g_autoptr(GString) text = g_string_new(readme_title);

        if (!difference)
                g_string_append(text, readme_usage);
        if (!difference && !elsewhere)
                g_string_append(text, readme_import);
        if (difference)
                g_string_append(text, readme_difference);
        if (elsewhere)
                g_string_append(text, readme_elsewhere);
        g_string_append(text, readme_definition);
        if (request->storage)
                g_string_append(text, readme_chunks);
        if (with_memory && !difference && request->snapshots != EXPORT_ONE_SNAPSHOT)
                g_string_append(text, readme_memory);
        json_object_set_string_member(p->texts, "README", text->str);
}

/* One snapshot as a machine of its own is another machine. */
static char *identify(const Planner *p) {
        char uuid[VIR_UUID_STRING_BUFLEN] = "";

        if (p->request->snapshots == EXPORT_ONE_SNAPSHOT)
                return g_uuid_string_random();
        (void) virDomainGetUUIDString(p->source->domain, uuid);
        return g_strdup(uuid);
}

static bool add_machine(Planner *p, JsonObject *machine, GError **error) {
        g_autofree char *text = NULL, *uuid = identify(p), *own = NULL;

        if (!add_machine_state(p, machine, error))
                return false;
        text = domain_xml_with_sources(p->source->definition, p->replaced, "qcow2", error);
        own = text ? rewrite_uuid(text, uuid, error) : NULL;
        if (!own || !add_text(p, "machine.xml", own, error))
                return false;
        json_object_set_string_member(machine, "name", virDomainGetName(p->source->domain));
        json_object_set_string_member(machine, "uuid", uuid);
        json_object_set_string_member(machine, "definition", "machine.xml");
        add_readme(p, p->source->memory && p->request->runtime);
        return true;
}

/* Snapshots: their IDs can be anything, so their files are numbered. */

static bool add_snapshot_state(Planner *p,
                const SnapshotDefinition *snapshot,
                unsigned number,
                JsonObject *object,
                GError **error) {
        static const char *const kinds[] = {"memory", "nvram", "tpm"};

        for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
                /* The memory of a machine that was saved is a copy that libvirt does not know. */
                g_autofree char *path =
                                i == 0 && snapshot->memory_file
                                                ? g_strdup(snapshot->memory_file)
                                                : saved_image_path_of_snapshot(p->source->domain,
                                                                  snapshot->id, kinds[i]);
                g_autofree char *name = g_strdup_printf("snapshots/%u.%s", number, kinds[i]);

                if (!p->request->runtime && i == 0)
                        g_clear_pointer(&path, g_free);
                if (!plan_add_state(p, path, &name, error))
                        return false;
                set_name(object, kinds[i], name);
        }
        return true;
}

/* Without its memory it is a snapshot of the disks. */
static char *document_of(Planner *p, const SnapshotDefinition *snapshot, GError **error) {
        g_autofree char *text = snapshot_tree_document(p->source->domain, snapshot->id, error);

        if (!text || p->request->runtime || !snapshot->memory_file)
                return g_steal_pointer(&text);
        return rewrite_without_memory(text, error);
}

static bool add_snapshot(Planner *p,
                const SnapshotDefinition *snapshot,
                unsigned number,
                JsonArray *all,
                GError **error) {
        g_autofree char *text = document_of(p, snapshot, error);
        g_autofree char *name = g_strdup_printf("snapshots/%u.xml", number);
        JsonObject *object = json_object_new();
        bool ok = text && add_snapshot_state(p, snapshot, number, object, error) &&
                  add_text(p, name, text, error);

        json_object_set_string_member(object, "id", snapshot->id);
        json_object_set_string_member(object, "definition", name);
        json_array_add_object_element(all, object);
        return ok;
}

typedef bool (*SnapshotFunction)(
                Planner *p, const SnapshotDefinition *snapshot, void *userdata, GError **error);

static bool for_each_snapshot(
                Planner *p, SnapshotFunction function, void *userdata, GError **error) {
        const GPtrArray *snapshots = p->source->tree->snapshots;

        for (unsigned i = 0; i < snapshots->len; i++)
                if (plan_has_snapshot(p, snapshots->pdata[i]) &&
                                !function(p, snapshots->pdata[i], userdata, error))
                        return false;
        return true;
}

static bool on_name(
                Planner *p, const SnapshotDefinition *snapshot, void *userdata, GError **error) {
        return plan_name_snapshot(p, snapshot, error);
}

static bool on_add(Planner *p, const SnapshotDefinition *snapshot, void *userdata, GError **error) {
        JsonArray *all = userdata;

        return add_snapshot(p, snapshot, json_array_get_length(all) + 1, all, error);
}

/* The one that the machine's present follows; not the one that was taken for the export. */
static void set_current(const Planner *p, JsonObject *machine) {
        g_autoptr(virDomainSnapshot) current = virDomainSnapshotCurrent(p->source->domain, 0);
        const char *name = current ? virDomainSnapshotGetName(current) : NULL;

        if (name && p->source->shown && g_str_equal(name, p->source->shown->id))
                name = p->source->shown->parent;
        set_name(machine, "current-snapshot", name);
}

/* The plan */

static JsonObject *new_manifest(const char *partial) {
        JsonObject *manifest = json_object_new();
        const char *id = g_strrstr(partial, MANIFEST_PARTIAL);
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *created = g_date_time_format_iso8601(now);

        json_object_set_string_member(manifest, "format", MANIFEST_FORMAT);
        json_object_set_int_member(manifest, "version", MANIFEST_VERSION);
        if (id)
                json_object_set_string_member(manifest, "id", id + strlen(MANIFEST_PARTIAL));
        json_object_set_string_member(manifest, "created", created);
        json_object_set_string_member(manifest, "producer", "virtask " VIRTASK_VERSION);
        return manifest;
}

/* A state of a machine that differences can be counted from. */
static void set_point(const Planner *p,
                JsonObject *manifest,
                const char *member,
                const SnapshotDefinition *snapshot) {
        JsonObject *point = json_object_new();
        char uuid[VIR_UUID_STRING_BUFLEN] = "";

        (void) virDomainGetUUIDString(p->source->domain, uuid);
        json_object_set_string_member(point, "machine", uuid);
        json_object_set_string_member(point, "id", snapshot->id);
        json_object_set_int_member(point, "created", snapshot->created);
        json_object_set_object_member(manifest, member, point);
}

static void set_kind(const Planner *p, JsonObject *manifest) {
        const ExportSource *source = p->source;

        json_object_set_string_member(manifest, "kind", source->base ? "difference" : "full");
        if (source->shown && export_request_is_of_one(p->request))
                set_point(p, manifest, "point", source->shown);
        if (source->base)
                set_point(p, manifest, "base", source->base);
}

static void set_place(const Planner *p, JsonObject *object, const BundlePlace *place) {
        json_object_set_string_member(object, "directory", place->directory);
        json_object_set_string_member(object, "name", place->name);
        json_object_set_string_member(object, "partial", place->partial);
        json_object_set_boolean_member(object, "replace_empty", !p->request->subdirectory);
        json_object_set_string_member(object, "here", p->here);
}

static bool fill(Planner *p, const BundlePlace *place, GError **error) {
        JsonObject *manifest = new_manifest(place->partial), *machine = json_object_new();
        JsonArray *snapshots = json_array_new();
        bool ok = export_source_check(p->source, p->request, error);

        if (ok)
                plan_name_images(p);
        ok = ok && for_each_snapshot(p, on_name, NULL, error) && plan_add_images(p, error) &&
             add_machine(p, machine, error) && for_each_snapshot(p, on_add, snapshots, error);
        set_kind(p, manifest);
        if (p->request->snapshots == EXPORT_ALL_SNAPSHOTS)
                set_current(p, machine);
        json_object_set_object_member(manifest, "machine", machine);
        json_object_set_array_member(manifest, "disks", json_array_ref(p->disks));
        json_object_set_array_member(manifest, "snapshots", snapshots);
        json_object_set_object_member(p->plan->object, "manifest", manifest);
        json_object_set_object_member(p->plan->object, "texts", json_object_ref(p->texts));
        json_object_set_array_member(p->plan->object, "images", json_array_ref(p->images));
        set_place(p, p->plan->object, place);
        /* A guest that runs is not to notice. */
        json_object_set_boolean_member(
                        p->plan->object, "gentle", virDomainIsActive(p->source->domain) == 1);
        return ok;
}

ExportPlan *export_plan_new(const ExportSource *source,
                const ExportRequest *request,
                const BundlePlace *place,
                GError **error) {
        g_autoptr(ExportPlan) plan = export_plan_empty("write");
        g_autofree char *random = g_uuid_string_random();
        Planner p = {.source = source, .request = request, .plan = plan};
        bool ok;

        p.names = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
        p.copies = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        p.replaced = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        p.texts = json_object_new();
        p.images = json_array_new();
        p.disks = json_array_new();
        p.here = g_strconcat("/", random, NULL); /* a path, since it stands for one */
        ok = fill(&p, place, error);
        g_hash_table_unref(p.names);
        g_hash_table_unref(p.copies);
        g_hash_table_unref(p.replaced);
        json_object_unref(p.texts);
        json_array_unref(p.images);
        json_array_unref(p.disks);
        g_free(p.here);
        return ok ? g_steal_pointer(&plan) : NULL;
}

static void close_descriptor(void *data) {
        fd_close(data);
}

static GArray *new_descriptors(void) {
        GArray *descriptors = g_array_new(FALSE, FALSE, sizeof(int));

        g_array_set_clear_func(descriptors, close_descriptor);
        return descriptors;
}

ExportPlan *export_plan_empty(const char *verb) {
        ExportPlan *plan = g_new0(ExportPlan, 1);

        plan->verb = verb;
        plan->object = json_object_new();
        plan->descriptors = new_descriptors();
        plan->locks = new_descriptors();
        return plan;
}

void export_plan_free(ExportPlan *plan) {
        if (!plan)
                return;
        (void) g_array_unref(plan->descriptors);
        (void) g_array_unref(plan->locks);
        json_object_unref(plan->object);
        (void) image_server_stop(plan->server);
        g_free(plan);
}
