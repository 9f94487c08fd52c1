/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A task as a plain structure, filled from its properties, with the words and numbers that the
 * commands show. All commands that print a task in JSON print the object made here. */

#include <stddef.h>
#include <string.h>

#include "property-map.h"
#include "task-info.h"

/* VMTaskResult as in the contract. */
enum { RESULT_SUCCESS = 0, RESULT_CANCELLED = 1 };

/* clang-format off */
static const PropertyRow rows[] = {
        {"ID",               'u', offsetof(TaskInfo, id)},
        {"Description",      's', offsetof(TaskInfo, description)},
        {"Operation",        's', offsetof(TaskInfo, operation)},
        {"Subject",          'o', offsetof(TaskInfo, subject)},
        {"Parent",           'o', offsetof(TaskInfo, parent)},
        {"SubTasks",         'a', offsetof(TaskInfo, parts)},
        {"ResultObject",     'o', offsetof(TaskInfo, result_object)},
        {"StatusText",       's', offsetof(TaskInfo, status_text)},
        {"IsComplete",       'b', offsetof(TaskInfo, is_complete)},
        {"IsCancelable",     'b', offsetof(TaskInfo, is_cancelable)},
        {"ProgressValid",    'b', offsetof(TaskInfo, progress_valid)},
        {"PercentCompleted", 'u', offsetof(TaskInfo, percent)},
        {"Result",           'u', offsetof(TaskInfo, result)},
        {"ResultName",       's', offsetof(TaskInfo, result_name)},
        {"Error",            'u', offsetof(TaskInfo, error)},
        {"ErrorName",        's', offsetof(TaskInfo, error_name)},
        {"ErrorDescription", 's', offsetof(TaskInfo, error_description)},
        {"ReturnValue",      'u', offsetof(TaskInfo, return_value)},
        {"BytesTotal",       't', offsetof(TaskInfo, bytes_total)},
        {"BytesDone",        't', offsetof(TaskInfo, bytes_done)},
        {"Rate",             't', offsetof(TaskInfo, rate)},
        {"SubmitTime",       't', offsetof(TaskInfo, submit_time)},
        {"StartTime",        't', offsetof(TaskInfo, start_time)},
        {"EndTime",          't', offsetof(TaskInfo, end_time)},
        {"ExpectedEndTime",  't', offsetof(TaskInfo, expected_end_time)},
        {"OwnerUid",         'u', offsetof(TaskInfo, owner_uid)},
        {"Owner",            's', offsetof(TaskInfo, owner)},
};

static const struct {
        const char *operation;
        const char *past;
} operations[] = {
        {"vm-save",               "Saved"},
        {"vm-startup",            "Started"},
        {"vm-turn-off",           "Turned off"},
        {"vm-reset",              "Reset"},
        {"vm-delete",             "Deleted"},
        {"vm-merge-undo-disks",   "Merged the undo disks of"},
        {"vm-apply-undo-action",  "Applied the undo action of"},
        {"guest-shutdown",        "Shut down"},
        {"guest-restart",         "Restarted"},
        {"guest-logoff",          "Logged off the users of"},
        {"snapshot-create",       "Took a snapshot of"},
        {"snapshot-apply",        "Reverted"},
        {"snapshot-destroy",      "Deleted a snapshot of"},
        {"snapshot-destroy-tree", "Deleted snapshots of"},
        {"snapshot-clear-state",  "Cleared the memory of a snapshot of"},
        {"snapshot-convert",      "Made a reference point of"},
        {"reference-point-create", "Made a reference point of"},
        {"reference-point-destroy", "Deleted a reference point of"},
        {"reference-point-export", "Exported"},
        {"group-apply",           "Reverted to"},
        {"group-destroy",         "Deleted snapshot"},
        {"group-export",          "Exported"},
        {"snapshot-export",       "Exported"},
        {"system-export",         "Exported"},
        {"system-export-package", "Exported"},
        {"system-import",         "Imported"},
        {"system-import-package", "Imported"},
        {"disk-create-dynamic",   "Made"},
        {"disk-create-fixed",     "Made"},
        {"disk-create-differencing", "Made"},
        {"disk-convert",          "Converted"},
        {"disk-merge-to",         "Merged"},
};

static const TaskSubjectKind subject_kinds[] = {
        {MACHINE_PATH_PREFIX,             MACHINE_INTERFACE,             "Name",        "Machine",    "machine"},
        {COLLECTION_PATH_PREFIX,          COLLECTION_INTERFACE,          "ElementName", "Collection", "collection"},
        {COLLECTION_SNAPSHOT_PATH_PREFIX, COLLECTION_SNAPSHOT_INTERFACE, "ElementName", "Snapshot",   NULL},
};
/* clang-format on */

int task_info_read(TaskInfo *t, sd_bus_message *m) {
        int r = property_map_read(m, rows, ELEMENTS(rows), t);

        if (t->percent > 100)
                t->percent = 100;
        return r;
}

void task_info_clear(TaskInfo *t) {
        property_map_clear(rows, ELEMENTS(rows), t);
        free(t->path);
        free(t->subject_name);
        *t = (TaskInfo){0};
}

const char *task_info_number(const char *path) {
        if (strncmp(path, TASK_PATH_PREFIX, strlen(TASK_PATH_PREFIX)) != 0)
                return path;
        return path + strlen(TASK_PATH_PREFIX);
}

char *task_info_path(const char *argument) {
        const char *number = task_info_number(argument);
        char *end = NULL;
        unsigned long value;

        if (*number == '#')
                number++;
        if (*number < '0' || *number > '9' || strlen(number) > 10)
                return NULL;
        value = strtoul(number, &end, 10);
        if (*end || value > UINT32_MAX)
                return NULL;
        return xasprintf("%s%lu", TASK_PATH_PREFIX, value);
}

static bool has_prefix(const char *path, const char *prefix) {
        return path && strncmp(path, prefix, strlen(prefix)) == 0;
}

bool task_info_is_part(const TaskInfo *t) {
        return has_prefix(t->parent, TASK_PATH_PREFIX);
}

const TaskSubjectKind *task_info_subject_kind(const TaskInfo *t) {
        for (size_t i = 0; i < ELEMENTS(subject_kinds); i++)
                if (has_prefix(t->subject, subject_kinds[i].path_prefix))
                        return subject_kinds + i;
        return NULL;
}

bool task_info_is_cancelled(const TaskInfo *t) {
        return t->is_complete && t->result == RESULT_CANCELLED;
}

bool task_info_is_failed(const TaskInfo *t) {
        return t->is_complete && t->result != RESULT_SUCCESS && t->result != RESULT_CANCELLED;
}

const char *task_info_state(const TaskInfo *t) {
        if (!t->is_complete)
                return "running";
        if (task_info_is_failed(t))
                return "failed";
        return task_info_is_cancelled(t) ? "cancelled" : "done";
}

ExitCode task_info_exit_code(const TaskInfo *t) {
        ExitCode code;

        if (!t->is_complete || t->result == RESULT_SUCCESS)
                return EXIT_CODE_OK;
        if (task_info_is_cancelled(t))
                return EXIT_CODE_CANCELLED;
        code = exit_code_of_error(t->error_name);
        /* The service has answered, whatever it could not reach. */
        return code == EXIT_CODE_OK || code == EXIT_CODE_UNREACHABLE ? EXIT_CODE_FAILED : code;
}

const char *task_info_verb(const TaskInfo *t) {
        static const char *const prefixes[] = {"vm-", "system-"};
        const char *operation = t->operation ? t->operation : "";

        for (size_t i = 0; i < ELEMENTS(prefixes); i++)
                if (has_prefix(operation, prefixes[i]))
                        return operation + strlen(prefixes[i]);
        return operation;
}

const char *task_info_past(const TaskInfo *t) {
        for (size_t i = 0; t->operation && i < ELEMENTS(operations); i++)
                if (strcmp(operations[i].operation, t->operation) == 0)
                        return operations[i].past;
        return "Done:";
}

static uint64_t difference(uint64_t end, uint64_t begin) {
        return begin > 0 && end > begin ? end - begin : 0;
}

uint64_t task_info_duration(const TaskInfo *t) {
        uint64_t end = t->is_complete ? t->end_time : now_realtime();

        return difference(end, t->start_time ? t->start_time : t->submit_time);
}

uint64_t task_info_left(const TaskInfo *t) {
        /* The rate first: the clock of another host (-H) need not agree with ours. */
        if (t->rate > 0 && t->bytes_total > t->bytes_done)
                return (t->bytes_total - t->bytes_done) * USEC_PER_SEC / t->rate;
        return difference(t->expected_end_time, now_realtime());
}

/* "machine" and "collection", one of which is null. */
static void subject_to_json(const TaskInfo *t, JsonWriter *w) {
        const TaskSubjectKind *kind = task_info_subject_kind(t);

        for (size_t i = 0; i < ELEMENTS(subject_kinds); i++)
                if (subject_kinds[i].key)
                        json_string(w, subject_kinds[i].key,
                                        kind == subject_kinds + i ? t->subject_name : NULL);
}

static void error_to_json(const TaskInfo *t, JsonWriter *w) {
        if (!t->is_complete || t->result == RESULT_SUCCESS) {
                json_string(w, "error", NULL);
                return;
        }
        json_begin(w, "error", '{');
        json_string(w, "name", t->error_name);
        json_unsigned(w, "hresult", t->error);
        json_string(w, "message", t->error_description);
        json_end(w, '}');
}

static void result_to_json(JsonWriter *w, sd_bus_message *results) {
        if (results && json_message_value(w, "result", results) >= 0)
                return;
        json_begin(w, "result", '{');
        json_end(w, '}');
}

static void log_to_json(JsonWriter *w, sd_bus_message *log) {
        const char *text = NULL;
        uint32_t priority = 0;
        uint64_t usec = 0;

        if (sd_bus_message_enter_container(log, SD_BUS_TYPE_ARRAY, "(tus)") < 0)
                return;
        json_begin(w, "log", '[');
        while (sd_bus_message_read(log, "(tus)", &usec, &priority, &text) > 0) {
                json_begin(w, NULL, '{');
                json_unsigned(w, "time_us", usec);
                json_unsigned(w, "priority", priority);
                json_string(w, "text", text);
                json_end(w, '}');
        }
        json_end(w, ']');
}

static void parts_to_json(const TaskInfo *t, JsonWriter *w) {
        if (task_info_is_part(t))
                json_unsigned(w, "parent", strtoul(task_info_number(t->parent), NULL, 10));
        else
                json_string(w, "parent", NULL);
        json_begin(w, "sub_tasks", '[');
        for (size_t i = 0; i < t->parts.count; i++)
                json_unsigned(w, NULL, strtoul(task_info_number(t->parts.paths[i]), NULL, 10));
        json_end(w, ']');
}

void task_info_to_json(
                const TaskInfo *t, JsonWriter *w, sd_bus_message *results, sd_bus_message *log) {
        json_begin(w, NULL, '{');
        json_unsigned(w, "id", t->id);
        json_string(w, "operation", t->operation);
        subject_to_json(t, w);
        json_string(w, "state", task_info_state(t));
        if (t->progress_valid || t->is_complete)
                json_unsigned(w, "percent", t->percent);
        else
                json_string(w, "percent", NULL);
        json_unsigned(w, "duration_us", task_info_duration(t));
        error_to_json(t, w);
        result_to_json(w, results);
        json_string(w, "description", t->description);
        json_string(w, "status", t->status_text);
        json_string(w, "result_name", t->result_name);
        json_unsigned(w, "return_value", t->return_value);
        json_unsigned(w, "bytes_done", t->bytes_done);
        json_unsigned(w, "bytes_total", t->bytes_total);
        json_unsigned(w, "rate", t->rate);
        json_boolean(w, "cancelable", t->is_cancelable);
        json_unsigned(w, "submit_time_us", t->submit_time);
        json_unsigned(w, "start_time_us", t->start_time);
        json_unsigned(w, "end_time_us", t->end_time);
        json_unsigned(w, "owner_uid", t->owner_uid);
        json_string(w, "owner", t->owner);
        json_string(w, "path", t->path);
        json_string(w, "subject", t->subject);
        json_string(w, "result_object", t->result_object);
        parts_to_json(t, w);
        if (log)
                log_to_json(w, log);
        json_end(w, '}');
}
