/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Everything that makes or changes a snapshot of a collection. The task of such a command has a
 * part for each machine; what is waited for is the whole. */

#include "collection-ref.h"
#include "control.h"
#include "verbs.h"
#include "wait-task.h"

ExitCode cmd_snapshot_collection(Session *s, const char *verb, char **arguments) {
        static const TaskReportMode report = {0};
        bool recovery = options_has(&s->options, OPTION_RECOVERY);
        unsigned type = recovery ? COLLECTION_SNAPSHOT_RECOVERY : COLLECTION_SNAPSHOT_STANDARD;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_free_ char *what = NULL;
        ExitCode code = collection_ref_resolve(&ref, s, arguments[0]);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, ref.path, COLLECTION_INTERFACE, "CreateSnapshot");
        r = sd_bus_message_append(m, "q", type);
        if (r < 0)
                return bus_client_report_reply(r);
        code = control_append_settings(m, &s->options, arguments[1]);
        if (code != EXIT_CODE_OK)
                return code;
        what = xasprintf("snapshot collection %s", ref.name);
        return task_wait_for_call(s, m, what, ref.name, &report);
}

/* @what and @done as in "revert to", "Reverted to". */
static ExitCode call_task(Session *s,
                const char *argument,
                const char *method,
                const char *what,
                const char *done) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_free_ char *call = NULL, *sentence = NULL;
        ExitCode code = collection_ref_resolve_snapshot(&ref, s, argument);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, ref.path, COLLECTION_SNAPSHOT_INTERFACE, method);
        r = control_append_options(m, &s->options);
        if (r < 0)
                return bus_client_report_reply(r);
        call = xasprintf("%s %s", what, ref.name);
        sentence = xasprintf("%s %s", done, ref.name);
        return task_wait_for_call(s, m, call, NULL, &(TaskReportMode){.sentence = sentence});
}

ExitCode cmd_revert_collection(Session *s, const char *verb, char **arguments) {
        return call_task(s, arguments[0], "Apply", "revert to", "Reverted to");
}

ExitCode cmd_delete_collection_snapshot(Session *s, const char *verb, char **arguments) {
        return call_task(s, arguments[0], "Destroy", "delete snapshot", "Deleted snapshot");
}

ExitCode cmd_rename_collection_snapshot(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_free_ char *what = NULL;
        ExitCode code = collection_ref_resolve_snapshot(&ref, s, arguments[0]);

        if (code != EXIT_CODE_OK)
                return code;
        what = xasprintf("snapshot %s", ref.name);
        return control_rename(s, verb,
                        &(ControlTarget){ref.path, COLLECTION_SNAPSHOT_INTERFACE, what,
                                        "collection_snapshot", ref.name},
                        arguments[1]);
}
