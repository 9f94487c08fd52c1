/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* TurnOff: IVMVirtualMachine::TurnOff, RequestedState 3: cuts the power. With Force it does not
 * wait for the task that holds the machine: that one is cancelled, and QEMU is ended under it.
 * Turning off twice is turning off, so after an interruption it is simply done again. */

#include "backend/backend-error.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"

static bool turn_off_parse(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"Force", OPTION_BOOLEAN, offsetof(Request, force), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };

        return bus_options_read(call, operation_common_options, own, request, error);
}

static bool turn_off_run(Job *job, GError **error) {
        const Request *request = job->request;
        BackendPurpose purpose = request->force ? BACKEND_URGENT : BACKEND_SHORT;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, purpose, job->uuid, &loan, error))
                return false;
        if (virDomainDestroy(loan.domain) == 0)
                return true;
        backend_error_set(error, "Failed to turn '%s' off", virDomainGetName(loan.domain));
        if (virDomainIsActive(loan.domain) != 0)
                return false;
        /* It has gone off by itself meanwhile, which is what was asked for. */
        g_clear_error(error);
        return true;
}

const Operation operation_turn_off = {
                .name = "vm-turn-off",
                .interface = "VirtualMachine",
                .member = "TurnOff",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.control",
                .gerund = "Turning off",
                .requested_state = 3,
                .job_type = 13,
                .during = MACHINE_TURNING_OFF,
                .refuse = {[MACHINE_TURNED_OFF] = VIRTASK_ERROR_NOT_RUNNING,
                                [MACHINE_SAVED] = VIRTASK_ERROR_NOT_RUNNING},
                .flags = OPERATION_DURABLE,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .parse = turn_off_parse,
                .run = turn_off_run,
                .settle = turn_off_run,
};
