/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From one daemon to the next: finished tasks are remembered, unfinished ones are settled. Their
 * parts are settled with them. */

#include <syslog.h>

#include "jobs/task-list-internal.h"
#include "util/log.h"

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
        task_list_enter(list, task);
        g_ptr_array_add(restoration->unfinished, task);
}

/* A part whose whole has ended, or was never written, goes on alone. A whole is no part. */
static void find_whole(TaskList *list, Task *task) {
        Task *whole = task->whole_id ? task_list_find(list, task->whole_id) : NULL;

        if (whole && !whole->whole_id && !task_is_complete(whole))
                task_link_part(whole, task);
}

/* One with parts has machines that are half done; if another task holds one of them it waits for
 * that, and nobody else gets the others meanwhile. */
static void resume(TaskList *list, Task *task) {
        const char *why = "The service was interrupted before the task began";

        if (task->state != TASK_WAITING)
                return; /* the end of one before it has started it */
        if (task->started && !task_run_obstacle(list, task)) {
                task_run_start(list, task);
                return;
        }
        if (task->started && task->parts) {
                task_run_hold_free(list, task);
                return;
        }
        if (task->started)
                why = "The service was interrupted while another task took over";
        task_run_fail(list, task,
                        g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED, why));
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
        task_list_prepare(list);
}
