/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tasks and task: the list of what runs, and everything about one of them. The log and the results
 * of a task are told to its owner and to root only; for others these parts are left out. */

#include <stdio.h>
#include <string.h>

#include "inventory.h"
#include "machine-ref.h"
#include "message.h"
#include "pager.h"
#include "progress.h"
#include "table.h"
#include "task-private.h"
#include "task-report.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"

enum {
        COLUMN_ID,
        COLUMN_OPERATION,
        COLUMN_SUBJECT,
        COLUMN_STATE,
        COLUMN_PROGRESS,
        COLUMN_OWNER,
        COLUMN_SUBMITTED,
        COLUMNS
};

static const char *const titles[COLUMNS] = {
                "ID", "OPERATION", "SUBJECT", "STATE", "PROGRESS", "OWNER", "SUBMITTED"};

static const char *dash(void) {
        return text_is_unicode() ? "–" : "-";
}

static unsigned state_color(const TaskInfo *t) {
        if (!t->is_complete)
                return 36;
        if (task_info_exit_code(t) == EXIT_CODE_OK)
                return 32;
        return task_info_is_cancelled(t) ? 33 : 31;
}

static char *progress_cell(const TaskInfo *t) {
        _cleanup_buffer_ Buffer b = {0};

        if (!t->is_complete)
                progress_add_details(&b, t, SIZE_MAX);
        else
                text_add_duration(&b, task_info_duration(t));
        return buffer_steal(&b);
}

/* @branch stands before the operation of a part of another task. */
static void add_row(Table *table, const TaskInfo *t, const char *branch) {
        _cleanup_free_ char *progress = progress_cell(t);
        _cleanup_free_ char *operation = xasprintf("%s%s", branch, task_info_verb(t));
        _cleanup_buffer_ Buffer submitted = {0};

        text_add_date(&submitted, t->submit_time);
        table_add(table, task_info_number(t->path));
        table_add(table, operation);
        table_add(table, t->subject_name ? t->subject_name : dash());
        table_add_colored(table, task_info_state(t), state_color(t));
        table_add(table, progress);
        table_add(table, t->owner);
        table_add(table, buffer_text(&submitted));
}

static bool is_wanted(const Session *s, const TaskInfo *t, const char *machine) {
        if (t->is_complete && !options_has(&s->options, OPTION_ALL))
                return false;
        return !machine || (t->subject && strcmp(t->subject, machine) == 0);
}

typedef struct Listing {
        Session *session;
        const Inventory *inventory;
        const char *machine; /* path, NULL for all */
        Table *table;
        size_t count;
} Listing;

static void list_task(Listing *listing, const TaskInfo *t, const char *branch) {
        add_row(listing->table, t, branch);
        listing->count++;
}

static const TaskInfo *find_wanted(const Listing *listing, const char *path) {
        const TaskInfo *t = inventory_find_task(listing->inventory, path);

        return t && is_wanted(listing->session, t, listing->machine) ? t : NULL;
}

static bool stands_below_another(const Listing *listing, const TaskInfo *t) {
        const TaskInfo *whole = task_info_is_part(t) ? find_wanted(listing, t->parent) : NULL;

        return whole && path_list_contains(&whole->parts, t->path);
}

static void list_with_parts(Listing *listing, const TaskInfo *whole) {
        bool lines = text_is_unicode();
        const TaskInfo *last = NULL;

        list_task(listing, whole, "");
        for (size_t i = 0; i < whole->parts.count; i++) {
                const TaskInfo *t = find_wanted(listing, whole->parts.paths[i]);

                if (t && last)
                        list_task(listing, last, lines ? "├─ " : "  ");
                last = t ? t : last;
        }
        if (last)
                list_task(listing, last, lines ? "└─ " : "  ");
}

static void print_tasks(Session *s, const Inventory *inventory, const char *machine) {
        _cleanup_(table_freep) Table *table = table_new(COLUMNS);
        Listing listing = {s, inventory, machine, table, 0};
        size_t width = terminal_table_width(s->options.full);

        for (size_t i = 0; i < COLUMNS; i++)
                table_set_header(table, i, titles[i],
                                i == COLUMN_ID ? TABLE_ALIGN_RIGHT : TABLE_ALIGN_LEFT);
        for (size_t i = 0; i < inventory->n_tasks; i++) {
                const TaskInfo *t = inventory->tasks + i;

                if (is_wanted(s, t, machine) && !stands_below_another(&listing, t))
                        list_with_parts(&listing, t);
        }
        pager_open(&s->options);
        table_print(table, s->options.legend, s->options.color, width);
        if (s->options.legend)
                (void) printf("%zu %stask%s.\n", listing.count,
                                options_has(&s->options, OPTION_ALL) ? "" : "unfinished ",
                                listing.count == 1 ? "" : "s");
}

ExitCode cmd_tasks(Session *s, const char *verb, char **arguments) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};
        ExitCode code = EXIT_CODE_OK;

        if (arguments[0])
                code = machine_ref_resolve(&ref, s, arguments[0]);
        if (code == EXIT_CODE_OK)
                code = inventory_load(&inventory, s);
        if (code != EXIT_CODE_OK)
                return code;
        if (s->options.json == JSON_MODE_OFF) {
                print_tasks(s, &inventory, ref.path);
                return EXIT_CODE_OK;
        }
        json_begin(&json, NULL, '[');
        for (size_t i = 0; i < inventory.n_tasks; i++)
                if (is_wanted(s, inventory.tasks + i, ref.path))
                        task_info_to_json(inventory.tasks + i, &json, NULL, NULL);
        json_end(&json, ']');
        json_flush(&json);
        return EXIT_CODE_OK;
}

/* ---- task ---- */

static ExitCode load_task(TaskInfo *t, Session *s, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, path, PROPERTIES_INTERFACE, "GetAll");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const TaskSubjectKind *kind;
        int r = sd_bus_message_append(m, "s", TASK_INTERFACE);

        if (r < 0)
                return bus_client_report_reply(r);
        if (bus_client_try(s, m, 0, &error, &reply) < 0) {
                if (exit_code_of_error(error.name) != EXIT_CODE_NOT_FOUND)
                        return bus_client_report("read the task", &error);
                message_error("no task %s", task_info_number(path));
                return EXIT_CODE_NOT_FOUND;
        }
        r = task_info_read(t, reply);
        if (r < 0)
                return bus_client_report_reply(r);
        t->path = xstrdup(path);
        kind = task_info_subject_kind(t);
        if (kind)
                t->subject_name = bus_client_read_string(
                                s, t->subject, kind->interface, kind->property);
        return EXIT_CODE_OK;
}

static void print_date(const char *label, uint64_t usec) {
        _cleanup_buffer_ Buffer b = {0};

        if (usec > 0)
                text_add_date(&b, usec);
        message_field(label, buffer_text(&b));
}

static void print_log(sd_bus_message *reply) {
        const char *text = NULL;
        bool first = true;
        uint64_t usec = 0;

        if (!reply || sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(tus)") < 0)
                return;
        while (sd_bus_message_read(reply, "(tus)", &usec, NULL, &text) > 0) {
                _cleanup_free_ char *safe = text_escape(text);
                _cleanup_buffer_ Buffer b = {0};

                if (first)
                        (void) printf("\nLog:\n");
                first = false;
                text_add_time(&b, usec);
                (void) printf("  %s  %s\n", buffer_text(&b), safe);
        }
}

static void print_results(sd_bus_message *reply) {
        if (!reply || sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "{sv}") < 0)
                return;
        while (sd_bus_message_enter_container(reply, SD_BUS_TYPE_DICT_ENTRY, "sv") > 0) {
                _cleanup_json_ JsonWriter json = {0};
                const char *name = NULL;

                if (sd_bus_message_read(reply, "s", &name) < 0 ||
                                json_message_value(&json, NULL, reply) < 0)
                        return;
                message_field(name, buffer_text(&json.out));
                if (sd_bus_message_exit_container(reply) < 0)
                        return;
        }
}

static void print_state(const TaskInfo *t) {
        _cleanup_free_ char *progress = progress_cell(t);
        _cleanup_free_ char *state = xasprintf(t->is_complete ? "%s after %s" : "%s, %s",
                        task_info_state(t), progress + strspn(progress, " "));

        message_field("State", state);
}

static void print_parts(const TaskInfo *t) {
        _cleanup_buffer_ Buffer b = {0};

        for (size_t i = 0; i < t->parts.count; i++)
                buffer_add_format(
                                &b, "%s%s", i > 0 ? ", " : "", task_info_number(t->parts.paths[i]));
        message_field("Parts", buffer_text(&b));
}

static void print_task(Session *s, const TaskInfo *t) {
        const TaskSubjectKind *kind = task_info_subject_kind(t);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *results = task_private_results(s, t->path);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *log = task_private_log(s, t->path);
        _cleanup_free_ char *owner = xasprintf("%s (%u)", t->owner ? t->owner : "", t->owner_uid);
        _cleanup_free_ char *title = text_escape(t->description ? t->description : "");

        pager_open(&s->options);
        (void) printf("#%u %s\n", t->id, title);
        message_field("Operation", t->operation);
        message_field(kind ? kind->title : "", t->subject_name);
        print_state(t);
        if (t->is_complete && task_info_exit_code(t) != EXIT_CODE_OK) {
                _cleanup_free_ char *error = xasprintf(
                                "%s (0x%08X)", t->error_name ? t->error_name : "", t->error);

                message_field("Result", t->result_name);
                message_field("Error", error);
                message_field("Message", t->error_description);
        }
        if (!t->is_complete)
                message_field("Cancelable", t->is_cancelable ? "yes" : "no");
        if (task_info_is_part(t))
                message_field("Part of", task_info_number(t->parent));
        print_parts(t);
        message_field("Owner", owner);
        print_date("Submitted", t->submit_time);
        print_date("Started", t->start_time);
        print_date("Ended", t->end_time);
        message_field("Object", t->path);
        print_results(results);
        print_log(log);
}

ExitCode cmd_task(Session *s, const char *verb, char **arguments) {
        _cleanup_free_ char *path = task_info_path(arguments[0]);
        _cleanup_(task_info_clear) TaskInfo t = {0};
        ExitCode code;

        if (!path) {
                message_error("\"%s\" is no number of a task", arguments[0]);
                return EXIT_CODE_USAGE;
        }
        code = load_task(&t, s, path);
        if (code != EXIT_CODE_OK)
                return code;
        if (s->options.json == JSON_MODE_OFF) {
                print_task(s, &t);
                return EXIT_CODE_OK;
        }
        task_report_json(s, &t);
        return EXIT_CODE_OK;
}
