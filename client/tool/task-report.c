/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The last word on a task. Success goes to standard output, everything else to standard error; with
 * --json each task is one object on standard output whatever its end. Called by wait-task.c and
 * cmd-watch.c on the event loop; the short questions to the service that are asked here have a
 * small timeout. */

#include <stddef.h>
#include <string.h>

#include "message.h"
#include "property-map.h"
#include "task-private.h"
#include "task-report.h"
#include "text.h"

/* What led to a failure stands at the end of the log. */
#define LOG_LINES 5

static const char *or_empty(const char *text) {
        return text ? text : "";
}

void task_report_json(Session *s, const TaskInfo *info) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *results = NULL, *log = NULL;
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};

        if (info->is_complete)
                results = task_private_results(s, info->path);
        if (task_info_is_failed(info))
                log = task_private_log(s, info->path);
        task_info_to_json(info, &json, results, log);
        json_flush(&json);
}

/* "Took snapshot base of", NULL if none was taken. */
static char *made_snapshot(Session *s, const TaskInfo *t) {
        _cleanup_free_ char *id = NULL;

        if (strcmp(or_empty(t->operation), "snapshot-create") != 0 || !t->result_object)
                return NULL;
        id = bus_client_read_string(s, t->result_object, SNAPSHOT_INTERFACE, "ID");
        return id ? xasprintf("Took snapshot %s of", id) : NULL;
}

/* "Made reference point base of", NULL if none was made. */
static char *made_point(Session *s, const TaskInfo *t) {
        const char *operation = or_empty(t->operation), *slash;
        _cleanup_free_ char *id = NULL;

        if (strcmp(operation, "reference-point-create") != 0 &&
                        strcmp(operation, "snapshot-convert") != 0)
                return NULL;
        id = t->result_object ? bus_client_read_string(
                                                s, t->result_object, POINT_INTERFACE, "InstanceID")
                              : NULL;
        slash = id ? strchr(id, '/') : NULL;
        return slash ? xasprintf("Made reference point %s of", slash + 1) : NULL;
}

/* What a snapshot of a collection has as its results, in microseconds; NULL for what is not told:
 * they are for the owner only, and are 0 where no guest ran. */
typedef struct Moments {
        char *spread;
        char *stopped;
} Moments;

/* clang-format off */
static const PropertyRow moment_rows[] = {
        {"SpreadUSec",  's', offsetof(Moments, spread)},
        {"StoppedUSec", 's', offsetof(Moments, stopped)},
};
/* clang-format on */

/* Of less than 10 ms the tenths count, too. */
static void add_moment(Buffer *b, const char *words, const char *text) {
        char *end = NULL;
        uint64_t usec = text ? strtoull(text, &end, 10) : 0;

        if (usec == 0 || *end)
                return;
        buffer_add(b, words);
        if (usec < 10 * USEC_PER_MSEC)
                buffer_add_format(b, "%.1f ms", (double) usec / (double) USEC_PER_MSEC);
        else
                text_add_duration(b, usec);
}

static void add_moments(Buffer *b, Session *s, const TaskInfo *t) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *results = task_private_results(s, t->path);
        Moments moments = {0};

        if (results && property_map_read(results, moment_rows, ELEMENTS(moment_rows), &moments) >=
                                        0) {
                add_moment(b, " within ", moments.spread);
                add_moment(b, ", stopped for ", moments.stopped);
        }
        property_map_clear(moment_rows, ELEMENTS(moment_rows), &moments);
}

static void add_machines(Buffer *b, const TaskInfo *t) {
        buffer_add_format(b, "%zu machine%s", t->parts.count, t->parts.count == 1 ? "" : "s");
}

static bool made_collection_snapshot(const TaskInfo *t) {
        return t->result_object && strncmp(t->result_object, COLLECTION_SNAPSHOT_PATH_PREFIX,
                                                   strlen(COLLECTION_SNAPSHOT_PATH_PREFIX)) == 0;
}

static void print_collection_snapshot(Session *s, const TaskInfo *t) {
        _cleanup_free_ char *name = bus_client_read_string(
                        s, t->result_object, COLLECTION_SNAPSHOT_INTERFACE, "ElementName");
        _cleanup_buffer_ Buffer b = {0};

        add_machines(&b, t);
        add_moments(&b, s, t);
        message_result("Snapshot '%s' of collection '%s' taken: %s.", or_empty(name),
                        or_empty(t->subject_name), buffer_text(&b));
}

static bool ends_with(const char *text, const char *end) {
        size_t length = strlen(text), part = strlen(end);

        return length >= part && strcmp(text + length - part, end) == 0;
}

/* " to /srv/alpine": where an export is, as far as we may know that. NULL: it is none. */
static char *made_export(Session *s, const TaskInfo *t) {
        static const PropertyRow directory = {"ExportDirectory", 's', 0};
        static const PropertyRow file = {"ExportFile", 's', 0};
        bool package = ends_with(or_empty(t->operation), "-export-package");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *results = NULL;
        _cleanup_free_ char *place = NULL;

        if (!package && !ends_with(or_empty(t->operation), "-export"))
                return NULL;
        results = task_private_results(s, t->path);
        if (results)
                (void) property_map_read(results, package ? &file : &directory, 1, &place);
        return place ? xasprintf(" to %s", place) : NULL;
}

#define IMPORT "system-import" /* also -package */

/* The name of the machine that an import has made, NULL if it is none. */
static char *made_machine(Session *s, const TaskInfo *t) {
        if (strncmp(or_empty(t->operation), IMPORT, strlen(IMPORT)) != 0 || !t->result_object)
                return NULL;
        return bus_client_read_string(s, t->result_object, MACHINE_INTERFACE, "Name");
}

/* "Reverted alpine to base" */
static char *tell_success(Session *s, const TaskInfo *t, const TaskReportMode *mode) {
        _cleanup_free_ char *past = NULL, *directory = NULL, *machine = NULL;
        const char *subject;

        if (mode->sentence)
                return xstrdup(mode->sentence);
        past = made_snapshot(s, t);
        if (!past)
                past = made_point(s, t);
        directory = made_export(s, t);
        machine = made_machine(s, t);
        subject = machine ? machine : t->subject_name;
        return xasprintf("%s %s%s",
                        past         ? past
                        : mode->past ? mode->past
                                     : task_info_past(t),
                        subject ? subject : or_empty(t->description),
                        directory ? directory : or_empty(mode->suffix));
}

static void print_success(Session *s, const TaskInfo *t, const TaskReportMode *mode) {
        _cleanup_free_ char *sentence = tell_success(s, t, mode);
        _cleanup_buffer_ Buffer b = {0};

        if (made_collection_snapshot(t)) {
                print_collection_snapshot(s, t);
                return;
        }
        if (t->parts.count > 0) {
                add_machines(&b, t);
                buffer_add(&b, ", ");
        }
        if (t->bytes_done > 0) {
                text_add_size(&b, t->bytes_done);
                buffer_add(&b, ", ");
        }
        text_add_duration(&b, task_info_duration(t));
        message_result("%s (%s)", sentence, buffer_text(&b));
}

static void print_cancelled(Session *s, const TaskInfo *t) {
        _cleanup_free_ char *state = NULL;

        if (t->subject && t->subject_name)
                state = bus_client_read_string(s, t->subject, MACHINE_INTERFACE, "StateName");
        if (state)
                message_error("task %u cancelled; %s is %s", t->id, t->subject_name, state);
        else
                message_error("task %u cancelled", t->id);
}

/* Everybody may read the description of an error, therefore it names no files. The log does, and
 * tells what came before; @told is what it needs not repeat. */
static void print_log(Session *s, const TaskInfo *t, const char *told) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *log = NULL;
        const char *lines[LOG_LINES], *text = NULL;
        size_t count = 0;

        if (s->options.quiet)
                return;
        log = task_private_log(s, t->path);
        if (!log || sd_bus_message_enter_container(log, SD_BUS_TYPE_ARRAY, "(tus)") < 0)
                return;
        while (sd_bus_message_read(log, "(tus)", NULL, NULL, &text) > 0)
                if (strcmp(text, told) != 0)
                        lines[count++ % LOG_LINES] = text;
        for (size_t i = count > LOG_LINES ? count - LOG_LINES : 0; i < count; i++)
                message_note("  %s", lines[i % LOG_LINES]);
}

static void print_failed(Session *s, const TaskInfo *t) {
        const char *why = t->error_description;

        if ((!why || !*why) && t->error_name)
                why = error_meaning(t->error_name);
        if (!why)
                why = or_empty(t->result_name);
        message_error("task %u (%s) failed: %s", t->id, or_empty(t->description), why);
        print_log(s, t, why);
}

/* The end of a task that "virtask cancel" has asked to stop. */
static ExitCode report_wanted(Session *s, const TaskInfo *t) {
        if (task_info_is_cancelled(t)) {
                if (!s->options.quiet)
                        message_result("Cancelled task %u (%s)", t->id, or_empty(t->description));
                return EXIT_CODE_OK;
        }
        message_error("task %u (%s) ended with \"%s\" before it could be cancelled", t->id,
                        or_empty(t->description), or_empty(t->result_name));
        if (task_info_is_failed(t))
                print_log(s, t, "");
        return EXIT_CODE_STATE;
}

static ExitCode report_lost(const FeedTask *t) {
        const char *number = task_info_number(t->info.path);
        ExitCode code = exit_code_of_error(t->lost.name);

        if (code != EXIT_CODE_NOT_FOUND) {
                _cleanup_free_ char *what = xasprintf("follow task %s", number);

                return bus_client_report(what, &t->lost);
        }
        if (t->ready)
                message_error("the service was restarted and does not know task %s any more; how "
                              "it ended "
                              "can not be told",
                                number);
        else
                message_error("no task %s", number);
        return code;
}

ExitCode task_report_end(Session *s, const FeedTask *t, const TaskReportMode *mode) {
        ExitCode code = task_info_exit_code(&t->info);

        if (t->lost.name)
                return report_lost(t);
        if (s->options.json != JSON_MODE_OFF) {
                task_report_json(s, &t->info);
                if (!mode->wants_cancelled)
                        return code;
                return code == EXIT_CODE_CANCELLED ? EXIT_CODE_OK : EXIT_CODE_STATE;
        }
        if (mode->wants_cancelled)
                return report_wanted(s, &t->info);
        if (code == EXIT_CODE_CANCELLED)
                print_cancelled(s, &t->info);
        else if (code != EXIT_CODE_OK)
                print_failed(s, &t->info);
        else if (!s->options.quiet)
                print_success(s, &t->info, mode);
        return code;
}
