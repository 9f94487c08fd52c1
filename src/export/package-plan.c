/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A package knows neither snapshots nor the states of a machine: it gets each disk as it is now,
 * whatever the disk rests on. */

#include <string.h>
#include <syslog.h>

#include "bundle/manifest.h"
#include "bundle/package-json.h"
#include "disk/image-file.h"
#include "disk/image-lock.h"
#include "export/package-machine.h"
#include "export/plan.h"
#include "jobs/job.h"
#include "util/error.h"
#include "util/fd.h"

#define SUFFIX           ".ova"
#define OTHER_NAME       "machine" /* of what is in a package whose own name would not do */
#define NAME_LENGTH      80U       /* leaves room for "-disk64.vmdk" */
#define FIRST_DESCRIPTOR 3

typedef struct Planner {
        Job *job;
        const ExportSource *source;
        const ExportRequest *request;
        ExportPlan *plan;
        GPtrArray *targets; /* of the disks that go into the package */
        OvfMachine *machine;
} Planner;

static void tell(const char *text, void *userdata) {
        const Planner *p = userdata;

        job_log(p->job, LOG_NOTICE, "%s", text);
}

/* What a package has no word for */
static void tell_left_out(Planner *p) {
        unsigned snapshots = p->source->tree->snapshots->len - (p->source->shown ? 1 : 0);

        if (snapshots > 0)
                tell("snapshots do not go into a package", p);
        if (p->source->nvram)
                tell("the variables of the firmware do not go into a package", p);
        if (p->source->disks->has_tpm)
                tell("the TPM and its state do not go into a package", p);
}

static const TreeImage *image_of(const Planner *p, const Disk *disk) {
        return g_hash_table_lookup(p->source->tree->images, disk->path);
}

static const TreeImage *below(const Planner *p, const TreeImage *image) {
        return image->backing ? g_hash_table_lookup(p->source->tree->images, image->backing) : NULL;
}

/* Nobody writes to an image while the plan lives; who does already is told now, and not by what the
 * server of images says. */
static bool lock_chain(Planner *p, const Disk *disk, GError **error) {
        for (const TreeImage *image = image_of(p, disk); image; image = below(p, image)) {
                struct stat st;
                auto_fd fd = -1;

                if (image->problem) {
                        g_propagate_error(error, g_error_copy(image->problem));
                        return false;
                }
                fd = image_file_open(image->path, true, &st, error);
                if (fd < 0 || !image_lock_for_reading(fd, image->path, error))
                        return false;
                g_array_append_val(p->plan->locks, fd);
                fd = -1;
        }
        return true;
}

static bool gather_disks(Planner *p, GArray *served, GError **error) {
        for (unsigned i = 0; i < p->source->disks->disks->len; i++) {
                const Disk *disk = p->source->disks->disks->pdata[i];
                const ServedImage image = {disk->target, disk->path, disk->format, false};

                if (!export_source_has(p->request, disk))
                        continue;
                if (!lock_chain(p, disk, error))
                        return false;
                g_ptr_array_add(p->targets, disk->target);
                g_array_append_val(served, image);
        }
        return true;
}

static JsonArray *add_disks(Planner *p, GError **error) {
        g_autoptr(JsonArray) disks = json_array_new();

        for (unsigned i = 0; i < p->targets->len; i++) {
                const char *target = p->targets->pdata[i];
                const Disk *disk = disk_set_find(p->source->disks, target);
                int connection = image_server_connect(p->plan->server, error);
                JsonObject *object;

                if (connection < 0)
                        return NULL;
                ((OvfDisk *) p->machine->disks->pdata[i])->capacity =
                                image_of(p, disk)->virtual_size;
                object = json_object_new();
                json_object_set_int_member(object, "descriptor",
                                FIRST_DESCRIPTOR + (gint64) p->plan->descriptors->len);
                json_object_set_string_member(object, "export", target);
                json_object_set_int_member(
                                object, "size", (gint64) export_source_weigh(p->source, disk));
                json_array_add_object_element(disks, object);
                g_array_append_val(p->plan->descriptors, connection);
        }
        return g_steal_pointer(&disks);
}

/* Of the files in it: that of the package. */
static char *inner_name(const BundlePlace *place) {
        size_t length = strlen(place->name);
        g_autofree char *name = g_strndup(place->name,
                        length - (g_str_has_suffix(place->name, SUFFIX) ? strlen(SUFFIX) : 0));

        if (!ovf_file_name_is_valid(name) || strlen(name) > NAME_LENGTH)
                return g_strdup(OTHER_NAME);
        return g_steal_pointer(&name);
}

static bool make_machine(Planner *p, const BundlePlace *place, const char *name, GError **error) {
        const char *id = g_strrstr(place->partial, MANIFEST_PARTIAL);

        p->machine = package_machine_new(p->source->definition, p->targets, name, tell, p, error);
        if (!p->machine)
                return false;
        p->machine->package = g_strdup(id ? id + strlen(MANIFEST_PARTIAL) : NULL);
        return true;
}

static bool fill(Planner *p, const BundlePlace *place, GArray *served, GError **error) {
        g_autofree char *name = inner_name(place);
        JsonObject *object = p->plan->object;
        JsonArray *disks;

        if (!gather_disks(p, served, error) || !make_machine(p, place, name, error))
                return false;
        if (served->len > 0)
                p->plan->server = image_server_start(
                                (const ServedImage *) (void *) served->data, served->len, error);
        if (served->len > 0 && !p->plan->server)
                return false;
        disks = add_disks(p, error);
        if (!disks)
                return false;
        json_object_set_string_member(object, "directory", place->directory);
        json_object_set_string_member(object, "name", place->name);
        json_object_set_string_member(object, "partial", place->partial);
        json_object_set_string_member(object, "package", name);
        json_object_set_array_member(object, "disks", disks);
        json_object_set_object_member(object, "machine", package_machine_to_json(p->machine));
        return true;
}

static bool check(const Planner *p, GError **error) {
        if (p->source->shown || !p->source->memory)
                return export_source_check(p->source, p->request, error);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                        "The machine is saved, and a package holds no memory");
        return false;
}

ExportPlan *export_plan_new_package(
                Job *job, const ExportSource *source, const BundlePlace *place, GError **error) {
        g_autoptr(ExportPlan) plan = export_plan_empty("write-package");
        g_autoptr(GPtrArray) targets = g_ptr_array_new();
        g_autoptr(GArray) served = g_array_new(FALSE, FALSE, sizeof(ServedImage));
        Planner p = {.job = job,
                        .source = source,
                        .request = job->request,
                        .plan = plan,
                        .targets = targets};
        bool ok = check(&p, error) && fill(&p, place, served, error);

        if (ok)
                tell_left_out(&p);
        ovf_machine_free(p.machine);
        return ok ? g_steal_pointer(&plan) : NULL;
}
