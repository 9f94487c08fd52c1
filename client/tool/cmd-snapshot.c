/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Everything that makes or changes a snapshot. A command here is about one machine, so it begins
 * one task, which wait-task.c follows; only a new name is given at once. */

#include <string.h>

#include "control.h"
#include "machine-ref.h"
#include "message.h"
#include "snapshot-ref.h"
#include "verbs.h"
#include "wait-task.h"

/* clang-format off */
static const struct RemoveRow {
        const char *verb;
        const char *method;
        const char *what; /* for messages: "cannot ... SNAPSHOT of VM" */
        const char *past; /* the same when it is done */
} rows[] = {
        {"delete-snapshot", "Destroy",    "delete snapshot",              "Deleted snapshot"},
        {"clear-snapshot",  "ClearState", "clear the memory of snapshot", "Cleared the memory of snapshot"},
};
/* clang-format on */

/* ---- snapshot ---- */

static ExitCode check_kind(const Options *options) {
        bool disks = options_has(options, OPTION_DISKS_ONLY);
        bool recovery = options_has(options, OPTION_RECOVERY);

        if (disks && recovery) {
                message_error("--disks-only and --recovery exclude each other");
                return EXIT_CODE_USAGE;
        }
        /* With its memory a guest goes on from the middle of a write as from any other moment. */
        if (options_has(options, OPTION_QUIESCE) && !disks && !recovery) {
                message_error("--quiesce is for --disks-only and --recovery; a snapshot with "
                              "memory does not need it");
                return EXIT_CODE_USAGE;
        }
        return EXIT_CODE_OK;
}

static uint16_t wanted_type(const Options *options) {
        if (options_has(options, OPTION_DISKS_ONLY))
                return SNAPSHOT_TYPE_DISKS;
        return options_has(options, OPTION_RECOVERY) ? SNAPSHOT_TYPE_RECOVERY : SNAPSHOT_TYPE_FULL;
}

ExitCode cmd_snapshot(Session *s, const char *verb, char **arguments) {
        static const TaskReportMode report = {0};
        _cleanup_(object_ref_clear) ObjectRef machine = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *what = NULL;
        ExitCode code = check_kind(&s->options);
        int r;

        if (code == EXIT_CODE_OK)
                code = machine_ref_resolve(&machine, s, arguments[0]);
        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, machine.path, SNAPSHOTS_INTERFACE, "CreateSnapshot");
        r = sd_bus_message_append(m, "q", wanted_type(&s->options));
        if (r < 0)
                return bus_client_report_reply(r);
        code = control_append_settings(m, &s->options, arguments[1]);
        if (code != EXIT_CODE_OK)
                return code;
        what = xasprintf("snapshot %s", machine.name);
        return task_wait_for_call(s, m, what, machine.name, &report);
}

/* ---- of one that exists ---- */

typedef struct Target {
        ObjectRef machine;
        ObjectRef snapshot;
} Target;

static void target_clear(Target *target) {
        object_ref_clear(&target->machine);
        object_ref_clear(&target->snapshot);
}

static ExitCode target_resolve(Target *target, Session *s, char **arguments) {
        ExitCode code = machine_ref_resolve(&target->machine, s, arguments[0]);

        return code == EXIT_CODE_OK ? snapshot_ref_resolve(&target->snapshot, s, &target->machine,
                                                      arguments[1])
                                    : code;
}

static ExitCode call_task(Session *s,
                const Target *target,
                const char *method,
                const char *what,
                const TaskReportMode *report) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, target->snapshot.path, SNAPSHOT_INTERFACE, method);
        int r = control_append_options(m, &s->options);

        if (r < 0)
                return bus_client_report_reply(r);
        return task_wait_for_call(s, m, what, target->machine.name, report);
}

ExitCode cmd_revert(Session *s, const char *verb, char **arguments) {
        _cleanup_(target_clear) Target target = {0};
        _cleanup_free_ char *what = NULL, *suffix = NULL;
        ExitCode code = target_resolve(&target, s, arguments);

        if (code != EXIT_CODE_OK)
                return code;
        what = xasprintf("revert %s to %s", target.machine.name, target.snapshot.name);
        suffix = xasprintf(" to %s", target.snapshot.name);
        return call_task(s, &target, "Apply", what, &(TaskReportMode){.suffix = suffix});
}

static const struct RemoveRow *find_row(const char *verb) {
        size_t i = 0;

        while (i + 1 < ELEMENTS(rows) && strcmp(rows[i].verb, verb) != 0)
                i++;
        return rows + i;
}

ExitCode cmd_remove_snapshot(Session *s, const char *verb, char **arguments) {
        const struct RemoveRow *row = find_row(verb);
        bool children = options_has(&s->options, OPTION_CHILDREN);
        _cleanup_(target_clear) Target target = {0};
        _cleanup_free_ char *what = NULL, *past = NULL;
        TaskReportMode report = {.suffix = children ? " and all below it" : NULL};
        ExitCode code = target_resolve(&target, s, arguments);

        if (code != EXIT_CODE_OK)
                return code;
        what = xasprintf("%s %s of %s", row->what, target.snapshot.name, target.machine.name);
        past = xasprintf("%s %s of", row->past, target.snapshot.name);
        report.past = past;
        return call_task(s, &target, children ? "DestroyTree" : row->method, what, &report);
}

ExitCode cmd_rename_snapshot(Session *s, const char *verb, char **arguments) {
        _cleanup_(target_clear) Target target = {0};
        _cleanup_free_ char *what = NULL;
        ExitCode code = target_resolve(&target, s, arguments);

        if (code != EXIT_CODE_OK)
                return code;
        what = xasprintf("snapshot %s of %s", target.snapshot.name, target.machine.name);
        return control_rename(s, verb,
                        &(ControlTarget){target.snapshot.path, SNAPSHOT_INTERFACE, what, "machine",
                                        target.machine.name},
                        arguments[2]);
}
