/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A guest that stays frozen can do nothing any more, and a guest is frozen by one call and thawed
 * by another. So what is frozen is noted before, and the note goes when it is thawed:
 *
 *     does it answer? ── note ── freeze ── (snapshot) ── thaw, again and again ── remove note
 *
 * libvirt could do both itself (VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE), but not for several machines,
 * tries to thaw once, and waits for the agent as long as that takes. A freeze that got no answer
 * may have been heard, and lies in the channel of an agent that hangs; so it is asked for something
 * harmless first. */

#include "snapshot/freeze.h"

#include <libvirt/virterror.h>
#include <string.h>
#include <syslog.h>

#include "backend/backend-error.h"

/* libvirt waits for ever otherwise. To freeze, the guest has to write what it holds back, and to
 * run the hooks of its databases. */
#define ANSWER_SECONDS 5
#define FREEZE_SECONDS 60
#define THAW_SECONDS   10

#define THAW_USEC (300 * G_USEC_PER_SEC)
#define THAW_MSEC 500 /* between two attempts */

#define MEMORY_FROZEN "Frozen" /* UUIDs */

typedef enum Thaw {
        THAW_DONE,
        THAW_NOTHING, /* it was not frozen any more */
        THAW_AGAIN,
        THAW_LOST, /* the connection */
} Thaw;

static bool is_noted(const Job *job, const char *uuid) {
        const char *noted = job_recall(job, MEMORY_FROZEN);

        return noted && strstr(noted, uuid);
}

static bool note(Job *job, const char *uuid, GError **error) {
        const char *noted = job_recall(job, MEMORY_FROZEN);
        g_autofree char *text = g_strdup_printf("%s %s", noted ?: "", uuid);

        return is_noted(job, uuid) || job_remember(job, MEMORY_FROZEN, text, error);
}

/* The time that libvirt waits is its own again; what it was before can't be read. */
static void finish(Job *job, virDomainPtr domain, const char *uuid) {
        (void) virDomainAgentSetResponseTimeout(domain, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
        if (is_noted(job, uuid)) {
                g_auto(GStrv) parts = g_strsplit(job_recall(job, MEMORY_FROZEN), uuid, 2);
                g_autofree char *text = g_strjoinv("", parts);

                /* If that is not written, settle() thaws once more. */
                (void) job_remember(job, MEMORY_FROZEN, text, NULL);
        }
}

/* An answer that it can't tell the time is one. */
static bool does_answer(virDomainPtr domain) {
        long long seconds;
        unsigned nanoseconds;

        return virDomainAgentSetResponseTimeout(domain, ANSWER_SECONDS, 0) == 0 &&
               (virDomainGetTime(domain, &seconds, &nanoseconds, 0) == 0 ||
                               virGetLastErrorCode() == VIR_ERR_INTERNAL_ERROR);
}

/* libvirt refuses by itself what a guest that does not run, or has no agent, can't do. */
static bool was_sent(const GError *error) {
        return !g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE) &&
               !g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED);
}

bool freeze_begin(Job *job, virDomainPtr domain, GError **error) {
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        int n = -1;

        (void) virDomainGetUUIDString(domain, uuid);
        if (does_answer(domain) &&
                        virDomainAgentSetResponseTimeout(domain, FREEZE_SECONDS, 0) == 0) {
                if (!note(job, uuid, error))
                        return false;
                n = virDomainFSFreeze(domain, NULL, 0, 0);
        }
        if (n < 0) {
                backend_error_set(error, "Failed to freeze the file systems of '%s'",
                                virDomainGetName(domain));
                if (!is_noted(job, uuid) || !was_sent(*error))
                        finish(job, domain, uuid);
        } else if (n == 0)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "'%s' has no file system that can be frozen",
                                virDomainGetName(domain));
        return n > 0;
}

/* The agent of a guest that is not frozen answers 0. */
static Thaw thaw(virDomainPtr domain) {
        g_autoptr(GError) error = NULL;
        int n;

        (void) virDomainAgentSetResponseTimeout(domain, THAW_SECONDS, 0);
        n = virDomainFSThaw(domain, NULL, 0, 0);
        if (n >= 0)
                return n > 0 ? THAW_DONE : THAW_NOTHING;
        backend_error_set(&error, "Failed to thaw");
        if (g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE))
                return THAW_LOST;
        if (g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE) ||
                        virDomainIsActive(domain) == 0)
                return THAW_NOTHING;
        return THAW_AGAIN;
}

/* One attempt for each: one that does not answer does not keep the others. */
static Thaw thaw_all(Job *job, virDomainPtr *domains, size_t n, bool *held) {
        Thaw worst = THAW_DONE;

        for (size_t i = 0; i < n; i++) {
                char uuid[VIR_UUID_STRING_BUFLEN] = "";
                Thaw result;

                (void) virDomainGetUUIDString(domains[i], uuid);
                if (!is_noted(job, uuid))
                        continue;
                result = thaw(domains[i]);
                if (result == THAW_NOTHING)
                        *held = false;
                if (result == THAW_DONE || result == THAW_NOTHING)
                        finish(job, domains[i], uuid);
                worst = MAX(worst, result);
        }
        return worst;
}

bool freeze_end(Job *job, virDomainPtr *domains, size_t n, bool *ret_held, GError **error) {
        gint64 end = g_get_monotonic_time() + THAW_USEC;
        bool held = true, waited = false;
        Thaw result;

        while ((result = thaw_all(job, domains, n, &held)) == THAW_AGAIN &&
                        g_get_monotonic_time() < end && !job_is_disowned(job)) {
                job_status(job, "waiting for the guest agent");
                job_wait(job, THAW_MSEC);
                waited = true;
        }
        if (waited)
                job_status(job, "");
        if (result == THAW_LOST) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE,
                                "The connection was lost while a guest was frozen");
                return false;
        }
        if (result == THAW_AGAIN) {
                held = false;
                job_log(job, LOG_ERR, "The guest's file systems could not be thawed");
        }
        if (ret_held)
                *ret_held = held;
        return true;
}
