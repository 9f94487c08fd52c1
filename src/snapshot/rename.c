/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rename: the ElementName of a snapshot. libvirt's own name stays, because files and descriptions
 * of other snapshots refer to it: the new one is noted beside it. Names need not be unique, as in
 * Hyper-V. */

#include "backend/backend-error.h"
#include "backend/snapshot-metadata.h"
#include "jobs/job.h"
#include "snapshot/operations.h"
#include "util/name.h"

typedef struct RenameRequest {
        Request common;
        char *name;
} RenameRequest;

static bool rename_parse(sd_bus_message *call, void *request, GError **error) {
        RenameRequest *own = request;
        const char *name;

        if (sd_bus_message_read(call, "s", &name) < 0) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The name can not be read");
                return false;
        }
        own->name = g_strdup(name);
        return name_check(name, error);
}

static void rename_clear(void *request) {
        g_free(((RenameRequest *) request)->name);
}

/* A note of a snapshot that is not there would meet another one of this name some day. */
static bool check_exists(virDomainPtr domain, const char *id, GError **error) {
        g_autoptr(virDomainSnapshot) snapshot = virDomainSnapshotLookupByName(domain, id, 0);

        if (!snapshot)
                backend_error_set(error, "Failed to find the snapshot of '%s'",
                                virDomainGetName(domain));
        return snapshot;
}

static bool rename_run(Job *job, GError **error) {
        const RenameRequest *request = job->request;
        const char *id = request->common.snapshot;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GPtrArray) known = NULL;
        SnapshotMetadata entry = {.id = (char *) id};
        const SnapshotMetadata *old;

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error) ||
                        !check_exists(loan.domain, id, error))
                return false;
        known = snapshot_metadata_read(loan.domain, error);
        if (!known)
                return false;
        old = snapshot_metadata_find(known, id);
        if (old)
                entry = *old;
        entry.name = request->name;
        return snapshot_metadata_set(loan.domain, &entry, error);
}

const Operation operation_snapshot_rename = {
                .name = "snapshot-rename",
                .interface = "Snapshot",
                .member = "Rename",
                .signature = "s",
                .argument_names = "new_name\0",
                .action = "org.virtask1.configure",
                .gerund = "Renaming a snapshot of",
                .flags = OPERATION_IMMEDIATE | OPERATION_ANY_STATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(RenameRequest),
                .parse = rename_parse,
                .request_clear = rename_clear,
                .run = rename_run,
};
