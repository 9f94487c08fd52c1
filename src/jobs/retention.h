/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which finished tasks can still be read: those of the last minutes, a limited number of them, and
 * those that a client asked to keep. Loop. */

#include "jobs/task.h"

typedef struct Retention Retention;

/* "forget" is called when a task's time has come, or when more than "limit" are remembered; it
 * calls retention_remove() in its turn. */
Retention *retention_new(
                sd_event *event, unsigned limit, uint64_t usec, void (*forget)(Task *task));
Retention *retention_free(Retention *retention);

/* A finished task; may forget older ones. */
void retention_add(Retention *retention, Task *task);

/* Accepts one that was never added. */
void retention_remove(Retention *retention, Task *task);

/* Sets or ends the time of a finished task after a change of task->keep. */
void retention_set_time(Retention *retention, Task *task);
