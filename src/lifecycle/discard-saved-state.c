/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* DiscardSavedState: IVMVirtualMachine::DiscardSavedState: the machine is off then, and boots when
 * it is started. */

#include "backend/backend-error.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"

static bool discard_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        if (virDomainManagedSaveRemove(loan.domain, 0) == 0)
                return true;
        backend_error_set(error, "Failed to discard the saved state of '%s'",
                        virDomainGetName(loan.domain));
        return false;
}

const Operation operation_discard_saved_state = {
                .name = "vm-discard-saved-state",
                .interface = "VirtualMachine",
                .member = "DiscardSavedState",
                .signature = "",
                .argument_names = "",
                .action = "org.virtask1.control",
                .gerund = "Discarding the saved state of",
                .refuse = {[MACHINE_TURNED_OFF] = VIRTASK_ERROR_NO_SAVED_STATE,
                                [MACHINE_RUNNING] = VIRTASK_ERROR_ALREADY_RUNNING,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_ALREADY_RUNNING},
                .flags = OPERATION_IMMEDIATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .run = discard_run,
};
