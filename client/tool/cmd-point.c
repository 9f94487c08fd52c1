/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reference points: where differences are counted from. They are made, removed and exported
 * here, and listed by cmd-snapshots.c; nobody goes back to one. */

#include "control.h"
#include "directory.h"
#include "machine-ref.h"
#include "message.h"
#include "snapshot-ref.h"
#include "verbs.h"
#include "wait-task.h"

#define TYPE_TRACKED_CHANGES 2

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
