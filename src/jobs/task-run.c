/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The way of a task from its launch to its end. One with parts takes all objects at once; its parts
 * begin with it, and it ends after them.
 *
 * The end is a promise about the order of signals: first the machine, then the task, then
 * Task.Completed, then Manager.TaskCompleted, then the answers to those who wait. */

#include <syslog.h>

#include "bus/bus-error.h"
#include "jobs/task-list-internal.h"
#include "jobs/waiter.h"

static void on_job_done(void *data);
static void on_part_ended(void *owner);

/* What a job says */

static void on_job_committed(void *owner) {
        task_set_committed(owner);
}

static void on_job_status(void *owner, const char *text) {
        task_set_status(owner, text);
}

static void on_job_log(void *owner, int priority, const char *text) {
        task_log(owner, priority, text);
}

static void on_job_operational_status(void *owner, unsigned status) {
        Task *task = owner;
        const TaskListContext *context = &task->list->context;

        if (task->operational_status == status)
                return;
        task->operational_status = (uint16_t) status;
        context->hooks->reserved(task->object, context->userdata);
}

Job *task_list_make_job(TaskList *list,
                Task *task,
                JobMode mode,
                const char *uuid,
                const MachineFacts *before,
                Request *request) {
        static const JobHooks hooks = {on_job_committed, on_job_status, on_job_log,
                        on_job_operational_status, on_part_ended};
        Job *job = job_new(task->operation, mode, list->context.backend, list->context.mailbox,
                        uuid, before, request);

        job->hooks = &hooks;
        job->owner = task;
        job->caller = task->owner;
        job->collections = list->context.collections;
        if (task->id && task->operation->flags & OPERATION_DURABLE) {
                job->ledger = list->ledger;
                job->id = task->id;
        }
        return job;
}

/* The beginning */

static void execute(void *data) {
        job_execute(data);
}

static Lane lane_of(const Task *task) {
        const Request *request = task->job->request;

        return request && request->force ? LANE_URGENT : task->operation->lane;
}

/* A task that force took the object from may still be away when the next one starts: whatever runs
 * from now on is none of its business. */
static void disown_others(TaskList *list, const Task *task) {
        const GPtrArray *tasks = reservation_tasks(list->reservations, task->object);

        for (unsigned i = 0; i < tasks->len; i++) {
                Task *other = tasks->pdata[i];

                if (other != task && other->state == TASK_CANCELLING)
                        job_disown(other->job);
        }
}

static void take_hold(TaskList *list, Task *task) {
        bool shared = task->operation->flags & OPERATION_SHARED;

        if (!shared)
                reservation_hold(list->reservations, task);
        if (!shared && lane_of(task) != LANE_URGENT)
                disown_others(list, task);
        task_set_state(task, TASK_QUEUED);
        list->context.hooks->reserved(task->object, list->context.userdata);
}

static void begin(Task *task) {
        task_set_state(task, TASK_RUNNING);
        if (task->id)
                task_list_record(task->list, task); /* a restart settles only what has begun */
        sampler_add(task->list->sampler, task->job);
}

static void on_job_begun(void *data) {
        Job *job = data;
        Task *task = job->owner;

        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                begin(task->parts->pdata[i]);
        begin(task);
}

void task_run_start(TaskList *list, Task *task) {
        Job *job = task->job;

        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                take_hold(list, task->parts->pdata[i]);
        take_hold(list, task);
        job->work = (PoolWork){on_job_begun, execute, on_job_done, job, NULL, 0, NULL};
        pool_submit(list->context.pool, lane_of(task), &job->work);
}

/* The holder of the object, unless that is the task or one of its parts. */
static Task *find_other(TaskList *list, const Task *task, const char *object) {
        Task *holder = task->operation->flags & OPERATION_SHARED ? NULL
                                                                 : task_list_holder(list, object);

        return holder && holder != task && holder->whole != task ? holder : NULL;
}

Task *task_run_obstacle(TaskList *list, const Task *task) {
        Task *other = find_other(list, task, task->object);

        for (unsigned i = 0; !other && task->parts && i < task->parts->len; i++)
                other = find_other(list, task, ((Task *) task->parts->pdata[i])->object);
        return other;
}

static void hold_if_free(TaskList *list, Task *task) {
        if (!task_list_holder(list, task->object))
                reservation_hold(list->reservations, task);
}

void task_run_hold_free(TaskList *list, Task *task) {
        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                hold_if_free(list, task->parts->pdata[i]);
        hold_if_free(list, task);
}

static bool admit(TaskList *list, Task *task, GError **error) {
        const TaskListContext *context = &list->context;
        bool ok = context->hooks->admit(task, context->userdata, error);

        for (unsigned i = 0; ok && task->parts && i < task->parts->len; i++)
                ok = context->hooks->admit(task->parts->pdata[i], context->userdata, error);
        return ok;
}

/* The next in line for an object that may have become free. One with parts waits until all their
 * objects are; since it has lined up for all of them at once, no two such wait for each other. */
static void start_next(TaskList *list, const char *object) {
        g_autofree char *key = g_strdup(object);
        Task *next;

        while ((next = reservation_next(list->reservations, key))) {
                GError *error = NULL;
                bool settling;

                if (next->whole)
                        next = next->whole;
                settling = next->job->mode == JOB_SETTLE;
                if (task_run_obstacle(list, next)) {
                        if (settling)
                                task_run_hold_free(list, next);
                        return;
                }
                if (settling || admit(list, next, &error)) {
                        task_run_start(list, next);
                        return;
                }
                task_run_fail(list, next, error);
        }
}

static void tell_reserved(TaskList *list, const Task *task) {
        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                tell_reserved(list, task->parts->pdata[i]);
        list->context.hooks->reserved(task->object, list->context.userdata);
}

void task_list_launch(TaskList *list, Task *task) {
        const Request *request = task->job->request;
        Task *holder = task_run_obstacle(list, task);

        if (holder) {
                if (!request || !request->force) {
                        tell_reserved(list, task);
                        return;
                }
                /* Before the holder's end, which would start the next in line: that may be this
                 * one. */
                reservation_hold(list->reservations, task);
                task_log(holder, LOG_WARNING,
                                "cancelled because the machine is turned off by force");
                (void) task_list_cancel(list, holder->whole ?: holder, true, NULL);
        }
        task_run_start(list, task);
}

/* The end of a task */

static void answer_call(Task *task) {
        sd_bus_message *call = g_steal_pointer(&task->call);

        if (!call)
                return;
        if (task->error)
                (void) bus_reply_error(call, task->error);
        else if (task->reply == TASK_REPLY_OBJECT)
                (void) sd_bus_reply_method_return(call, "o", task->result_object);
        else if (task->reply == TASK_REPLY_STATE_CHANGE)
                (void) sd_bus_reply_method_return(call, "uo", 0U, "/");
        else
                (void) sd_bus_reply_method_return(call, NULL);
        sd_bus_message_unref(call);
}

/* The parts, which have ended, are alone from now on. */
static GPtrArray *leave_parts(Task *task) {
        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                ((Task *) task->parts->pdata[i])->whole = NULL;
        return g_steal_pointer(&task->parts);
}

/* A part is remembered at least as long as its whole runs, which shows it. */
static void remember(TaskList *list, Task *task, const GPtrArray *parts) {
        for (unsigned i = 0; parts && i < parts->len; i++)
                retention_add(list->retention, parts->pdata[i]);
        if (!task->whole)
                retention_add(list->retention, task);
}

/* Tells of the end. The task has left its object. */
static void conclude(TaskList *list, Task *task) {
        const TaskListContext *context = &list->context;
        g_autoptr(GPtrArray) parts = leave_parts(task);

        context->hooks->settled(task, context->userdata);
        task_finish(task);
        job_unref(g_steal_pointer(&task->job));

        if (task->id) {
                task_list_record(list, task);
                publication_flush(&task->publication);
                (void) task_emit_completed(task);
                context->hooks->completed(task, context->userdata);
                waiter_answer_all(task);
                remember(list, task, parts);
                task_list_prepare(list);
        } else {
                answer_call(task);
                task_free(task);
        }
}

static void finish(TaskList *list, Task *task) {
        g_autofree char *object = g_strdup(task->object);

        task_list_leave(list, task);
        conclude(list, task);
        start_next(list, object);
}

/* All leave their objects before the next in line starts: who is told of one end may look at the
 * others. */
void task_run_fail(TaskList *list, Task *task, GError *error) {
        g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray) tasks = leave_parts(task) ?: g_ptr_array_new();

        g_ptr_array_add(tasks, task);
        for (unsigned i = 0; i < tasks->len; i++) {
                Task *one = tasks->pdata[i];

                g_ptr_array_add(objects, g_strdup(one->object));
                one->job->error = g_error_copy(error);
                task_list_leave(list, one);
        }
        for (unsigned i = 0; i < tasks->len; i++)
                conclude(list, tasks->pdata[i]);
        for (unsigned i = 0; i < objects->len; i++)
                start_next(list, objects->pdata[i]);
        g_error_free(error);
}

/* A whole ends after its parts. */
static void finish_if_home(Task *task) {
        bool home = task->home;

        for (unsigned i = 0; home && task->parts && i < task->parts->len; i++)
                home = task_is_complete(task->parts->pdata[i]);
        if (home)
                finish(task->list, task);
}

static void come_home(Task *task) {
        Task *whole = task->whole;

        task->home = true;
        finish_if_home(task);
        if (!whole)
                return;
        task_parts_measured(whole);
        finish_if_home(whole);
}

static void on_job_done(void *data) {
        Job *job = data;
        Task *task = job->owner;

        if (sampler_remove(task->list->sampler, job))
                come_home(task);
}

static void on_part_ended(void *owner) {
        Task *part = owner;

        on_job_done(part->job);
}

static void on_measured(Job *job, const Progress *progress) {
        Task *task = job->owner;

        task_measured(task, progress);
        if (task->whole)
                task_parts_measured(task->whole);
}

static void on_quiet(Job *job) {
        come_home(job->owner);
}

const SamplerHooks task_run_sampler_hooks = {on_measured, on_quiet};

/* Before its end */

static void stop_part(TaskList *list, Task *part, bool kill) {
        int open = JOB_OPEN;

        if (part->state != TASK_RUNNING || part->home ||
                        !atomic_compare_exchange_strong(&part->job->fate, &open, JOB_CANCELLED))
                return;
        part->killed = kill;
        task_set_state(part, TASK_CANCELLING);
        sampler_cancel(list->sampler, part->job);
}

bool task_list_cancel(TaskList *list, Task *task, bool kill, GError **error) {
        int open = JOB_OPEN;

        if (task_is_complete(task)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_ALREADY_COMPLETE,
                                "The task has ended already");
                return false;
        }
        if (task->state == TASK_CANCELLING)
                return true;
        if (!task_is_cancelable(task) ||
                        !atomic_compare_exchange_strong(&task->job->fate, &open, JOB_CANCELLED)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_CANCELABLE,
                                "The task can not be cancelled");
                return false;
        }

        task->killed = kill;
        task_log(task, LOG_NOTICE, "cancelling");
        if (task->state == TASK_WAITING || pool_withdraw(list->context.pool, &task->job->work)) {
                task_run_fail(list, task,
                                g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED,
                                                "The task was cancelled"));
                return true;
        }
        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                stop_part(list, task->parts->pdata[i], kill);
        task_set_state(task, TASK_CANCELLING);
        sampler_cancel(list->sampler, task->job);
        return true;
}
