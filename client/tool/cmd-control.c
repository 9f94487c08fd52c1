/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Everything that changes a machine. Commands that start a task hand their calls to wait-task.c;
 * those that are done at once call and print. Which method a command means is one row of a table.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "control.h"
#include "machine-ref.h"
#include "message.h"
#include "verbs.h"
#include "wait-task.h"

/* The service takes strings of 64 KiB; more is read only to be refused by it and not by us. */
#define DEFINITION_MAX (1024UL * 1024)

/* clang-format off */
static const struct ControlRow {
        const char *verb;
        const char *method;
        const char *past; /* NULL: the word of the operation */
} rows[] = {
        {"start",      "Startup",           NULL},
        {"save",       "Save",              NULL},
        {"restore",    "Startup",           "Restored"},
        {"poweroff",   "TurnOff",           NULL},
        {"reset",      "Reset",             NULL},
        {"delete",     "Delete",            NULL},
        {"suspend",    "Pause",             "Suspended"},
        {"resume",     "Resume",            "Resumed"},
        {"discard",    "DiscardSavedState", "Discarded the saved state of"},
        {"merge-undo", "MergeUndoDisks",    "Merged the undo disks of"},
        {"discard-undo", "DiscardUndoDisks", "Discarded what was in the undo disks of"},
        {"unregister", "Unregister",        "Unregistered"},
};
/* clang-format on */

static const struct ControlRow *find_row(const char *verb) {
        size_t i = 0;

        while (i + 1 < ELEMENTS(rows) && strcmp(rows[i].verb, verb) != 0)
                i++;
        return rows + i;
}

/* A start without a saved state is a boot, which is not what "restore" means. */
static ExitCode check_saved_state(Session *s, const ObjectRef *ref) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, ref->path, PROPERTIES_INTERFACE, "Get");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int saved = 0;
        ExitCode code;
        int r = sd_bus_message_append(m, "ss", MACHINE_INTERFACE, "HasSavedState");

        if (r < 0)
                return bus_client_report_reply(r);
        code = bus_client_call(s, m, "read the state", &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_read(reply, "v", "b", &saved);
        if (r < 0)
                return bus_client_report_reply(r);
        if (saved)
                return EXIT_CODE_OK;
        message_error("cannot restore %s: it has no saved state", ref->name);
        return EXIT_CODE_STATE;
}

static ExitCode add_call(
                TaskWait *w, Session *s, const struct ControlRow *row, const ObjectRef *ref) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, ref->path, MACHINE_INTERFACE, row->method);
        _cleanup_free_ char *what = xasprintf("%s %s", row->verb, ref->name);
        int r = control_append_options(m, &s->options);

        if (r < 0)
                return bus_client_report_reply(r);
        task_wait_add_call(w, m, what, ref->name);
        return EXIT_CODE_OK;
}

static ExitCode run_tasks(Session *s, const struct ControlRow *row, const ObjectRefs *refs) {
        TaskWaitMode mode = {.cancel_on_interrupt = true, .report.past = row->past};
        _cleanup_(task_wait_freep) TaskWait *w = NULL;
        ExitCode worst = EXIT_CODE_OK;

        agent_open(s);
        w = task_wait_new(s, &mode);
        if (!w)
                return EXIT_CODE_FAILED;
        for (size_t i = 0; i < refs->count; i++) {
                const ObjectRef *ref = refs->items + i;
                ExitCode code = EXIT_CODE_OK;

                if (strcmp(row->verb, "restore") == 0)
                        code = check_saved_state(s, ref);
                if (code == EXIT_CODE_OK)
                        code = add_call(w, s, row, ref);
                worst = exit_code_worst(worst, code);
        }
        return exit_code_worst(worst, task_wait_run(w));
}

ExitCode cmd_control_task(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_refs_clear) ObjectRefs refs = {0};
        ExitCode code = object_refs_resolve(&refs, s, arguments, machine_ref_resolve);

        return code == EXIT_CODE_OK ? run_tasks(s, find_row(verb), &refs) : code;
}

static void print_done(Session *s, const struct ControlRow *row, const ObjectRef *ref) {
        _cleanup_free_ char *text = xasprintf("%s %s", row->past, ref->name);

        control_print_done(s, row->verb, text, "machine", ref->name, ref->path);
}

static ExitCode call_now(Session *s, const struct ControlRow *row, const ObjectRef *ref) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, ref->path, MACHINE_INTERFACE, row->method);
        _cleanup_free_ char *what = xasprintf("%s %s", row->verb, ref->name);
        ExitCode code = bus_client_call_dialog(s, m, what, NULL);

        if (code == EXIT_CODE_OK)
                print_done(s, row, ref);
        return code;
}

ExitCode cmd_control_now(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_refs_clear) ObjectRefs refs = {0};
        ExitCode worst = object_refs_resolve(&refs, s, arguments, machine_ref_resolve);

        for (size_t i = 0; i < refs.count && worst != EXIT_CODE_UNREACHABLE; i++)
                worst = exit_code_worst(worst, call_now(s, find_row(verb), refs.items + i));
        return worst;
}

static void file_closep(FILE **file) {
        if (*file)
                (void) fclose(*file);
}

static ExitCode read_definition(Buffer *b, const char *name) {
        bool is_stdin = strcmp(name, "-") == 0;
        _cleanup_(file_closep) FILE *opened = is_stdin ? NULL : fopen(name, "re");
        FILE *file = is_stdin ? stdin : opened;
        char block[4096];
        size_t n;

        while (file && b->length <= DEFINITION_MAX &&
                        (n = fread(block, 1, sizeof(block), file)) > 0)
                buffer_add_bytes(b, block, n);
        if (!file || ferror(file)) {
                message_error("cannot read %s: %s", name, strerror(errno));
                return EXIT_CODE_FAILED;
        }
        if (b->length > DEFINITION_MAX || strlen(buffer_text(b)) != b->length) {
                message_error("%s is no definition of a machine", name);
                return EXIT_CODE_FAILED;
        }
        return EXIT_CODE_OK;
}

static ExitCode report_registered(Session *s, sd_bus_message *reply) {
        static const struct ControlRow row = {"register", "RegisterVirtualMachine", "Registered"};
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        const char *path = NULL;
        int r = sd_bus_message_read(reply, "o", &path);

        if (r < 0)
                return bus_client_report_reply(r);
        ref.path = xstrdup(path);
        ref.name = bus_client_read_string(s, path, MACHINE_INTERFACE, "Name");
        if (!ref.name)
                ref.name = xstrdup(path);
        print_done(s, &row, &ref);
        return EXIT_CODE_OK;
}

ExitCode cmd_register(Session *s, const char *verb, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_buffer_ Buffer definition = {0};
        _cleanup_free_ char *what = xasprintf("register %s", arguments[0]);
        ExitCode code = read_definition(&definition, arguments[0]);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        m = bus_client_new_call(s, MANAGER_PATH, MANAGER_INTERFACE, "RegisterVirtualMachine");
        r = sd_bus_message_append(m, "s", buffer_text(&definition));
        if (r < 0) {
                message_error("%s is not UTF-8", arguments[0]);
                return EXIT_CODE_FAILED;
        }
        r = control_append_options(m, &s->options);
        if (r < 0)
                return bus_client_report_reply(r);
        code = bus_client_call_dialog(s, m, what, &reply);
        return code == EXIT_CODE_OK ? report_registered(s, reply) : code;
}
