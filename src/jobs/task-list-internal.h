/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the task list share: task-list.c has the tables, task-add.c makes tasks,
 * task-run.c takes them from their launch to their end, task-restore.c takes them over from the
 * last daemon. Loop. */

#include "jobs/reservation.h"
#include "jobs/retention.h"
#include "jobs/sampler.h"
#include "jobs/task-list.h"

struct TaskList {
        TaskListContext context;
        Ledger *ledger;
        Sampler *sampler;
        ReservationTable *reservations;
        GHashTable *tasks;      /* id -> Task, owned; not the immediate ones */
        GHashTable *unfinished; /* Task -> itself, immediate ones too */
        Retention *retention;
        GHashTable *user_names; /* uid -> name, owned */
        PoolWork promise;       /* of more IDs */
        unsigned inhibiting;    /* of the unfinished */
        bool promising;
        bool closed;
};

/* Into and out of the unfinished tasks and those of the object. */
void task_list_enter(TaskList *list, Task *task);
void task_list_leave(TaskList *list, Task *task);

/* Writes the task's record again; a failure is logged. */
void task_list_record(TaskList *list, Task *task);

/* Prepares the record of the next task, so that its caller does not wait for it. */
void task_list_prepare(TaskList *list);

/* Takes the task off the bus and out of the ledger, and frees it. */
void task_list_forget(Task *task);

/* Makes "part" one of the parts of "task", neither of which has begun. */
void task_link_part(Task *task, Task *part);

/* Another task that holds an object which the task or one of its parts needs; NULL if none. */
Task *task_run_obstacle(TaskList *list, const Task *task);

/* Takes hold of those objects that nobody holds, for one that has to wait for the others. */
void task_run_hold_free(TaskList *list, Task *task);

/* Takes hold of all objects and hands the job to the pool. */
void task_run_start(TaskList *list, Task *task);

/* Ends a task, with its parts, whose job has not begun. "error" is taken. */
void task_run_fail(TaskList *list, Task *task, GError *error);

extern const SamplerHooks task_run_sampler_hooks;
