/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All tasks: who holds what, who waits, what is remembered. Loop. */

#include <systemd/sd-bus.h>

#include "bus/authorizer.h"
#include "bus/peer.h"
#include "bus/publisher.h"
#include "jobs/ledger.h"
#include "jobs/pool.h"
#include "jobs/task.h"

typedef struct TaskLimits {
        unsigned per_user, per_root; /* unfinished tasks */
        unsigned finished;           /* tasks that are remembered */
        uint64_t retention_usec;
        unsigned waiters; /* per task */
        uint64_t sample_usec;
} TaskLimits;

/* What the rooms above do when a task moves. All on the loop. */
typedef struct TaskHooks {
        /* A waiting task could start: is it still allowed? Error: why not. */
        bool (*admit)(Task *task, void *userdata, GError **error);
        /* What holds the object, or waits for it, is different. */
        void (*reserved)(const char *object, void *userdata);
        /* The work is done and the object free: take over job->after and job->gone. */
        void (*settled)(Task *task, void *userdata);
        /* After the task's own signals. */
        void (*completed)(Task *task, void *userdata);
        /* The list of tasks is different. */
        void (*list_changed)(void *userdata);
        /* The first task that is OPERATION_INHIBITS has come, or the last one has ended. */
        void (*inhibit)(bool needed, void *userdata);
} TaskHooks;

typedef struct TaskListContext {
        sd_bus *bus;
        Mailbox *mailbox;
        Pool *pool;
        Backend *backend;
        CollectionStore *collections;
        Publisher *publisher;
        PeerList *peers;
        Authorizer *authorizer;
        const TaskHooks *hooks;
        void *userdata;
        TaskLimits limits;
} TaskListContext;

/* All pointers of the context are borrowed. Opens the ledger; NULL and "error" if it can't. */
TaskList *task_list_new(
                const TaskListContext *context, const char *state_directory, GError **error);
TaskList *task_list_free(TaskList *list);

/* Takes up what an earlier daemon left: remembers the finished, settles the unfinished. Before the
 * bus name is owned, so that nobody hears of it. */
void task_list_restore(TaskList *list, const Operation *const *operations);

const TaskListContext *task_list_context(TaskList *list);
Publisher *task_list_publisher(TaskList *list);
const char *task_list_user_name(TaskList *list, uid_t uid);

/* LIMITS_EXCEEDED if the user has as many unfinished tasks as is allowed, SERVICE_SHUTTING_DOWN
 * after task_list_close(). */
bool task_list_admits(TaskList *list, uid_t owner, GError **error);

/* Makes the task, announces it and writes it into the ledger. The next thing to do is to answer the
 * call, then task_list_launch(). IN_USE if the object is held and the request neither queues nor
 * forces. "spec->request" is taken in any case. */
Task *task_list_add(TaskList *list, const TaskSpec *spec, GError **error);
void task_list_launch(TaskList *list, Task *task);

/* Ends a task as soon as it can. ALREADY_COMPLETE, NOT_CANCELABLE; repeating succeeds. */
bool task_list_cancel(TaskList *list, Task *task, bool kill, GError **error);

/* Forgets a finished task: IN_USE if it is unfinished, or a part of one that is. */
bool task_list_remove(TaskList *list, Task *task, GError **error);

/* DeleteOnCompletion. LIMITS_EXCEEDED if the user keeps too many already. */
bool task_list_keep(TaskList *list, Task *task, bool keep, GError **error);

Task *task_list_find(TaskList *list, uint32_t id);

/* The task that holds the object now, or NULL. */
Task *task_list_holder(TaskList *list, const char *object);

/* Unfinished tasks of the object, the holder first if it is one of them; NULL for none. Borrowed.
 */
const GPtrArray *task_list_of_object(TaskList *list, const char *object);

/* All tasks on the bus by ID; free the list, not the tasks. */
GList *task_list_all(TaskList *list);
unsigned task_list_unfinished(TaskList *list);

/* Whether a task is unfinished whose last step a libvirtd does not take by itself. */
bool task_list_is_needed(TaskList *list);

/* New tasks are refused from now on. With "cancel" all are cancelled that can be. */
void task_list_close(TaskList *list, bool cancel);
bool task_list_is_closed(TaskList *list);

/* For task.c and task-record.c; task-run.c. */
Job *task_list_make_job(TaskList *list,
                Task *task,
                JobMode mode,
                const char *uuid,
                const MachineFacts *before,
                Request *request);

/* task-dbus.c: puts Task and ConcreteJob on the bus. */
int task_list_publish(TaskList *list);
int task_append(Task *task, sd_bus_message *message); /* as bus_append_object() */
int task_emit_added(Task *task);
int task_emit_removed(Task *task);
int task_emit_completed(Task *task);
