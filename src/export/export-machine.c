/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ExportSystemDefinition: Msvm_VirtualSystemManagementService::ExportSystemDefinition. */

#include <syslog.h>

#include "backend/backend.h"
#include "export/bundle-child.h"
#include "export/operations.h"
#include "export/plan.h"
#include "jobs/job.h"
#include "snapshot/tree.h"

#define MEMORY_PARTIAL "Partial"

static bool export_admit(const void *request, const MachineFacts *facts, GError **error) {
        MachineState state = machine_state_from_facts(facts);

        if (state == MACHINE_TURNED_OFF || state == MACHINE_SAVED)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE, "'%s' is running",
                        facts->name);
        return false;
}

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

static bool write_bundle(Job *job, virDomainPtr domain, GError **error) {
        g_autoptr(SnapshotTree) tree = snapshot_tree_read(domain, error);
        g_autofree char *partial = new_partial_name(virDomainGetName(domain)), *path = NULL;
        g_autoptr(ExportPlan) plan = NULL;

        if (!tree)
                return false;
        plan = export_plan_new(domain, tree, job->request, partial, error);
        if (!plan || !job_remember(job, MEMORY_PARTIAL, partial, error))
                return false;
        if (!bundle_child_write(job, plan, &path, error)) {
                remove_partial(job, partial);
                return false;
        }
        job_result(job, "ExportDirectory", path);
        return true;
}

static bool export_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        return backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error) &&
               write_bundle(job, loan.domain, error);
}

/* The child has died with the daemon. */
static bool export_settle(Job *job, GError **error) {
        const char *partial = job_recall(job, MEMORY_PARTIAL);

        if (partial)
                remove_partial(job, partial);
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
};
