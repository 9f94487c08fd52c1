/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Shutdown and Restart: IVMGuestOS::Shutdown and ::Restart, RequestedState 4 and 10. The guest is
 * asked, through its agent if there is one, otherwise by its power button, and then it takes the
 * time that it takes:
 *
 *     is it locked? ── note ── ask ── wait for the event: off, or reset
 *
 * Nothing here cuts the power. If the time is over, or the task is cancelled, the machine runs on,
 * and since the guest has been asked it may still go down later. Forced means that the guest is not
 * asked whether somebody has locked its screen, and that an agent that does not answer is passed
 * over; see docs/decisions/0016-guest.md.
 *
 * After an interruption nobody is asked again. A machine that is off has done what was asked for; a
 * guest that was asked in this life of the machine is waited for until its time is over. */

#include <libvirt/virterror.h>
#include <stdio.h>
#include <syslog.h>

#include "backend/backend-error.h"
#include "backend/guest-facts.h"
#include "guest/agent.h"
#include "guest/guest-watch.h"
#include "guest/operations.h"
#include "guest/options.h"
#include "guest/sessions.h"

#define WAIT_MSEC 50

/* The life of the machine in which the guest was asked, libvirt's number of it, and when its time
 * is over, in microseconds of CLOCK_REALTIME. */
#define MEMORY_ASKED "Asked"

/* What the request is about; until it is READY its thread has it. */
typedef struct Errand {
        bool restart;
        bool forced;
        bool has_button;
        bool by_agent;
} Errand;

static bool is_restart(const Job *job) {
        return job->operation == &operation_guest_restart;
}

/* Asking: on the thread of the request */

static bool shutdown_prepare(GuestRequest *request, void *data, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        Errand *errand = data;
        GuestFacts facts;
        bool may_press;

        if (!guest_request_open(request, &loan, error))
                return false;
        facts = guest_facts_read(loan.domain);
        errand->has_button = facts.has_button;
        if (facts.agent != AGENT_CONNECTED)
                return facts.has_button ||
                       guest_check_agent(virDomainGetName(loan.domain), facts.agent, error);

        may_press = errand->forced && facts.has_button;
        errand->by_agent = agent_answers(loan.domain, may_press ? NULL : error);
        if (!errand->by_agent)
                return may_press;
        return errand->forced || sessions_check_unlocked(loan.domain, error);
}

/* libvirt waits until the guest goes down, a minute at most. The agent has answered a moment ago,
 * so if there is no answer now it is doing what it was asked for. */
static bool ask_agent(
                GuestRequest *request, virDomainPtr domain, const Errand *errand, GError **error) {
        virErrorPtr cause;
        char *told;
        int r = errand->restart ? virDomainReboot(domain, VIR_DOMAIN_REBOOT_GUEST_AGENT)
                                : virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT);

        if (r == 0)
                return true;
        cause = virSaveLastError();
        if (cause && cause->code == VIR_ERR_AGENT_UNRESPONSIVE) {
                virFreeError(cause);
                return true;
        }
        agent_error_take(error, cause, VIRTASK_ERROR_SHUTDOWN_ABORTED, virDomainGetName(domain),
                        &told);
        guest_request_tell(request, told);
        return false;
}

static bool press_button(virDomainPtr domain, const Errand *errand, GError **error) {
        int r = errand->restart ? virDomainReboot(domain, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)
                                : virDomainShutdownFlags(
                                                  domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);

        if (r == 0)
                return true;
        backend_error_set(error, "Failed to press the power button of '%s'",
                        virDomainGetName(domain));
        return false;
}

/* An agent that may not do it is none. */
static bool shutdown_send(GuestRequest *request, void *data, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GError) cause = NULL;
        const Errand *errand = data;

        if (!guest_request_open(request, &loan, error))
                return false;
        if (errand->by_agent) {
                if (ask_agent(request, loan.domain, errand, &cause))
                        return true;
                if (!errand->has_button ||
                                !g_error_matches(cause, VIRTASK_ERROR,
                                                VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE)) {
                        g_propagate_error(error, g_steal_pointer(&cause));
                        return false;
                }
        }
        return press_button(loan.domain, errand, error);
}

/* Waiting: on the worker */

typedef struct Course {
        Job *job;
        virDomainPtr domain;
        GuestWatch *watch;
        GuestRequest *request; /* NULL: the guest was asked before an interruption */
        Errand *errand;        /* of the request */
        gint64 deadline;       /* g_get_monotonic_time() */
} Course;

static bool conclude_off(const Course *course, bool by_guest, GError **error) {
        const char *name = virDomainGetName(course->domain);

        if (is_restart(course->job))
                return error_fail(VIRTASK_ERROR_FAILED, error,
                                "'%s' has gone off instead of restarting", name);
        return by_guest ||
               error_fail(VIRTASK_ERROR_SHUTDOWN_ABORTED, error,
                               "'%s' was turned off before its guest had shut down", name);
}

/* The same by what libvirt has noted of the end. A machine that exists only while it runs leaves no
 * note. */
static bool conclude_by_state(const Course *course, GError **error) {
        int state, reason = VIR_DOMAIN_SHUTOFF_UNKNOWN;

        if (virDomainGetState(course->domain, &state, &reason, 0) < 0 &&
                        virGetLastErrorCode() != VIR_ERR_NO_DOMAIN) {
                backend_error_set(
                                error, "Failed to look at '%s'", virDomainGetName(course->domain));
                return false;
        }
        return conclude_off(course,
                        reason == VIR_DOMAIN_SHUTOFF_SHUTDOWN ||
                                        reason == VIR_DOMAIN_SHUTOFF_UNKNOWN,
                        error);
}

static bool note(const Course *course, GError **error) {
        gint64 left = course->deadline - g_get_monotonic_time(), now = g_get_real_time();
        g_autofree char *text = g_strdup_printf("%u %" G_GINT64_FORMAT,
                        virDomainGetID(course->domain), now + MIN(left, G_MAXINT64 - now));

        return job_remember(course->job, MEMORY_ASKED, text, error);
}

/* What was heard until now is of no matter: the guest has not been asked yet. */
static bool send(const Course *course, GError **error) {
        if (!note(course, error))
                return false;
        job_log(course->job, LOG_INFO,
                        course->errand->by_agent ? "The guest is asked through its agent"
                                                 : "The power button is pressed");
        job_status(course->job, "waiting for the guest");
        (void) guest_watch_take_reset(course->watch);
        guest_request_send(course->request);
        return true;
}

/* Does what the request waits for; false if it has failed. */
static bool serve(const Course *course, GError **error) {
        switch (course->request ? guest_request_stage(course->request) : GUEST_STAGE_DONE) {
        case GUEST_STAGE_READY:
                return send(course, error);
        case GUEST_STAGE_FAILED:
                return guest_take_failure(course->job, course->request, error);
        case GUEST_STAGE_PREPARING:
        case GUEST_STAGE_SENDING:
        case GUEST_STAGE_DONE:
                break;
        }
        return true;
}

static bool was_asked(const Course *course) {
        return !course->request || guest_request_stage(course->request) >= GUEST_STAGE_SENDING;
}

static bool give_up(const Course *course, GError **error) {
        const char *what = is_restart(course->job) ? "restarted" : "shut down";

        return error_fail(VIRTASK_ERROR_TIMED_OUT, error,
                        was_asked(course) ? "'%s' has not %s in time; it runs on, and may still do "
                                            "so"
                                          : "'%s' has not %s: its guest could not be asked in time",
                        virDomainGetName(course->domain), what);
}

/* Until it has ended, the time is over or nobody waits for it any more. */
static bool follow(const Course *course, GError **error) {
        bool by_guest;

        while (!job_is_cancelled(course->job)) {
                if (guest_watch_has_stopped(course->watch, &by_guest))
                        return conclude_off(course, by_guest, error);
                if (was_asked(course) && guest_watch_take_reset(course->watch))
                        return is_restart(course->job) ||
                               error_fail(VIRTASK_ERROR_SHUTDOWN_ABORTED, error,
                                               "'%s' has restarted instead of shutting down",
                                               virDomainGetName(course->domain));
                if (guest_watch_is_deaf(course->watch))
                        return error_fail(VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE, error,
                                        "The connection to the hypervisor is lost");
                if (!serve(course, error) || (g_get_monotonic_time() >= course->deadline &&
                                                             !give_up(course, error))) {
                        if (virDomainIsActive(course->domain) != 0)
                                return false;
                        g_clear_error(error);
                        return conclude_by_state(course, error);
                }
                job_wait(course->job, WAIT_MSEC);
        }
        return false;
}

static bool shutdown_run(Job *job, GError **error) {
        static const GuestRequestKind kind = {true, shutdown_prepare, shutdown_send};
        const GuestOptions *options = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GuestWatch) watch = NULL;
        Course course = {.job = job, .deadline = guest_options_deadline(job)};
        bool ok;

        if (!backend_open_domain(job->backend, BACKEND_QUERY, job->uuid, &loan, error) ||
                        !(watch = guest_watch_new(loan.domain, error)))
                return false;
        course.domain = loan.domain;
        course.watch = watch;
        course.errand = g_new0(Errand, 1);
        *course.errand = (Errand){.restart = is_restart(job), .forced = options->forced};
        course.request = guest_request_new(job->backend, job->uuid, &kind, course.errand, error);
        if (!course.request)
                return false;
        ok = follow(&course, error);
        if (guest_request_leave(course.request) && !ok && guest_is_left_behind(job, *error))
                job_log(job, LOG_NOTICE, "The guest has been asked, and may still go down");
        return ok;
}

/* Whether the guest was asked in this life of the machine. */
static bool recall(Course *course) {
        const char *text = job_recall(course->job, MEMORY_ASKED);
        gint64 end, left;
        unsigned id;

        if (!text || sscanf(text, "%u %" G_GINT64_FORMAT, &id, &end) != 2 ||
                        id != virDomainGetID(course->domain))
                return false;
        left = MAX(end - g_get_real_time(), 0);
        course->deadline = g_get_monotonic_time();
        course->deadline += MIN(left, G_MAXINT64 - course->deadline);
        return true;
}

static bool shutdown_settle(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GuestWatch) watch = NULL;
        Course course = {.job = job};

        if (!backend_open_domain(job->backend, BACKEND_QUERY, job->uuid, &loan, error) ||
                        !(watch = guest_watch_new(loan.domain, error)))
                return false;
        course.domain = loan.domain;
        course.watch = watch;
        switch (virDomainIsActive(loan.domain)) {
        case 0:
                return conclude_by_state(&course, error);
        case 1:
                break;
        default:
                backend_error_set(error, "Failed to look at '%s'", virDomainGetName(loan.domain));
                return false;
        }
        if (recall(&course) && !is_restart(job)) {
                job_status(job, "waiting for the guest");
                return follow(&course, error);
        }
        return error_fail(VIRTASK_ERROR_SERVICE_RESTARTED, error,
                        is_restart(job) ? "The service was interrupted; whether '%s' has restarted "
                                          "is not known"
                                        : "The service was interrupted; '%s' runs",
                        virDomainGetName(loan.domain));
}

/* Called */

/* RequestStateChange has no argument of its own. */
static bool shutdown_parse(sd_bus_message *call, void *request, GError **error) {
        GuestOptions *options = request;
        int forced = 0;
        char type;

        if (sd_bus_message_peek_type(call, &type, NULL) > 0 && type == SD_BUS_TYPE_BOOLEAN &&
                        sd_bus_message_read_basic(call, SD_BUS_TYPE_BOOLEAN, &forced) < 0)
                return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                "The arguments can not be read");
        options->forced = forced;
        return guest_options_parse(call, request, error);
}

static bool shutdown_admit(const void *request, const MachineFacts *facts, GError **error) {
        return facts->guest.has_button || facts->guest.agent != AGENT_NONE ||
               guest_check_agent(facts->name, facts->guest.agent, error);
}

/* clang-format off */
#define SHUTDOWN_COMMON                                                \
                .interface = "GuestOS",                                \
                .signature = "ba{sv}",                                 \
                .argument_names = "forced\0options\0task\0",           \
                .action = "org.virtask1.control",                      \
                .refuse = GUEST_REFUSE,                                \
                .admit = shutdown_admit,                               \
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE,    \
                .lane = LANE_GUEST,                                    \
                .request_size = sizeof(GuestOptions),                  \
                .parse = shutdown_parse,                               \
                .run = shutdown_run,                                   \
                .settle = shutdown_settle
/* clang-format on */

const Operation operation_guest_shutdown = {
                .name = "guest-shutdown",
                .member = "Shutdown",
                .gerund = "Shutting down",
                .requested_state = 4,
                .job_type = 16,
                SHUTDOWN_COMMON,
};

const Operation operation_guest_restart = {
                .name = "guest-restart",
                .member = "Restart",
                .gerund = "Restarting",
                .requested_state = 10,
                .job_type = 29,
                SHUTDOWN_COMMON,
};
