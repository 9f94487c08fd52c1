/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guest/options.h"

#include <syslog.h>

/* What libvirt-guests gives them by default, too. */
#define TIMEOUT_USEC (300 * G_USEC_PER_SEC)

bool guest_options_parse(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"TimeoutUSec", OPTION_UINT64, offsetof(GuestOptions, timeout_usec),
                                        offsetof(GuestOptions, has_timeout)},
                        {NULL, 0, 0, NO_SEEN},
        };
        GuestOptions *options = request;

        if (!bus_options_read(call, operation_common_options, own, request, error))
                return false;
        if (!options->has_timeout)
                options->timeout_usec = TIMEOUT_USEC;
        return options->timeout_usec > 0 ||
               error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                               "The option 'TimeoutUSec' must be more than 0");
}

/* One that is too long to be added has no end. */
gint64 guest_options_deadline(const Job *job) {
        const GuestOptions *options = job->request;
        gint64 now = g_get_monotonic_time();

        return options->timeout_usec < (uint64_t) (G_MAXINT64 - now)
                               ? now + (gint64) options->timeout_usec
                               : G_MAXINT64;
}

bool guest_check_agent(const char *name, AgentState agent, GError **error) {
        switch (agent) {
        case AGENT_NONE:
                return error_fail(VIRTASK_ERROR_GUEST_AGENT_NOT_INSTALLED, error,
                                "'%s' has no channel for a guest agent", name);
        case AGENT_DISCONNECTED:
                return error_fail(VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE, error,
                                "No agent runs in '%s'", name);
        case AGENT_CONNECTED:
                break;
        }
        return true;
}

bool guest_take_failure(Job *job, GuestRequest *request, GError **error) {
        g_autofree char *told = NULL;

        guest_request_take_error(request, error, &told);
        if (told)
                job_log(job, LOG_ERR, "The guest said: %s", told);
        return false;
}

bool guest_is_left_behind(Job *job, const GError *error) {
        return job_is_cancelled(job) ||
               g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_TIMED_OUT);
}
