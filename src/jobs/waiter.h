/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Callers who wait for the end of a task. Loop. */

#include "jobs/task-list.h"

typedef enum WaiterKind {
        WAITER_COMPLETION, /* WaitForCompletion: answered with whether it has ended */
        WAITER_SUCCESS,    /* WaitForSuccess: answered with the result, or the task's error */
} WaiterKind;

/* Answers the call at the end of the task, or after "timeout_msec" (-1: none); at once if it has
 * ended. Takes a reference to the call. INVALID_ARGUMENT for a bad timeout, LIMITS_EXCEEDED for too
 * many waiters. */
bool waiter_add(Task *task,
                sd_bus_message *call,
                WaiterKind kind,
                int timeout_msec,
                GError **error);

/* The task has ended: answers all. */
void waiter_answer_all(Task *task);
