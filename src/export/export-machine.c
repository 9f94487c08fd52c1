/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ExportSystemDefinition: Msvm_VirtualSystemManagementService::ExportSystemDefinition.
 *
 *     a snapshot, if it runs ── the plan ── virtask-bundle, as the caller ── the snapshot goes */

#include <syslog.h>

#include "backend/backend.h"
#include "export/bundle-child.h"
#include "export/live.h"
#include "export/operations.h"
#include "export/plan.h"
#include "jobs/job.h"
#include "snapshot/creation.h"

#define MEMORY_PARTIAL "Partial"

/* What may be exported */

static bool refuse(VirtaskError code, GError **error, const MachineFacts *facts, const char *why) {
        g_set_error(error, VIRTASK_ERROR, (int) code, "'%s' %s", facts->name, why);
        return false;
}

/* Its snapshots stay as they are. */
static bool needs_present(const ExportRequest *request) {
        return request->snapshots == EXPORT_ALL_SNAPSHOTS ||
               request->snapshots == EXPORT_NO_SNAPSHOTS;
}

static bool export_admit(const void *data, const MachineFacts *facts, GError **error) {
        const ExportRequest *request = data;
        g_autofree char *snapshot = NULL;

        if (!export_request_find_snapshot(request, facts->uuid, &snapshot, error))
                return false;
        if (snapshot && !snapshot_facts_find(facts->snapshots, snapshot)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                                "'%s' has no snapshot '%s'", facts->name, snapshot);
                return false;
        }
        if (!facts->active || !needs_present(request))
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

/* One life of the work */

/* Nobody else's: whoever finds it may remove it. */
static char *new_partial_name(const char *name) {
        g_autofree char *random = g_uuid_string_random();

        return g_strdup_printf(".%.80s.partial-%s", name, random);
}

/* Where the unfinished bundle lies. */
static char *directory_of(const ExportRequest *request) {
        return request->subdirectory ? g_strdup(request->directory)
                                     : g_path_get_dirname(request->directory);
}

/* The child does that itself, unless it was killed. */
static void remove_partial(Job *job, const char *partial) {
        g_autofree char *directory = directory_of(job->request);
        g_autoptr(GError) error = NULL;

        if (!bundle_child_remove(job, directory, partial, &error))
                job_log(job, LOG_WARNING, "What is left of the export in '%s' stays: %s", directory,
                                error->message);
}

/* *ret_captures: a snapshot has to be taken for it. */
static bool check(Job *job, const char *snapshot, bool *ret_captures, GError **error) {
        const ExportRequest *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(ExportSource) source = NULL;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        source = export_source_read(loan.domain, snapshot, error);
        if (!source || !export_source_check(source, request, error))
                return false;
        *ret_captures = source->tree->active && needs_present(request) && request->storage;
        return true;
}

static ExportPlan *make_plan(Job *job, const char *snapshot, const char *partial, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(ExportSource) source = NULL;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return NULL;
        source = export_source_read(loan.domain, snapshot, error);
        return source ? export_plan_new(source, job->request, partial, error) : NULL;
}

static bool write_bundle(Job *job, const char *snapshot, GError **error) {
        g_autofree char *partial = new_partial_name(job->before->name), *path = NULL;
        g_autoptr(ExportPlan) plan = make_plan(job, snapshot, partial, error);

        if (!plan || !job_remember(job, MEMORY_PARTIAL, partial, error))
                return false;
        if (!bundle_child_write(job, plan, &path, error)) {
                remove_partial(job, partial);
                return false;
        }
        job_result(job, "ExportDirectory", path);
        return true;
}

/* The export is whole even if the snapshot can't be destroyed, and the machine is not as it was. */
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
        return false;
}

static bool export_run(Job *job, GError **error) {
        const ExportRequest *request = job->request;
        g_autofree char *snapshot = NULL;
        bool captures;

        if (!export_request_find_snapshot(request, job->uuid, &snapshot, error) ||
                        !check(job, snapshot, &captures, error))
                return false;
        return captures ? write_live(job, error) : write_bundle(job, snapshot, error);
}

/* The child has died with the daemon. */
static bool export_settle(Job *job, GError **error) {
        const char *partial = job_recall(job, MEMORY_PARTIAL);

        if (partial)
                remove_partial(job, partial);
        if (!live_settle(job, job->request, error))
                return false;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "The service was interrupted while it exported the machine");
        return false;
}

const Operation operation_export_machine = {
                .name = "system-export",
                .interface = "VirtualMachine",
                .member = "ExportSystemDefinition",
                .signature = "sa{sv}",
                .argument_names = "export_directory\0export_setting_data\0task\0",
                .action = "org.virtask1.export",
                .gerund = "Exporting",
                .job_type = 62,
                .operational_status = 32773,
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_ENDS_WITH_US,
                .lane = LANE_DISK,
                .request_size = sizeof(ExportRequest),
                .parse = export_request_parse,
                .request_store = export_request_store,
                .request_load = export_request_load,
                .request_clear = export_request_clear,
                .admit = export_admit,
                .run = export_run,
                .settle = export_settle,
                .progress = job_counted,
                .cancel = creation_cancel,
};
