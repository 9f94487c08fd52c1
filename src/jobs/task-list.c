/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list owns every task from its first line to its last. Tasks of one object exclude each other:
 *
 *     add ── launch ──┬── object free: hold it ── pool ── job comes home ── leave, tell, remember
 *                     ├── IN_USE
 *                     ├── Queue: wait in line
 *                     └── Force: cancel the holder and take over
 *
 * The end of a task is a promise about the order of signals: first its machine, then the task, then
 * Task.Completed, then Manager.TaskCompleted, then the answers to those who wait. */

#include "jobs/task-list.h"

#include <pwd.h>
#include <syslog.h>

#include "bus/bus-error.h"
#include "jobs/reservation.h"
#include "jobs/retention.h"
#include "jobs/sampler.h"
#include "jobs/waiter.h"
#include "util/log.h"

#define KEPT_PER_USER 64

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
        bool promising;
        bool closed;
};

static void forget(Task *task);
static void on_job_begun(void *data);
static void on_job_done(void *data);
static void on_measured(Job *job, const Progress *progress);
static void on_quiet(Job *job);
static void promise_run(void *data);
static void promise_done(void *data);

static const SamplerHooks sampler_hooks = {on_measured, on_quiet};

TaskList *task_list_new(
                const TaskListContext *context, const char *state_directory, GError **error) {
        Ledger *ledger = ledger_new(state_directory, error);
        TaskList *list;

        if (!ledger)
                return NULL;
        list = g_new0(TaskList, 1);
        list->context = *context;
        list->ledger = ledger;
        list->sampler = sampler_new(sd_bus_get_event(context->bus), context->pool,
                        context->limits.sample_usec, &sampler_hooks);
        list->tasks = g_hash_table_new(NULL, NULL);
        list->unfinished = g_hash_table_new(NULL, NULL);
        list->user_names = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        list->retention = retention_new(sd_bus_get_event(context->bus), context->limits.finished,
                        context->limits.retention_usec, forget);
        list->reservations = reservation_table_new();
        list->promise = (PoolWork){.run = promise_run, .done = promise_done, .data = list};
        return list;
}

const TaskListContext *task_list_context(TaskList *list) {
        return &list->context;
}

Publisher *task_list_publisher(TaskList *list) {
        return list->context.publisher;
}

/* The name service may ask a server, so once for each user. */
const char *task_list_user_name(TaskList *list, uid_t uid) {
        char *name = g_hash_table_lookup(list->user_names, GUINT_TO_POINTER(uid));
        const struct passwd *entry;

        if (name)
                return name;
        entry = getpwuid(uid);
        name = entry ? g_strdup(entry->pw_name) : g_strdup_printf("%u", uid);
        g_hash_table_insert(list->user_names, GUINT_TO_POINTER(uid), name);
        return name;
}

/* Who works on what */

Task *task_list_holder(TaskList *list, const char *object) {
        return reservation_holder(list->reservations, object);
}

const GPtrArray *task_list_of_object(TaskList *list, const char *object) {
        return reservation_tasks(list->reservations, object);
}

static void enter(TaskList *list, Task *task) {
        reservation_enter(list->reservations, task);
        g_hash_table_add(list->unfinished, task);
}

static void leave(TaskList *list, Task *task) {
        reservation_leave(list->reservations, task);
        g_hash_table_remove(list->unfinished, task);
}

/* The record of the ledger */

static void record(TaskList *list, Task *task) {
        g_autoptr(GKeyFile) file = task_store(task);
        g_autoptr(GError) error = NULL;

        if (!ledger_write(list->ledger, task->id, file, &error))
                log_warning("What is known of task %u may be forgotten: %s", task->id,
                                error->message);
}

static void promise_run(void *data) {
        ledger_promise(((TaskList *) data)->ledger);
}

static void promise_done(void *data) {
        ((TaskList *) data)->promising = false;
}

/* For the next task, so that its caller does not wait for it. */
static void prepare_next(TaskList *list) {
        ledger_prepare(list->ledger);
        if (list->promising || !ledger_is_short(list->ledger))
                return;
        list->promising = true;
        pool_submit(list->context.pool, LANE_SHORT, &list->promise);
}

/* Jobs */

static void on_job_committed(void *owner) {
        task_set_committed(owner);
}

static void on_job_status(void *owner, const char *text) {
        task_set_status(owner, text);
}

static void on_job_log(void *owner, int priority, const char *text) {
        task_log(owner, priority, text);
}

Job *task_list_make_job(TaskList *list,
                Task *task,
                JobMode mode,
                const char *uuid,
                const MachineFacts *before,
                Request *request) {
        static const JobHooks hooks = {on_job_committed, on_job_status, on_job_log};
        Job *job = job_new(task->operation, mode, list->context.backend, list->context.mailbox,
                        uuid, before, request);

        job->hooks = &hooks;
        job->owner = task;
        if (task->id && task->operation->flags & OPERATION_DURABLE) {
                job->ledger = list->ledger;
                job->id = task->id;
        }
        return job;
}

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

static void start_job(TaskList *list, Task *task) {
        Job *job = task->job;

        reservation_hold(list->reservations, task);
        if (lane_of(task) != LANE_URGENT)
                disown_others(list, task);
        task_set_state(task, TASK_QUEUED);
        job->work = (PoolWork){on_job_begun, execute, on_job_done, job, NULL, 0, NULL};
        list->context.hooks->reserved(task->object, list->context.userdata);
        pool_submit(list->context.pool, lane_of(task), &job->work);
}

static void on_job_begun(void *data) {
        Job *job = data;
        Task *task = job->owner;

        task_set_state(task, TASK_RUNNING);
        if (task->id)
                record(task->list, task); /* a restart settles only what has begun */
        sampler_add(task->list->sampler, job);
}

/* Forgetting */

static void forget(Task *task) {
        TaskList *list = task->list;

        retention_remove(list->retention, task);
        g_hash_table_remove(list->tasks, GUINT_TO_POINTER(task->id));
        ledger_remove(list->ledger, task->id);
        (void) task_emit_removed(task);
        task_free(task);
        list->context.hooks->list_changed(list->context.userdata);
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

static void fail_waiting(TaskList *list, Task *task, GError *error);

/* The next in line for an object that may have become free. */
static void start_next(TaskList *list, const char *object) {
        g_autofree char *key = g_strdup(object);
        Task *next;

        while ((next = reservation_next(list->reservations, key))) {
                GError *error = NULL;

                if (list->context.hooks->admit(next, list->context.userdata, &error)) {
                        start_job(list, next);
                        return;
                }
                fail_waiting(list, next, error);
        }
}

static void finish(TaskList *list, Task *task) {
        const TaskListContext *context = &list->context;
        g_autofree char *object = g_strdup(task->object);

        leave(list, task);
        context->hooks->settled(task, context->userdata);
        task_finish(task);
        job_unref(g_steal_pointer(&task->job));

        if (task->id) {
                record(list, task);
                publication_flush(&task->publication);
                (void) task_emit_completed(task);
                context->hooks->completed(task, context->userdata);
                waiter_answer_all(task);
                retention_add(list->retention, task);
                prepare_next(list);
        } else {
                answer_call(task);
                task_free(task);
        }
        start_next(list, object);
}

static void on_job_done(void *data) {
        Job *job = data;
        Task *task = job->owner;

        if (sampler_remove(task->list->sampler, job))
                finish(task->list, task);
}

static void on_measured(Job *job, const Progress *progress) {
        task_measured(job->owner, progress);
}

static void on_quiet(Job *job) {
        Task *task = job->owner;

        finish(task->list, task);
}

/* Ends a task whose job has not begun. */
static void fail_waiting(TaskList *list, Task *task, GError *error) {
        task->job->error = error;
        finish(list, task);
}

/* The beginning of a task */

bool task_list_admits(TaskList *list, uid_t owner, GError **error) {
        unsigned limit = owner == 0 ? list->context.limits.per_root : list->context.limits.per_user;
        unsigned own = 0;
        GHashTableIter iter;
        void *task;

        if (list->closed) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_SHUTTING_DOWN,
                                "The service is shutting down");
                return false;
        }
        g_hash_table_iter_init(&iter, list->unfinished);
        while (g_hash_table_iter_next(&iter, &task, NULL))
                own += ((Task *) task)->owner == owner;
        if (own < limit)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_LIMITS_EXCEEDED,
                        "The user has %u unfinished tasks, more are not allowed", own);
        return false;
}

static bool check_free(TaskList *list, const TaskSpec *spec, GError **error) {
        Task *holder = task_list_holder(list, spec->object);

        if (!holder)
                return true;
        if (spec->request && (spec->request->queue || spec->request->force))
                return true;
        if (holder->id)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_IN_USE,
                                "Task %u (%s) holds the virtual machine: %s", holder->id,
                                holder->operation->name, holder->path);
        else
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_IN_USE, "%s is in progress",
                                holder->description);
        return false;
}

/* Announces first: the bus passes that on while we write. */
static bool enlist(TaskList *list, Task *task, GError **error) {
        g_autoptr(GKeyFile) file = NULL;

        g_hash_table_insert(list->tasks, GUINT_TO_POINTER(task->id), task);
        (void) task_emit_added(task);
        list->context.hooks->list_changed(list->context.userdata);
        file = task_store(task);
        if (ledger_write(list->ledger, task->id, file, error))
                return true;
        forget(task);
        return false;
}

Task *task_list_add(TaskList *list, const TaskSpec *spec, GError **error) {
        bool immediate = spec->operation->flags & OPERATION_IMMEDIATE;
        uint32_t id = 0;
        Task *task;

        if (!check_free(list, spec, error) ||
                        (!immediate && !(id = ledger_next_id(list->ledger, error)))) {
                operation_request_free(spec->operation, spec->request);
                return NULL;
        }
        task = task_new(list, id, spec);
        if (!immediate && !enlist(list, task, error))
                return NULL;
        enter(list, task);
        return task;
}

void task_list_launch(TaskList *list, Task *task) {
        const Request *request = task->job->request;
        Task *holder = task_list_holder(list, task->object);

        if (holder) {
                if (!request || !request->force) {
                        list->context.hooks->reserved(task->object, list->context.userdata);
                        return;
                }
                /* Before the holder's end, which would start the next in line: that may be this
                 * one. */
                reservation_hold(list->reservations, task);
                task_log(holder, LOG_WARNING,
                                "cancelled because the machine is turned off by force");
                (void) task_list_cancel(list, holder, true, NULL);
        }
        start_job(list, task);
}

/* Requests of clients */

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
                fail_waiting(list, task,
                                g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED,
                                                "The task was cancelled"));
                return true;
        }
        task_set_state(task, TASK_CANCELLING);
        sampler_cancel(list->sampler, task->job);
        return true;
}

bool task_list_remove(TaskList *list, Task *task, GError **error) {
        if (!task_is_complete(task)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_IN_USE, "Task %u is not finished",
                                task->id);
                return false;
        }
        forget(task);
        return true;
}

bool task_list_keep(TaskList *list, Task *task, bool keep, GError **error) {
        unsigned kept = 0;
        GHashTableIter iter;
        void *other;

        if (task->keep == keep)
                return true;
        g_hash_table_iter_init(&iter, list->tasks);
        while (g_hash_table_iter_next(&iter, NULL, &other))
                kept += ((Task *) other)->keep && ((Task *) other)->owner == task->owner;
        if (keep && kept >= KEPT_PER_USER) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_LIMITS_EXCEEDED,
                                "%u tasks are kept already", kept);
                return false;
        }

        task->keep = keep;
        publication_touch(&task->publication, TASK_DELETE_ON_COMPLETION);
        record(list, task);
        if (task_is_complete(task))
                retention_set_time(list->retention, task);
        else if (task->job->ledger)
                (void) ledger_sync(list->ledger, task->id, NULL);
        return true;
}

/* Looking */

Task *task_list_find(TaskList *list, uint32_t id) {
        return g_hash_table_lookup(list->tasks, GUINT_TO_POINTER(id));
}

static int compare_ids(const void *a, const void *b) {
        const Task *x = a, *y = b;

        return (x->id > y->id) - (x->id < y->id);
}

GList *task_list_all(TaskList *list) {
        return g_list_sort(g_hash_table_get_values(list->tasks), compare_ids);
}

bool task_list_is_needed(TaskList *list) {
        GHashTableIter iter;
        void *task;

        g_hash_table_iter_init(&iter, list->unfinished);
        while (g_hash_table_iter_next(&iter, &task, NULL))
                if (((Task *) task)->operation->flags & OPERATION_ENDS_WITH_US)
                        return true;
        return false;
}

unsigned task_list_unfinished(TaskList *list) {
        return g_hash_table_size(list->unfinished);
}

/* From one daemon to the next */

typedef struct Restoration {
        TaskList *list;
        const Operation *const *operations;
} Restoration;

static void restore_one(uint32_t id, GKeyFile *file, void *userdata) {
        Restoration *restoration = userdata;
        TaskList *list = restoration->list;
        Task *task = task_load(list, id, file, restoration->operations);

        if (!task) {
                log_warning("The record of task %u is not understood and is dropped", id);
                ledger_remove(list->ledger, id);
                return;
        }
        g_hash_table_insert(list->tasks, GUINT_TO_POINTER(id), task);
        if (task_is_complete(task)) {
                retention_add(list->retention, task);
                return;
        }
        task_log(task, LOG_NOTICE, "taken over after a restart of the service");
        enter(list, task);
        if (!task->started || task_list_holder(list, task->object))
                fail_waiting(list, task,
                                g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                                task->started ? "The service was interrupted while "
                                                                "another task took over"
                                                              : "The service was interrupted "
                                                                "before "
                                                                "the task began"));
        else
                start_job(list, task);
}

void task_list_restore(TaskList *list, const Operation *const *operations) {
        Restoration restoration = {list, operations};

        ledger_load(list->ledger, restore_one, &restoration);
        prepare_next(list);
}

void task_list_close(TaskList *list, bool cancel) {
        g_autoptr(GList) unfinished = g_hash_table_get_keys(list->unfinished);

        list->closed = true;
        for (GList *link = unfinished; cancel && link; link = link->next)
                if (g_hash_table_contains(list->unfinished, link->data))
                        (void) task_list_cancel(list, link->data, false, NULL);
}

bool task_list_is_closed(TaskList *list) {
        return list->closed;
}

TaskList *task_list_free(TaskList *list) {
        GHashTableIter iter;
        void *task;

        if (!list)
                return NULL;
        g_hash_table_iter_init(&iter, list->tasks);
        while (g_hash_table_iter_next(&iter, NULL, &task))
                task_free(task);
        g_hash_table_destroy(list->tasks);
        g_hash_table_destroy(list->unfinished);
        g_hash_table_destroy(list->user_names);
        reservation_table_free(list->reservations);
        retention_free(list->retention);
        sampler_free(list->sampler);
        ledger_free(list->ledger);
        g_free(list);
        return NULL;
}
