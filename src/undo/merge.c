/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* MergeUndoDisks and DiscardUndoDisks of IVMVirtualMachine, and what the daemon does by itself when
 * a machine has gone off. */

#include "backend/backend-error.h"
#include "backend/facts.h"
#include "jobs/job.h"
#include "undo/operations.h"
#include "undo/undo-disks.h"

static bool admit(const void *request, const MachineFacts *facts, GError **error) {
        if (facts->undoable)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE, "'%s' has no undo disks",
                        facts->name);
        return false;
}

static bool discard_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        return backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error) &&
               undo_disks_discard(loan.domain, error);
}

static bool merge_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        return backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error) &&
               undo_disks_merge(job, loan.domain, error);
}

static bool interrupted(virDomainPtr domain, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "Merging the undo disks of '%s' was interrupted before it began",
                        virDomainGetName(domain));
        return false;
}

/* A merge that has begun is done to its end: the machine shows the same all the time. */
static bool merge_settle(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        int merging;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        merging = undo_disks_are_merging(loan.domain, error);
        if (merging < 0)
                return false;
        return merging ? undo_disks_merge(job, loan.domain, error)
                       : interrupted(loan.domain, error);
}

static bool apply_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        return backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error) &&
               undo_disks_apply(job, loan.domain, error);
}

const Operation operation_discard_undo_disks = {
                .name = "vm-discard-undo-disks",
                .interface = "VirtualMachine",
                .member = "DiscardUndoDisks",
                .signature = "",
                .argument_names = "",
                .action = "org.virtask1.snapshot-apply",
                .gerund = "Discarding the undo disks of",
                .refuse = {[MACHINE_SAVED] = VIRTASK_ERROR_RUNNING_OR_SAVED,
                                [MACHINE_RUNNING] = VIRTASK_ERROR_RUNNING_OR_SAVED,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_RUNNING_OR_SAVED},
                .flags = OPERATION_IMMEDIATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .admit = admit,
                .run = discard_run,
};

/* clang-format off */
#define MERGE_COMMON                                            \
                .action = "org.virtask1.snapshot-apply",        \
                .job_type = 50,                                 \
                .during = MACHINE_MERGING_DRIVES,               \
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_ENDS_WITH_US, \
                .lane = LANE_DISK,                              \
                .request_size = sizeof(Request),                \
                .progress = job_counted
/* clang-format on */

const Operation operation_merge_undo_disks = {
                .name = "vm-merge-undo-disks",
                .interface = "VirtualMachine",
                .member = "MergeUndoDisks",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .gerund = "Merging the undo disks of",
                .refuse = {[MACHINE_RUNNING] = VIRTASK_ERROR_ALREADY_RUNNING,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_ALREADY_RUNNING},
                .parse = operation_parse_common,
                .admit = admit,
                .run = merge_run,
                .settle = merge_settle,
                MERGE_COMMON,
};

/* It has no interface: the daemon begins it, as the user that it runs as. */
const Operation operation_apply_undo_action = {
                .name = "vm-apply-undo-action",
                .interface = "",
                .member = "",
                .signature = "",
                .argument_names = "task\0",
                .gerund = "Applying the undo action of",
                .refuse = {[MACHINE_SAVED] = VIRTASK_ERROR_RUNNING_OR_SAVED,
                                [MACHINE_RUNNING] = VIRTASK_ERROR_RUNNING_OR_SAVED,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_RUNNING_OR_SAVED},
                .run = apply_run,
                .settle = apply_run,
                MERGE_COMMON,
};
