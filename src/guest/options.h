/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the operations of this room share of their requests. */

#include "guest/request.h"
#include "jobs/job.h"

typedef struct GuestOptions {
        Request common;
        uint64_t timeout_usec;
        bool has_timeout;
        bool forced;
} GuestOptions;

/* A parse() for options alone; without TimeoutUSec it is five minutes. Loop. */
bool guest_options_parse(sd_bus_message *call, void *request, GError **error);

/* When the time that the guest has is over, g_get_monotonic_time(). Worker. */
gint64 guest_options_deadline(const Job *job);

/* Refuses a machine whose guest has no agent: GUEST_AGENT_NOT_INSTALLED if it has no channel for
 * one, GUEST_AGENT_NOT_AVAILABLE if nobody has it open. Any thread. */
bool guest_check_agent(const char *name, AgentState agent, GError **error);

/* The error of a request that has failed; what the guest said goes to the log. Worker. */
bool guest_take_failure(Job *job, GuestRequest *request, GError **error);

/* Whether the worker gives up a guest that may still do what it was asked for; NULL: no error. */
bool guest_is_left_behind(Job *job, const GError *error);

/* The states in which a guest can be asked for nothing. */
/* clang-format off */
#define GUEST_REFUSE                                                             \
        {[MACHINE_TURNED_OFF] = VIRTASK_ERROR_NOT_RUNNING,                       \
         [MACHINE_SAVED] = VIRTASK_ERROR_NOT_RUNNING,                            \
         [MACHINE_PAUSED] = VIRTASK_ERROR_NOT_RUNNING,                           \
         [MACHINE_TURNING_OFF] = VIRTASK_ERROR_GUEST_SHUTDOWN_IN_PROGRESS}
/* clang-format on */
