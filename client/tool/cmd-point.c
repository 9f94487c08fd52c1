/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reference points: where differences are counted from. They are made and removed here, listed by
 * cmd-snapshots.c and exported by cmd-export.c; nobody goes back to one. */

#include "control.h"
#include "machine-ref.h"
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

ExitCode cmd_delete_point(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef machine = {0}, point = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *what = NULL, *past = NULL;
        ExitCode code = machine_ref_resolve(&machine, s, arguments[0]);
        int r;

        if (code == EXIT_CODE_OK)
                code = snapshot_ref_resolve_point(&point, s, &machine, arguments[1]);
        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, point.path, POINT_INTERFACE, "Destroy");
        r = control_append_options(m, &s->options);
        if (r < 0)
                return bus_client_report_reply(r);
        what = xasprintf("delete reference point %s of %s", point.name, machine.name);
        past = xasprintf("Deleted reference point %s of", point.name);
        return task_wait_for_call(s, m, what, machine.name, &(TaskReportMode){.past = past});
}
