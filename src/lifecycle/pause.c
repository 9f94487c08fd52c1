/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pause and Resume: IVMVirtualMachine::Pause and Resume, RequestedState 9 (and 2 on a paused
 * machine). Nothing is stored; both finish before they are answered. */

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"

static bool pause_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        if (virDomainSuspend(loan.domain) == 0)
                return true;
        backend_error_set(error, "Failed to pause '%s'", virDomainGetName(loan.domain));
        return false;
}

static bool resume_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        /* A guest that was restored and waits (see startup.c): its image must not outlive its first
         * step. */
        if (saved_image_exists(loan.domain) == 1)
                (void) virDomainManagedSaveRemove(loan.domain, 0);
        if (virDomainResume(loan.domain) == 0)
                return true;
        backend_error_set(error, "Failed to resume '%s'", virDomainGetName(loan.domain));
        return false;
}

const Operation operation_pause = {
                .name = "vm-pause",
                .interface = "VirtualMachine",
                .member = "Pause",
                .signature = "",
                .argument_names = "",
                .action = "org.virtask1.control",
                .gerund = "Pausing",
                .requested_state = 9,
                .job_type = 26,
                .refuse = {[MACHINE_TURNED_OFF] = VIRTASK_ERROR_NOT_RUNNING,
                                [MACHINE_SAVED] = VIRTASK_ERROR_NOT_RUNNING,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_ALREADY_PAUSED},
                .flags = OPERATION_IMMEDIATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .run = pause_run,
};

const Operation operation_resume = {
                .name = "vm-resume",
                .interface = "VirtualMachine",
                .member = "Resume",
                .signature = "",
                .argument_names = "",
                .action = "org.virtask1.control",
                .gerund = "Resuming",
                .job_type = 27,
                .refuse = {[MACHINE_TURNED_OFF] = VIRTASK_ERROR_NOT_RUNNING,
                                [MACHINE_SAVED] = VIRTASK_ERROR_NOT_RUNNING,
                                [MACHINE_RUNNING] = VIRTASK_ERROR_NOT_PAUSED},
                .flags = OPERATION_IMMEDIATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .run = resume_run,
};
