/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The making of a task and its parts: all of them are announced and in the ledger, or none is. */

#include "jobs/task-list-internal.h"

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

        if (spec->operation->flags & OPERATION_SHARED ||
                        (spec->request && (spec->request->queue || spec->request->force)))
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

static void unref_job(void *job) {
        job_unref(job);
}

void task_link_part(Task *task, Task *part) {
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
                task_link_part(task, part);
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
                task_list_forget(task);
        else
                task_free(task);
}

static void free_part_requests(const TaskSpec *spec) {
        const TaskSpec *part;

        for (unsigned i = 0; (part = part_of(spec, i)); i++)
                operation_request_free(part->operation, part->request);
}

Task *task_list_add(TaskList *list, const TaskSpec *spec, GError **error) {
        g_autoptr(GError) cause = NULL;
        Task *task;

        if (!check_free(list, spec, error)) {
                operation_request_free(spec->operation, spec->request);
                free_part_requests(spec);
                return NULL;
        }
        task = make(list, spec, &cause);
        if (!task)
                free_part_requests(spec);
        else if (((spec->parts && !make_parts(list, task, spec, &cause)) ||
                                 (task->id && !enlist_all(list, task, &cause)))) {
                dismiss(list, task);
                task = NULL;
        }
        if (!task) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return NULL;
        }
        for (unsigned i = 0; task->parts && i < task->parts->len; i++)
                task_list_enter(list, task->parts->pdata[i]);
        task_list_enter(list, task);
        return task;
}
