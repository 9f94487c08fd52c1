/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the end of a task is told: a line for people, or an object for programs. */

#include "bus-client.h"
#include "task-feed.h"

typedef struct TaskReportMode {
        bool wants_cancelled; /* the user asked for the cancellation: then it is success, and
                                 another end is not */
        const char *past;     /* "Restored" instead of the word of the operation; may be NULL */
        const char *suffix;   /* " to base" behind the name of the machine; may be NULL */
        const char *sentence; /* "Reverted to web/base", instead of all this; may be NULL */
} TaskReportMode;

/* Prints how @t ended, or why that can not be known, and returns the exit code. */
ExitCode task_report_end(Session *s, const FeedTask *t, const TaskReportMode *mode);

/* Prints the object of @info, with its results if it has ended, and its log if it has failed. */
void task_report_json(Session *s, const TaskInfo *info);
