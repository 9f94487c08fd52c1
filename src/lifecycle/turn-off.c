/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* TurnOff: IVMVirtualMachine::TurnOff, RequestedState 3: cuts the power. With Force it does not
 * wait for the task that holds the machine: that one is cancelled, and QEMU is ended under it. */

#include <syslog.h>

#include "backend/backend-error.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"
#include "undo/undo-disks.h"

static bool turn_off_parse(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"Force", OPTION_BOOLEAN, offsetof(Request, force), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };

        return bus_options_read(call, operation_common_options, own, request, error);
}

/* The machine is off, whatever becomes of its undo disks; the daemon tries again by itself, with a
 * task that tells of it. With Force that is all: who turns off by force does not wait for disks
 * that may not answer, and those who come next need the thread. */
static bool finish(Job *job, virDomainPtr domain) {
        g_autoptr(GError) cause = NULL;

        if (!((const Request *) job->request)->force && !undo_disks_finish(domain, &cause))
                job_log(job, LOG_WARNING, "The undo disks stay for now: %s", cause->message);
        return true;
}

static bool turn_off_run(Job *job, GError **error) {
        const Request *request = job->request;
        BackendPurpose purpose = request->force ? BACKEND_URGENT : BACKEND_SHORT;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, purpose, job->uuid, &loan, error))
                return false;
        if (virDomainDestroy(loan.domain) == 0)
                return finish(job, loan.domain);
        backend_error_set(error, "Failed to turn '%s' off", virDomainGetName(loan.domain));
        if (virDomainIsActive(loan.domain) != 0)
                return false;
        /* It has gone off by itself meanwhile, which is what was asked for. */
        g_clear_error(error);
        return finish(job, loan.domain);
}

/* After an interruption: looks, and does not act again, because the machine may have been started
 * since. */
static bool turn_off_settle(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_URGENT, job->uuid, &loan, error))
                return false;
        switch (virDomainIsActive(loan.domain)) {
        case 0:
                return true;
        case 1:
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                "Turning '%s' off was interrupted", virDomainGetName(loan.domain));
                return false;
        default:
                backend_error_set(error, "Failed to look at '%s'", virDomainGetName(loan.domain));
                return false;
        }
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
                .flags = OPERATION_DURABLE | OPERATION_ANY_STATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .parse = turn_off_parse,
                .run = turn_off_run,
                .settle = turn_off_settle,
};
