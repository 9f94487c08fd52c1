/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Talks to the QEMU guest agent in a machine. What it says comes from the guest, which may lie or
 * say nothing at all: no call lasts longer than its time, and texts are cleaned. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdbool.h>

#include "util/error.h"

/* One call into libvirt that asks the agent, with the agent for this thread alone (it waits for
 * others), and libvirt waiting at most "seconds" for each of its answers. Returns what "call"
 * returns, -1 if it could not be called; below 0 *ret_cause is libvirt's error, else NULL. */
typedef int (*AgentCall)(virDomainPtr domain, void *data);

int agent_call(virDomainPtr domain,
                int seconds,
                AgentCall call,
                void *data,
                virErrorPtr *ret_cause);

/* Whether it answers within 5 seconds, if only that it can't tell the time. Errors are those of
 * libvirt: GUEST_AGENT_NOT_AVAILABLE, NOT_SUPPORTED without a channel, INVALID_STATE if the guest
 * does not run. */
bool agent_answers(virDomainPtr domain, GError **error);

/* What libvirt says when the agent did not do what was asked for; "cause" is taken.
 * GUEST_AGENT_NOT_AVAILABLE: it does not answer, or does not offer it; GUEST_NOT_READY: it is
 * frozen or busy; GUEST_SHUTDOWN_IN_PROGRESS; NOT_SUPPORTED: the program is missing; "refusal": it
 * has tried in vain. The words of the guest go to *ret_told, NULL if there are none. */
void agent_error_take(GError **error,
                virErrorPtr cause,
                VirtaskError refusal,
                const char *name,
                char **ret_told);

/* Names of those who are logged on, each once, at most 256 of them; errors as agent_error_take()
 * with FAILED. */
char **agent_users(virDomainPtr domain, GError **error);

/* The operating system as the agent names it: texts that are clean, "" if it does not say. */
typedef struct AgentSystem {
        char *id; /* as in os-release(5); "mswindows" */
        char *name;
        char *version;
} AgentSystem;

bool agent_system(virDomainPtr domain, AgentSystem *ret, GError **error);
void agent_system_clear(AgentSystem *system);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AgentSystem, agent_system_clear)

/* A program that ran in the guest. */
typedef struct AgentRun {
        int status;   /* its exit status; -1: it was killed */
        char *output; /* clean, lines stay; at most 64 KiB */
} AgentRun;

/* Has the agent run a program and waits for its end, half a minute at most; errors as
 * agent_error_take() with FAILED. */
bool agent_run(virDomainPtr domain, const char *const *arguments, AgentRun *ret, GError **error);
void agent_run_clear(AgentRun *run);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AgentRun, agent_run_clear)

/* Valid UTF-8 without control characters (but newlines, with "lines"), cut at "limit" bytes. */
char *agent_clean_text(const char *text, size_t limit, bool lines);
