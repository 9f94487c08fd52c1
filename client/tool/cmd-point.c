/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reference points: where differences are counted from. They are made, listed, removed and
 * exported; nobody goes back to one. */

#include <stdio.h>

#include "control.h"
#include "directory.h"
#include "inventory.h"
#include "machine-ref.h"
#include "message.h"
#include "pager.h"
#include "snapshot-ref.h"
#include "table.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"
#include "wait-task.h"

#define TYPE_TRACKED_CHANGES 2

enum { COLUMN_NAME, COLUMN_CONSISTENCY, COLUMN_CREATED, COLUMNS };

static void print_table(
                Session *s, const ObjectRef *machine, SnapshotInfo *const *list, size_t count) {
        _cleanup_(table_freep) Table *table = table_new(COLUMNS);
        _cleanup_free_ char *name = text_escape(machine->name);

        table_set_header(table, COLUMN_NAME, "REFERENCE POINT", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_CONSISTENCY, "CONSISTENCY", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_CREATED, "CREATED", TABLE_ALIGN_LEFT);
        for (size_t i = 0; i < count; i++) {
                _cleanup_free_ char *label = snapshot_info_label(list[i]);
                _cleanup_buffer_ Buffer created = {0};

                text_add_date(&created, list[i]->created);
                table_add(table, label);
                table_add(table, snapshot_info_consistency_word(list[i]));
                table_add(table, buffer_text(&created));
        }
        pager_open(&s->options);
        table_print(table, s->options.legend, s->options.color,
                        terminal_table_width(s->options.full));
        if (s->options.legend)
                (void) printf("%zu reference point%s of %s.\n", count, count == 1 ? "" : "s", name);
}

static void print_json(Session *s, SnapshotInfo *const *list, size_t count) {
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};

        json_begin(&json, NULL, '[');
        for (size_t i = 0; i < count; i++)
                snapshot_info_point_to_json(list[i], &json);
        json_end(&json, ']');
        json_flush(&json);
}

ExitCode cmd_points(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef machine = {0};
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_free_ SnapshotInfo **list = NULL;
        size_t count = 0;
        ExitCode code = machine_ref_resolve(&machine, s, arguments[0]);

        if (code == EXIT_CODE_OK)
                code = inventory_load(&inventory, s);
        if (code != EXIT_CODE_OK)
                return code;
        list = inventory_points_of(&inventory, machine.path, &count);
        if (s->options.json == JSON_MODE_OFF)
                print_table(s, &machine, list, count);
        else
                print_json(s, list, count);
        return EXIT_CODE_OK;
}

ExitCode cmd_point(Session *s, const char *verb, char **arguments) {
        static const TaskReportMode report = {0};
        _cleanup_(object_ref_clear) ObjectRef machine = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *what = NULL;
        ExitCode code = machine_ref_resolve(&machine, s, arguments[0]);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, machine.path, POINTS_INTERFACE, "CreateReferencePoint");
        r = sd_bus_message_append(m, "q", TYPE_TRACKED_CHANGES);
        if (r < 0)
                return bus_client_report_reply(r);
        code = control_append_settings(m, &s->options, arguments[1]);
        if (code != EXIT_CODE_OK)
                return code;
        what = xasprintf("make a reference point of %s", machine.name);
        return task_wait_for_call(s, m, what, machine.name, &report);
}

ExitCode cmd_convert_snapshot(Session *s, const char *verb, char **arguments) {
        static const TaskReportMode report = {0};
        _cleanup_(object_ref_clear) ObjectRef machine = {0}, snapshot = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *what = NULL;
        ExitCode code = machine_ref_resolve(&machine, s, arguments[0]);
        int r;

        if (code == EXIT_CODE_OK)
                code = snapshot_ref_resolve(&snapshot, s, &machine, arguments[1]);
        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, snapshot.path, SNAPSHOT_INTERFACE, "ConvertToReferencePoint");
        r = control_append_options(m, &s->options);
        if (r < 0)
                return bus_client_report_reply(r);
        what = xasprintf("convert snapshot %s of %s", snapshot.name, machine.name);
        return task_wait_for_call(s, m, what, machine.name, &report);
}

/* ---- of one that exists ---- */

typedef struct Target {
        ObjectRef machine;
        ObjectRef point;
} Target;

static void target_clear(Target *target) {
        object_ref_clear(&target->machine);
        object_ref_clear(&target->point);
}

static ExitCode target_resolve(Target *target, Session *s, char **arguments) {
        ExitCode code = machine_ref_resolve(&target->machine, s, arguments[0]);

        return code == EXIT_CODE_OK ? snapshot_ref_resolve_point(&target->point, s,
                                                      &target->machine, arguments[1])
                                    : code;
}

ExitCode cmd_delete_point(Session *s, const char *verb, char **arguments) {
        _cleanup_(target_clear) Target target = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *what = NULL, *past = NULL;
        ExitCode code = target_resolve(&target, s, arguments);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, target.point.path, POINT_INTERFACE, "Destroy");
        r = control_append_options(m, &s->options);
        if (r < 0)
                return bus_client_report_reply(r);
        what = xasprintf("delete reference point %s of %s", target.point.name, target.machine.name);
        past = xasprintf("Deleted reference point %s of", target.point.name);
        return task_wait_for_call(s, m, what, target.machine.name, &(TaskReportMode){.past = past});
}

static int
append_export(sd_bus_message *m, const char *directory, const char *base, const Options *options) {
        int r = sd_bus_message_append(m, "s", directory);

        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0)
                r = control_append_flags(m, options);
        if (r >= 0 && base)
                r = sd_bus_message_append(m, "{sv}", "BaseReferencePoint", "o", base);
        if (r >= 0 && options_has(options, OPTION_NO_SUBDIRECTORY))
                r = sd_bus_message_append(m, "{sv}", "CreateVmExportSubdirectory", "b", 0);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

ExitCode cmd_export_point(Session *s, const char *verb, char **arguments) {
        static const TaskReportMode report = {0};
        _cleanup_(target_clear) Target target = {0};
        _cleanup_(object_ref_clear) ObjectRef base = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *directory = directory_from_argument(&s->options, arguments[2]);
        _cleanup_free_ char *what = NULL;
        ExitCode code = directory ? target_resolve(&target, s, arguments) : EXIT_CODE_USAGE;

        if (code == EXIT_CODE_OK && s->options.since)
                code = snapshot_ref_resolve_point(&base, s, &target.machine, s->options.since);
        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, target.point.path, POINT_INTERFACE, "Export");
        if (append_export(m, directory, base.path, &s->options) < 0) {
                message_error("the directory is not UTF-8");
                return EXIT_CODE_USAGE;
        }
        what = xasprintf("export reference point %s of %s", target.point.name, target.machine.name);
        return task_wait_for_call(s, m, what, target.machine.name, &report);
}
