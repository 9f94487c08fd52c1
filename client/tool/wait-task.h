/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starting tasks and waiting for their end. */

#include "bus-client.h"
#include "task-report.h"

typedef struct TaskWait TaskWait;

typedef struct TaskWaitMode {
        bool cancel_on_interrupt; /* Ctrl-C cancels, for tasks that we start; otherwise it only ends
                                     the waiting */
        bool any;                 /* the first end is enough */
        TaskReportMode report;
} TaskWaitMode;

/* Subscribes. Prints what fails and returns NULL. */
TaskWait *task_wait_new(Session *s, const TaskWaitMode *mode);
TaskWait *task_wait_free(TaskWait *w);
static inline void task_wait_freep(TaskWait **w) {
        (void) task_wait_free(*w);
}

/* A call to be made by task_wait_run(), which answers with a task to wait for. @what is for
 * messages ("save alpine"),
 * @subject_name is what it is about. */
void task_wait_add_call(TaskWait *w, sd_bus_message *m, const char *what, const char *subject_name);

/* A task that exists. */
void task_wait_add_task(TaskWait *w, const char *path);

/* Until all tasks have ended, or what the options say. Prints results and errors. */
ExitCode task_wait_run(TaskWait *w);

/* All of this for the one call @m: begins a task and waits for its end, which Ctrl-C cancels. */
ExitCode task_wait_for_call(Session *s,
                sd_bus_message *m,
                const char *what,
                const char *subject_name,
                const TaskReportMode *report);
