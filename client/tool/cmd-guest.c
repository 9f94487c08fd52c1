/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* shutdown, reboot, logoff: what is asked of the system in a machine. Each is a task, and Ctrl-C
 * cancels it; the guest may have been asked before. */

#include <string.h>

#include "agent.h"
#include "bus-client.h"
#include "machine-ref.h"
#include "verbs.h"
#include "wait-task.h"

static const struct GuestRow {
        const char *verb;
        const char *method;
        bool forced; /* takes that argument */
} rows[] = {
                {"shutdown", "Shutdown", true},
                {"reboot", "Restart", true},
                {"logoff", "Logoff", false},
};

static const struct GuestRow *find_row(const char *verb) {
        size_t i = 0;

        while (i + 1 < ELEMENTS(rows) && strcmp(rows[i].verb, verb) != 0)
                i++;
        return rows + i;
}

static int append_arguments(sd_bus_message *m, const struct GuestRow *row, const Options *options) {
        int r = row->forced ? sd_bus_message_append(m, "b", options_has(options, OPTION_FORCE)) : 0;

        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0 && options_has(options, OPTION_QUEUE))
                r = sd_bus_message_append(m, "{sv}", "Queue", "b", 1);
        if (r >= 0 && options_has(options, OPTION_WITHIN))
                r = sd_bus_message_append(m, "{sv}", "TimeoutUSec", "t", options->within_usec);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static ExitCode add_call(
                TaskWait *w, Session *s, const struct GuestRow *row, const ObjectRef *ref) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, ref->path, GUEST_INTERFACE, row->method);
        _cleanup_free_ char *what = xasprintf("%s %s", row->verb, ref->name);
        int r = append_arguments(m, row, &s->options);

        if (r < 0)
                return bus_client_report_reply(r);
        task_wait_add_call(w, m, what, ref->name);
        return EXIT_CODE_OK;
}

ExitCode cmd_guest(Session *s, const char *verb, char **arguments) {
        TaskWaitMode mode = {.cancel_on_interrupt = true};
        _cleanup_(object_refs_clear) ObjectRefs refs = {0};
        _cleanup_(task_wait_freep) TaskWait *w = NULL;
        ExitCode worst = object_refs_resolve(&refs, s, arguments, machine_ref_resolve);

        if (worst != EXIT_CODE_OK)
                return worst;
        agent_open(s);
        w = task_wait_new(s, &mode);
        if (!w)
                return EXIT_CODE_FAILED;
        for (size_t i = 0; i < refs.count; i++)
                worst = exit_code_worst(worst, add_call(w, s, find_row(verb), refs.items + i));
        return exit_code_worst(worst, task_wait_run(w));
}
