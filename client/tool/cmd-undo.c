/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Undo disks: whether a machine has any, and what becomes of them when it goes off. They are merged
 * and discarded by cmd-control.c. */

#include <string.h>

#include "agent.h"
#include "control.h"
#include "machine-ref.h"
#include "message.h"
#include "verbs.h"

static const char *const actions[] = {"discard", "keep", "commit"}; /* VMUndoAction */

static ExitCode set_undoable(Session *s, const char *verb, const ObjectRef *ref, bool enable) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, ref->path, MACHINE_INTERFACE, "SetUndoable");
        _cleanup_free_ char *what =
                        xasprintf("%s undo disks of %s", enable ? "enable" : "disable", ref->name);
        _cleanup_free_ char *text = xasprintf("%s %s",
                        enable ? "Enabled undo disks of" : "Removed the undo disks of", ref->name);
        ExitCode code;
        int r = sd_bus_message_append(m, "b", (int) enable);

        if (r < 0)
                return bus_client_report_reply(r);
        code = bus_client_call_dialog(s, m, what, NULL);
        if (code == EXIT_CODE_OK)
                control_print_done(s, verb, text, "machine", ref->name, ref->path);
        return code;
}

ExitCode cmd_set_undoable(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_refs_clear) ObjectRefs refs = {0};
        ExitCode worst = object_refs_resolve(&refs, s, arguments, machine_ref_resolve);
        bool enable = strcmp(verb, "enable-undo") == 0;

        for (size_t i = 0; i < refs.count && worst != EXIT_CODE_UNREACHABLE; i++)
                worst = exit_code_worst(worst, set_undoable(s, verb, refs.items + i, enable));
        return worst;
}

static bool find_action(const char *word, uint32_t *ret) {
        for (uint32_t i = 0; i < ELEMENTS(actions); i++) {
                *ret = i;
                if (strcmp(actions[i], word) == 0)
                        return true;
        }
        return false;
}

ExitCode cmd_undo_action(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *what = NULL, *text = NULL;
        uint32_t action;
        ExitCode code;
        int r;

        if (!find_action(arguments[1], &action)) {
                message_error("the undo action is discard, keep or commit, not \"%s\"",
                                arguments[1]);
                return EXIT_CODE_USAGE;
        }
        code = machine_ref_resolve(&ref, s, arguments[0]);
        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, ref.path, MACHINE_INTERFACE, "SetUndoAction");
        r = sd_bus_message_append(m, "u", action);
        if (r < 0)
                return bus_client_report_reply(r);
        what = xasprintf("change the undo action of %s", ref.name);
        code = bus_client_call_dialog(s, m, what, NULL);
        if (code != EXIT_CODE_OK)
                return code;
        text = xasprintf("When %s goes off, its undo disks: %s", ref.name, actions[action]);
        control_print_done(s, verb, text, "machine", ref.name, ref.path);
        return EXIT_CODE_OK;
}
