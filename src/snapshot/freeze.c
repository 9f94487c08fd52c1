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
#include "guest/agent.h"

/* libvirt waits for ever otherwise. To freeze, the guest has to write what it holds back, and to
 * run the hooks of its databases. */
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

static void forget(Job *job, const char *uuid) {
        if (is_noted(job, uuid)) {
                g_auto(GStrv) parts = g_strsplit(job_recall(job, MEMORY_FROZEN), uuid, 2);
                g_autofree char *text = g_strjoinv("", parts);

                /* If that is not written, settle() thaws once more. */
                (void) job_remember(job, MEMORY_FROZEN, text, NULL);
        }
}

/* libvirt refuses by itself what a guest that does not run, or has no agent, can't do. */
static bool was_sent(const GError *error) {
        return !g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE) &&
               !g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED);
}

static int ask_to_freeze(virDomainPtr domain, void *data) {
        return virDomainFSFreeze(domain, NULL, 0, 0);
}

/* The number of file systems that are frozen now, or -1. */
static int freeze(virDomainPtr domain, GError **error) {
        virErrorPtr cause;
        int n = agent_call(domain, FREEZE_SECONDS, ask_to_freeze, NULL, &cause);

        if (n < 0)
                backend_error_take(error, cause, "Failed to freeze the file systems of '%s'",
                                virDomainGetName(domain));
        return n;
}

bool freeze_begin(Job *job, virDomainPtr domain, GError **error) {
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        int n = -1;

        (void) virDomainGetUUIDString(domain, uuid);
        if (agent_answers(domain, error)) {
                if (!note(job, uuid, error))
                        return false;
                n = freeze(domain, error);
        }
        if (n < 0) {
                if (!was_sent(*error))
                        forget(job, uuid);
        } else if (n == 0)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "'%s' has no file system that can be frozen",
                                virDomainGetName(domain));
        return n > 0;
}

static int ask_to_thaw(virDomainPtr domain, void *data) {
        return virDomainFSThaw(domain, NULL, 0, 0);
}

/* The agent of a guest that is not frozen answers 0. */
static Thaw thaw(virDomainPtr domain) {
        g_autoptr(GError) error = NULL;
        virErrorPtr cause;
        int n = agent_call(domain, THAW_SECONDS, ask_to_thaw, NULL, &cause);

        if (n >= 0)
                return n > 0 ? THAW_DONE : THAW_NOTHING;
        backend_error_take(&error, cause, "Failed to thaw");
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
                        forget(job, uuid);
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
