/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Logoff: IVMGuestOS::Logoff: ends the sessions of all who are logged on in the guest, and waits
 * until nobody is any more. Only an agent can do that. What was asked for can't be taken back; a
 * cancel ends the waiting. After an interruption it looks, and asks for nothing again. */

#include <syslog.h>

#include "backend/guest-facts.h"
#include "guest/agent.h"
#include "guest/operations.h"
#include "guest/options.h"
#include "guest/sessions.h"

#define WAIT_MSEC 50  /* the worker, for news */
#define LOOK_MSEC 250 /* at who is logged on */

/* How many are logged on; -1 on failure. */
static int count_users(virDomainPtr domain, GError **error) {
        g_auto(GStrv) users = agent_users(domain, error);

        return users ? (int) g_strv_length(users) : -1;
}

static bool logoff_prepare(GuestRequest *request, void *data, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        int n;

        if (!guest_request_open(request, &loan, error) ||
                        !guest_check_agent(virDomainGetName(loan.domain),
                                        guest_facts_read(loan.domain).agent, error) ||
                        !agent_answers(loan.domain, error))
                return false;
        n = count_users(loan.domain, error);
        return n > 0 || (n == 0 && error_fail(VIRTASK_ERROR_NO_LOGON_SESSION, error,
                                                   "Nobody is logged on in '%s'",
                                                   virDomainGetName(loan.domain)));
}

static bool end_sessions(GuestRequest *request, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_auto(GStrv) users = NULL;
        char *told = NULL;
        bool ok;

        if (!guest_request_open(request, &loan, error) ||
                        !(users = agent_users(loan.domain, error)))
                return false;
        ok = !*users || sessions_end(loan.domain, users, &told, error);
        guest_request_tell(request, told);
        return ok;
}

static int look(GuestRequest *request, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        return guest_request_open(request, &loan, error) ? count_users(loan.domain, error) : -1;
}

/* The loan goes back between two looks. */
static bool logoff_send(GuestRequest *request, void *data, GError **error) {
        int n;

        if (!end_sessions(request, error))
                return false;
        while ((n = look(request, error)) > 0 && guest_request_sleep(request, LOOK_MSEC))
                ;
        return n == 0;
}

static bool follow(Job *job, GuestRequest *request, gint64 deadline, GError **error) {
        while (!job_is_cancelled(job)) {
                switch (guest_request_stage(request)) {
                case GUEST_STAGE_READY:
                        job_status(job, "waiting for the guest");
                        guest_request_send(request);
                        break;
                case GUEST_STAGE_DONE:
                        return true;
                case GUEST_STAGE_FAILED:
                        return guest_take_failure(job, request, error);
                case GUEST_STAGE_PREPARING:
                case GUEST_STAGE_SENDING:
                        break;
                }
                if (g_get_monotonic_time() >= deadline)
                        return error_fail(VIRTASK_ERROR_TIMED_OUT, error,
                                        "Users are still logged on in '%s'", job->before->name);
                job_wait(job, WAIT_MSEC);
        }
        return false;
}

static bool logoff_run(Job *job, GError **error) {
        static const GuestRequestKind kind = {false, logoff_prepare, logoff_send};
        gint64 deadline = guest_options_deadline(job);
        GuestRequest *request = guest_request_new(job->backend, job->uuid, &kind, NULL, error);
        bool ok;

        if (!request)
                return false;
        ok = follow(job, request, deadline, error);
        if (guest_request_leave(request) && !ok && guest_is_left_behind(job, *error))
                job_log(job, LOG_NOTICE, "The guest may still log its users off");
        return ok;
}

static bool logoff_settle(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GError) cause = NULL;

        if (!backend_open_domain(job->backend, BACKEND_GUEST, job->uuid, &loan, error))
                return false;
        if (count_users(loan.domain, &cause) == 0)
                return true;
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE)) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        return error_fail(VIRTASK_ERROR_SERVICE_RESTARTED, error,
                        cause ? "Logging off was interrupted; who is logged on in '%s' is not known"
                              : "Logging off was interrupted; users are logged on in '%s'",
                        virDomainGetName(loan.domain));
}

/* One that comes and goes is found out when it is asked. */
static bool logoff_admit(const void *request, const MachineFacts *facts, GError **error) {
        return facts->guest.agent != AGENT_NONE ||
               guest_check_agent(facts->name, facts->guest.agent, error);
}

const Operation operation_guest_logoff = {
                .name = "guest-logoff",
                .interface = "GuestOS",
                .member = "Logoff",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.control",
                .gerund = "Logging off the users of",
                .refuse = GUEST_REFUSE,
                .admit = logoff_admit,
                .flags = OPERATION_CANCELLABLE,
                .lane = LANE_GUEST,
                .request_size = sizeof(GuestOptions),
                .parse = guest_options_parse,
                .run = logoff_run,
                .settle = logoff_settle,
};
