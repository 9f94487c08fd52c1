/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reset: IVMVirtualMachine::Reset, RequestedState 11: the reset button. */

#include "backend/backend-error.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"

static bool reset_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        if (virDomainReset(loan.domain, 0) == 0)
                return true;
        backend_error_set(error, "Failed to reset '%s'", virDomainGetName(loan.domain));
        return false;
}

const Operation operation_reset = {
                .name = "vm-reset",
                .interface = "VirtualMachine",
                .member = "Reset",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.control",
                .gerund = "Resetting",
                .requested_state = 11,
                .job_type = 28,
                .refuse = {[MACHINE_TURNED_OFF] = VIRTASK_ERROR_NOT_RUNNING,
                                [MACHINE_SAVED] = VIRTASK_ERROR_NOT_RUNNING},
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .parse = operation_parse_common,
                .run = reset_run,
};
