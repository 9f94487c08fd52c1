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

static void on_part_ended(void *owner);

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
        job->collections = list->context.collections;
        if (task->id && task->operation->flags & OPERATION_DURABLE) {
                job->ledger = list->ledger;
                job->id = task->id;
        }
        return job;
}

static void unref_job(void *job) {
        job_unref(job);
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

static void take_hold(TaskList *list, Task *task) {
        reservation_hold(list->reservations, task);
        if (lane_of(task) != LANE_URGENT)
                disown_others(list, task);
        task_set_state(task, TASK_QUEUED);
        list->context.hooks->reserved(task->object, list->context.userdata);
}

static void start_job(TaskList *list, Task *task) {
        Job *job = task->job;

        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                take_hold(list, task->parts->pdata[i]);
        take_hold(list, task);
        job->work = (PoolWork){on_job_begun, execute, on_job_done, job, NULL, 0, NULL};
        pool_submit(list->context.pool, lane_of(task), &job->work);
}

static void begin(Task *task) {
        task_set_state(task, TASK_RUNNING);
        if (task->id)
                record(task->list, task); /* a restart settles only what has begun */
        sampler_add(task->list->sampler, task->job);
}

static void on_job_begun(void *data) {
        Job *job = data;
        Task *task = job->owner;

        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                begin(task->parts->pdata[i]);
        begin(task);
}

/* Forgetting */

static void forget(Task *task) {
        TaskList *list = task->list;

        if (task->whole)
                g_ptr_array_remove(task->whole->parts, task);
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

/* The first of the task's objects that another one holds, or NULL. */
static Task *find_obstacle(TaskList *list, const Task *task) {
        Task *holder = task_list_holder(list, task->object);

        for (unsigned i = 0; !holder && task->parts && i < task->parts->len; i++)
                holder = task_list_holder(list, ((Task *) task->parts->pdata[i])->object);
        return holder;
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

                if (next->whole)
                        next = next->whole;
                if (find_obstacle(list, next))
                        return;
                if (admit(list, next, &error)) {
                        start_job(list, next);
                        return;
                }
                fail_waiting(list, next, error);
        }
}

/* Parts have gone before. */
static void leave_parts(Task *task) {
        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                ((Task *) task->parts->pdata[i])->whole = NULL;
        g_clear_pointer(&task->parts, g_ptr_array_unref);
}

static void finish(TaskList *list, Task *task) {
        const TaskListContext *context = &list->context;
        g_autofree char *object = g_strdup(task->object);

        leave(list, task);
        leave_parts(task);
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

/* Ends a task whose job has not begun. */
static void fail_waiting(TaskList *list, Task *task, GError *error) {
        while (task->parts && task->parts->len > 0) {
                Task *part = g_ptr_array_steal_index(task->parts, task->parts->len - 1);

                part->whole = NULL;
                part->job->error = g_error_copy(error);
                finish(list, part);
        }
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
                own += ((Task *) task)->owner == owner && !((Task *) task)->whole_id;
        if (own < limit)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_LIMITS_EXCEEDED,
                        "The user has %u unfinished tasks, more are not allowed", own);
        return false;
}

static const TaskSpec *part_of(const TaskSpec *spec, unsigned i) {
        return spec->parts && i < spec->parts->len ? spec->parts->pdata[i] : NULL;
}

static bool check_free(TaskList *list, const TaskSpec *spec, GError **error) {
        const TaskSpec *part;
        Task *holder = task_list_holder(list, spec->object);

        if (spec->request && (spec->request->queue || spec->request->force))
                return true;
        for (unsigned i = 0; !holder && (part = part_of(spec, i)); i++)
                holder = task_list_holder(list, part->object);
        if (!holder)
                return true;
        if (holder->id)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_IN_USE,
                                "Task %u (%s) holds the %s: %s", holder->id,
                                holder->operation->name,
                                *holder->job->uuid ? "virtual machine" : "collection",
                                holder->path);
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
        file = task_store(task);
        return ledger_write(list->ledger, task->id, file, error);
}

static bool enlist_all(TaskList *list, Task *task, GError **error) {
        bool ok = enlist(list, task, error);

        for (unsigned i = 0; ok && task->parts && i < task->parts->len; i++)
                ok = enlist(list, task->parts->pdata[i], error);
        list->context.hooks->list_changed(list->context.userdata);
        return ok;
}

static Task *make(TaskList *list, const TaskSpec *spec, GError **error) {
        bool immediate = spec->operation->flags & OPERATION_IMMEDIATE;
        uint32_t id = 0;

        if (immediate || (id = ledger_next_id(list->ledger, error)))
                return task_new(list, id, spec);
        operation_request_free(spec->operation, spec->request);
        return NULL;
}

static void link_part(Task *task, Task *part) {
        if (!task->parts) {
                task->parts = g_ptr_array_new();
                task->job->parts = g_ptr_array_new_with_free_func(unref_job);
        }
        g_ptr_array_add(task->parts, part);
        g_ptr_array_add(task->job->parts, job_ref(part->job));
        part->whole = task;
}

static bool make_parts(TaskList *list, Task *task, const TaskSpec *spec, GError **error) {
        const TaskSpec *part_spec;
        bool ok = true;

        task->part_ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        for (unsigned i = 0; (part_spec = part_of(spec, i)); i++) {
                Task *part = make(list, part_spec, *error ? NULL : error);

                if (!part) {
                        ok = false;
                        continue;
                }
                part->whole_id = task->id;
                g_array_append_val(task->part_ids, part->id);
                link_part(task, part);
        }
        return ok;
}

/* Takes back what was made and perhaps announced. */
static void dismiss(TaskList *list, Task *task) {
        while (task->parts && task->parts->len > 0) {
                Task *part = g_ptr_array_steal_index(task->parts, task->parts->len - 1);

                part->whole = NULL;
                dismiss(list, part);
        }
        if (task_list_find(list, task->id) == task)
                forget(task);
        else
                task_free(task);
}

static void free_requests(const TaskSpec *spec) {
        const TaskSpec *part;

        operation_request_free(spec->operation, spec->request);
        for (unsigned i = 0; (part = part_of(spec, i)); i++)
                operation_request_free(part->operation, part->request);
}

Task *task_list_add(TaskList *list, const TaskSpec *spec, GError **error) {
        g_autoptr(GError) cause = NULL;
        Task *task;

        if (!check_free(list, spec, error)) {
                free_requests(spec);
                return NULL;
        }
        task = make(list, spec, &cause);
        if (task && ((spec->parts && !make_parts(list, task, spec, &cause)) ||
                                    (task->id && !enlist_all(list, task, &cause)))) {
                dismiss(list, task);
                task = NULL;
        }
        if (!task) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return NULL;
        }
        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                enter(list, task->parts->pdata[i]);
        enter(list, task);
        return task;
}

static void tell_reserved(TaskList *list, const Task *task) {
        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                tell_reserved(list, task->parts->pdata[i]);
        list->context.hooks->reserved(task->object, list->context.userdata);
}

void task_list_launch(TaskList *list, Task *task) {
        const Request *request = task->job->request;
        Task *holder = find_obstacle(list, task);

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
        start_job(list, task);
}

/* Requests of clients */

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
                fail_waiting(list, task,
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
        GPtrArray *unfinished; /* of Task */
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
        g_ptr_array_add(restoration->unfinished, task);
}

/* A part whose whole has ended, or was never written, goes on alone. */
static void find_whole(TaskList *list, Task *task) {
        Task *whole = task->whole_id ? task_list_find(list, task->whole_id) : NULL;

        if (whole && !task_is_complete(whole))
                link_part(whole, task);
}

static void resume(TaskList *list, Task *task) {
        if (task->started && !find_obstacle(list, task))
                start_job(list, task);
        else
                fail_waiting(list, task,
                                g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                                task->started ? "The service was interrupted while "
                                                                "another task took over"
                                                              : "The service was interrupted "
                                                                "before "
                                                                "the task began"));
}

void task_list_restore(TaskList *list, const Operation *const *operations) {
        g_autoptr(GPtrArray) unfinished = g_ptr_array_new();
        Restoration restoration = {list, operations, unfinished};

        ledger_load(list->ledger, restore_one, &restoration);
        for (unsigned i = 0; i < unfinished->len; i++)
                find_whole(list, unfinished->pdata[i]);
        for (unsigned i = unfinished->len; i-- > 0;) {
                Task *task = unfinished->pdata[i];

                if (task->whole)
                        g_ptr_array_remove_index(unfinished, i);
        }
        for (unsigned i = 0; i < unfinished->len; i++)
                resume(list, unfinished->pdata[i]);
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
