/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/live.h"

#include "backend/backend.h"
#include "snapshot/creation.h"
#include "snapshot/destroy.h"

#define MEMORY_ENDS "Ends" /* the snapshot was taken, and is being destroyed */

/* Disks that can't be part of it have been refused, or are left out of the export. */
static SnapshotRequest make_request(const ExportRequest *request) {
        return (SnapshotRequest){
                        .type = request->live == EXPORT_SAVED_STATE ? SNAPSHOT_TYPE_FULL
                                                                    : SNAPSHOT_TYPE_DISKS,
                        .consistency = request->live == EXPORT_APPLICATION_CONSISTENT
                                                       ? CONSISTENCY_APPLICATION
                                                       : CONSISTENCY_CRASH,
                        .ignore_others = true,
                        .name = (char *) "Export",
        };
}

bool live_begin(Job *job, const ExportRequest *request, char **ret_id, GError **error) {
        const SnapshotRequest own = make_request(request);
        g_autoptr(Creation) creation = NULL;

        job_status(job, "taking a snapshot");
        creation = creation_prepare(job, &own, CREATION_TEMPORARY, error);
        if (!creation || !creation_run(creation, error))
                return false;
        *ret_id = g_strdup(creation_id(creation));
        return true;
}

static bool destroy(Job *job, const char *id, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        return job_remember(job, MEMORY_ENDS, id, error) &&
               backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error) &&
               snapshot_destroy(job, loan.domain, id, false, error);
}

bool live_end(Job *job, GError **error) {
        const char *id = creation_recall(job);

        job_stop_counting(job);
        return !id || destroy(job, id, error);
}

bool live_settle(Job *job, const ExportRequest *request, GError **error) {
        const SnapshotRequest own = make_request(request);
        const char *id = creation_recall(job);
        g_autoptr(GError) cause = NULL;

        if (!id)
                return true;
        if (!job_recall(job, MEMORY_ENDS) &&
                        !creation_settle(job, &own, CREATION_TEMPORARY, &cause) &&
                        !g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED)) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        return destroy(job, id, error);
}
