/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the bus says about one task. */

#include <stdbool.h>

#include "exit-code.h"
#include "json.h"
#include "path-list.h"

typedef struct TaskInfo {
        char *path;
        char *subject_name; /* of the machine or collection that it is about, NULL if unknown */

        uint32_t id;
        char *description;
        char *operation;
        char *subject;
        char *parent;        /* path of the task that it is a part of, "/" for none */
        PathList parts;      /* one for each machine of a collection */
        char *result_object; /* what was made, "/" for nothing */
        char *status_text;
        bool is_complete;
        bool is_cancelable;
        bool progress_valid;
        uint32_t percent;
        uint32_t result;
        char *result_name;
        uint32_t error;
        char *error_name;
        char *error_description;
        uint32_t return_value;
        uint64_t bytes_total;
        uint64_t bytes_done;
        uint64_t rate;
        uint64_t submit_time;
        uint64_t start_time;
        uint64_t end_time;
        uint64_t expected_end_time;
        uint32_t owner_uid;
        char *owner;
} TaskInfo;

typedef struct TaskSubjectKind {
        const char *path_prefix;
        const char *interface;
        const char *property;
        const char *title; /* "Machine" */
        const char *key;   /* in JSON, NULL for none */
} TaskSubjectKind;

/* Reads the a{sv} next in @m: all properties, or those that changed. */
int task_info_read(TaskInfo *t, sd_bus_message *m);
void task_info_clear(TaskInfo *t);

/* "17" of /org/virtask1/task/17. */
const char *task_info_number(const char *path);

/* The path of a task that the user names by number, "#number" or path; NULL if it is none of these.
 */
char *task_info_path(const char *argument);

/* Whether it is a part of another task. */
bool task_info_is_part(const TaskInfo *t);

/* What kind of object its subject is, and where the name of that stands. NULL: unknown. */
const TaskSubjectKind *task_info_subject_kind(const TaskInfo *t);

/* running, done, failed, cancelled. */
const char *task_info_state(const TaskInfo *t);
bool task_info_is_cancelled(const TaskInfo *t);
bool task_info_is_failed(const TaskInfo *t);
ExitCode task_info_exit_code(const TaskInfo *t);

/* "save" of vm-save, "export" of system-export, and "Saved" (or "Done" for an operation that a
 * newer service has). */
const char *task_info_verb(const TaskInfo *t);
const char *task_info_past(const TaskInfo *t);

/* Run time so far or in all; time that is left at the present rate, 0 if unknown. */
uint64_t task_info_duration(const TaskInfo *t);
uint64_t task_info_left(const TaskInfo *t);

/* The object of wait --json. @results is an a{sv} (GetResults), @log an a(tus) (GetLog); either may
 * be NULL. */
void task_info_to_json(
                const TaskInfo *t, JsonWriter *w, sd_bus_message *results, sd_bus_message *log);
