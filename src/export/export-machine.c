/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ExportSystemDefinition: Msvm_VirtualSystemManagementService::ExportSystemDefinition; and
 * ExportPackage, the same into a file that other products read (docs/decisions/0013-ova.md).
 *
 *     a snapshot, if it runs ── the plan ── virtask-bundle, as the caller ── the snapshot goes */

#include <syslog.h>

#include "backend/backend.h"
#include "bundle/manifest.h"
#include "export/bundle-child.h"
#include "export/export.h"
#include "export/live.h"
#include "export/operations.h"
#include "export/plan.h"
#include "jobs/job.h"
#include "snapshot/creation.h"

#define MEMORY_MACHINE   "Machine" /* its name */
#define MEMORY_PARTIAL   "Partial"
#define RESULT_DIRECTORY "ExportDirectory"
#define RESULT_FILE      "ExportFile"
#define NAME_HEAD        40 /* characters of the machine's name in that of the unfinished bundle */

/* What may be exported */

static bool refuse(VirtaskError code, GError **error, const MachineFacts *facts, const char *why) {
        g_set_error(error, VIRTASK_ERROR, (int) code, "'%s' %s", facts->name, why);
        return false;
}

/* Also of none. */
static bool check_snapshot(const MachineFacts *facts, const char *id, GError **error) {
        if (!id || snapshot_facts_find(facts->snapshots, id))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                        "'%s' has no snapshot '%s'", facts->name, id);
        return false;
}

/* It can be a reference point as well. */
static bool check_base(const ExportRequest *request, const MachineFacts *facts, GError **error) {
        g_autofree char *id = NULL;

        if (!export_request_find_base(request, facts->uuid, &id, error))
                return false;
        return (id && snapshot_facts_find(facts->points, id)) || check_snapshot(facts, id, error);
}

static bool export_admit(const void *data, const MachineFacts *facts, GError **error) {
        const ExportRequest *request = data;
        g_autofree char *snapshot = NULL;

        if (!export_request_find_snapshot(request, facts->uuid, &snapshot, error) ||
                        !check_snapshot(facts, snapshot, error) ||
                        !check_base(request, facts, error))
                return false;
        if (request->package && machine_state_from_facts(facts) == MACHINE_SAVED)
                return refuse(VIRTASK_ERROR_INVALID_STATE, error, facts,
                                "is saved, and a package holds no memory");
        if (!facts->active || export_request_is_of_one(request))
                return true;
        if (!request->live_seen)
                return refuse(VIRTASK_ERROR_INVALID_STATE, error, facts,
                                "is running, and CaptureLiveState is not given");
        if (request->live == EXPORT_APPLICATION_CONSISTENT &&
                        machine_state_from_facts(facts) == MACHINE_PAUSED)
                return refuse(VIRTASK_ERROR_INVALID_STATE, error, facts,
                                "is paused: its agent can not freeze file systems");
        if (request->live == EXPORT_SAVED_STATE && (!request->storage || !request->runtime))
                return refuse(VIRTASK_ERROR_INVALID_ARGUMENT, error, facts,
                                "can not be exported with its memory and without its disks, or "
                                "without runtime information");
        if (!request->storage && !request->for_migration && !request->without_overlays)
                return refuse(VIRTASK_ERROR_INVALID_STATE, error, facts,
                                "is running and changes its disks below the export's");
        return true;
}

static bool export_admit_point(const void *data, const MachineFacts *facts, GError **error) {
        const ExportRequest *request = data;

        if (snapshot_facts_find(facts->points, request->common.snapshot))
                return check_base(request, facts, error);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                        "The reference point is gone");
        return false;
}

/* Places */

static void place_clear(BundlePlace *place) {
        g_free(place->directory);
        g_free(place->name);
        g_free(place->partial);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BundlePlace, place_clear)

/* Without a subdirectory the directory itself becomes the bundle, and a file the package. */
static void find_place(const Job *job, const char *machine, const char *partial, BundlePlace *ret) {
        const ExportRequest *request = job->request;

        if (request->subdirectory)
                *ret = (BundlePlace){g_strdup(request->directory), g_strdup(machine)};
        else
                *ret = (BundlePlace){g_path_get_dirname(request->directory),
                                g_path_get_basename(request->directory)};
        ret->partial = g_strdup(partial);
}

/* Nobody else's: whoever finds it may remove it. */
static char *new_partial_name(const char *name) {
        g_autofree char *random = g_uuid_string_random();
        g_autofree char *head = g_utf8_substring(name, 0, MIN(g_utf8_strlen(name, -1), NAME_HEAD));

        return g_strdup_printf(".%s" MANIFEST_PARTIAL "%s", head, random);
}

/* The place that run() has remembered; false if it has not come that far. */
static bool recall_place(const Job *job, BundlePlace *ret) {
        const char *partial = job_recall(job, MEMORY_PARTIAL);
        const char *machine = job_recall(job, MEMORY_MACHINE);

        if (!partial || !machine)
                return false;
        find_place(job, machine, partial, ret);
        return true;
}

static bool remember_place(Job *job, BundlePlace *ret, GError **error) {
        const char *machine = job->before->name;
        g_autofree char *partial = new_partial_name(machine);

        find_place(job, machine, partial, ret);
        return job_remember(job, MEMORY_MACHINE, machine, error) &&
               job_remember(job, MEMORY_PARTIAL, partial, error);
}

void export_discard(Job *job) {
        g_auto(BundlePlace) place = {0};
        g_autoptr(GError) error = NULL;

        if (recall_place(job, &place) && !bundle_child_remove(job, &place, &error))
                job_log(job, LOG_WARNING, "What is left of the export in '%s' stays: %s",
                                place.directory, error->message);
}

/* One life of the work */

/* The machine, or the snapshot, with what it differs from. The domain is borrowed. */
static ExportSource *read_source(
                const Job *job, virDomainPtr domain, const char *snapshot, GError **error) {
        g_autofree char *base = NULL;

        if (!export_request_find_base(job->request, job->uuid, &base, error))
                return NULL;
        return export_source_read(domain, snapshot, base, error);
}

/* *ret_captures: a snapshot has to be taken for it. */
static bool check(Job *job, const char *snapshot, bool *ret_captures, GError **error) {
        const ExportRequest *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(ExportSource) source = NULL;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        source = read_source(job, loan.domain, snapshot, error);
        if (!source || !export_source_check(source, request, error))
                return false;
        *ret_captures = source->tree->active && !export_request_is_of_one(request) &&
                        request->storage;
        return true;
}

static ExportPlan *make_plan(
                Job *job, const char *snapshot, const BundlePlace *place, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(ExportSource) source = NULL;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return NULL;
        source = read_source(job, loan.domain, snapshot, error);
        if (!source)
                return NULL;
        return ((const ExportRequest *) job->request)->package
                               ? export_plan_new_package(job, source, place, error)
                               : export_plan_new(source, job->request, place, error);
}

static void tell_result(Job *job, const char *path) {
        const ExportRequest *request = job->request;

        job_result(job, request->package ? RESULT_FILE : RESULT_DIRECTORY, path);
}

static bool write_bundle(Job *job, const char *snapshot, GError **error) {
        g_autofree char *path = NULL;
        g_auto(BundlePlace) place = {0};
        g_autoptr(ExportPlan) plan = NULL;

        if (!remember_place(job, &place, error))
                return false;
        plan = make_plan(job, snapshot, &place, error);
        if (!plan)
                return false;
        if (!bundle_child_write(job, plan, &path, error)) {
                export_discard(job); /* it does that itself, unless it was killed */
                return false;
        }
        tell_result(job, path);
        return true;
}

/* The export is whole even if the snapshot can't be destroyed, and the machine is not as it was. If
 * the connection was lost, the error says so, and export_settle() does it. */
static bool write_live(Job *job, GError **error) {
        const ExportRequest *request = job->request;
        g_autofree char *snapshot = NULL;
        g_autoptr(GError) cause = NULL;
        bool written = live_begin(job, request, &snapshot, error) &&
                       write_bundle(job, snapshot, error);

        if (live_end(job, &cause))
                return written;
        job_log(job, LOG_ERR, "The snapshot that was taken for the export is left: %s",
                        cause->message);
        if (written)
                g_propagate_prefixed_error(error, g_steal_pointer(&cause),
                                "The export is whole, and the snapshot that it was made from is "
                                "left: ");
        else if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE)) {
                g_clear_error(error);
                g_propagate_error(error, g_steal_pointer(&cause));
        }
        return false;
}

bool export_write(Job *job, GError **error) {
        const ExportRequest *request = job->request;
        g_autofree char *snapshot = NULL;
        bool captures;

        if (!export_request_find_snapshot(request, job->uuid, &snapshot, error) ||
                        !check(job, snapshot, &captures, error))
                return false;
        return captures ? write_live(job, error) : write_bundle(job, snapshot, error);
}

/* The child has died with the daemon, perhaps after its work was done. */
static bool is_written(Job *job) {
        g_auto(BundlePlace) place = {0};
        g_autofree char *path = NULL;

        if (!recall_place(job, &place) || !bundle_child_find(job, &place, &path))
                return false;
        tell_result(job, path);
        return true;
}

bool export_settle(Job *job, GError **error) {
        bool written = is_written(job);

        if (!written)
                export_discard(job);
        if (!live_settle(job, job->request, error))
                return false;
        if (!written)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                "The service was interrupted while it exported the machine");
        return written;
}

/* clang-format off */
#define EXPORT_OF_MACHINE                                                                    \
                .operational_status = 32773,                                                 \
                .run = export_write,                                                         \
                .settle = export_settle,                                                     \
                .progress = job_counted,                                                     \
                .cancel = creation_cancel,                                                   \
                EXPORT_OPERATION
/* clang-format on */

const Operation operation_export_machine = {
                .name = "system-export",
                .interface = "VirtualMachine",
                .member = "ExportSystemDefinition",
                .job_type = 62,
                .parse = export_request_parse,
                .admit = export_admit,
                EXPORT_DIRECTORY,
                EXPORT_OF_MACHINE,
};

const Operation operation_export_snapshot = {
                .name = "snapshot-export",
                .interface = "Snapshot",
                .member = "Export",
                .job_type = 62,
                .parse = export_request_parse_for_snapshot,
                .admit = export_admit,
                EXPORT_DIRECTORY,
                EXPORT_OF_MACHINE,
};

/* ExportReferencePoint: Msvm_VirtualSystemReferencePointService::ExportReferencePoint. */
const Operation operation_export_point = {
                .name = "reference-point-export",
                .interface = "ReferencePoint",
                .member = "Export",
                .job_type = 203,
                .parse = export_request_parse_for_point,
                .admit = export_admit_point,
                EXPORT_DIRECTORY,
                EXPORT_OF_MACHINE,
};

const Operation operation_export_package = {
                .name = "system-export-package",
                .interface = "VirtualMachine",
                .member = "ExportPackage",
                .argument_names = "file\0options\0task\0",
                .job_type = 62,
                .parse = export_request_parse_for_package,
                .admit = export_admit,
                EXPORT_OF_MACHINE,
};
