/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list owns every task from its first line to its last. Tasks of one object exclude each other:
 *
 *     add ── launch ──┬── object free: hold it ── pool ── job comes home ── leave, tell, remember
 *                     ├── IN_USE
 *                     ├── Queue: wait in line
 *                     └── Force: cancel the holder and take over
 *
 * Here are the tables, and what clients ask of a task that is there; task-add.c makes tasks, and
 * task-run.c is the way from launch to end. */

#include "jobs/task-list.h"

#include <pwd.h>

#include "jobs/task-list-internal.h"
#include "util/log.h"

#define KEPT_PER_USER 64

static void promise_run(void *data);
static void promise_done(void *data);

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
                        context->limits.sample_usec, &task_run_sampler_hooks);
        list->tasks = g_hash_table_new(NULL, NULL);
        list->unfinished = g_hash_table_new(NULL, NULL);
        list->user_names = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        list->retention = retention_new(sd_bus_get_event(context->bus), context->limits.finished,
                        context->limits.retention_usec, task_list_forget);
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

void task_list_enter(TaskList *list, Task *task) {
        reservation_enter(list->reservations, task);
        g_hash_table_add(list->unfinished, task);
        if (task->operation->flags & OPERATION_INHIBITS && list->inhibiting++ == 0)
                list->context.hooks->inhibit(true, list->context.userdata);
}

void task_list_leave(TaskList *list, Task *task) {
        reservation_leave(list->reservations, task);
        g_hash_table_remove(list->unfinished, task);
        if (task->operation->flags & OPERATION_INHIBITS && --list->inhibiting == 0)
                list->context.hooks->inhibit(false, list->context.userdata);
}

/* The record of the ledger */

void task_list_record(TaskList *list, Task *task) {
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
void task_list_prepare(TaskList *list) {
        ledger_prepare(list->ledger);
        if (list->promising || !ledger_is_short(list->ledger))
                return;
        list->promising = true;
        pool_submit(list->context.pool, LANE_SHORT, &list->promise);
}

/* Forgetting */

void task_list_forget(Task *task) {
        TaskList *list = task->list;

        retention_remove(list->retention, task);
        g_hash_table_remove(list->tasks, GUINT_TO_POINTER(task->id));
        ledger_remove(list->ledger, task->id);
        (void) task_emit_removed(task);
        task_free(task);
        list->context.hooks->list_changed(list->context.userdata);
}

bool task_list_remove(TaskList *list, Task *task, GError **error) {
        const Task *last = task->whole ?: task;

        if (!task_is_complete(last)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_IN_USE, "Task %u is not finished",
                                last->id);
                return false;
        }
        task_list_forget(task);
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
        task_list_record(list, task);
        if (task->job && task->job->ledger)
                (void) ledger_sync(list->ledger, task->id, NULL);
        else if (task_is_complete(task) && !task->whole)
                retention_set_time(list->retention, task);
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

/* The end of the service */

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
