/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The options that the methods of the service take are named by a table; which of them a command
 * takes stands in verbs.c. */

#include "control.h"
#include "json.h"
#include "message.h"

/* clang-format off */
static const struct {
        CommandOption option;
        const char *key;
} flags[] = {
        {OPTION_PAUSED,         "Paused"},
        {OPTION_FORCE_BOOT,     "ForceBoot"},
        {OPTION_BYPASS_CACHE,   "Bypass"},
        {OPTION_FORCE,          "Force"},
        {OPTION_QUEUE,          "Queue"},
        {OPTION_IGNORE_DISKS,   "IgnoreNonSnapshottableDisks"},
        {OPTION_NEW_IDENTIFIER, "GenerateNewSystemIdentifier"},
        {OPTION_VALIDATE,       "ValidateOnly"},
};
/* clang-format on */

int control_append_flags(sd_bus_message *m, const Options *options) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTS(flags); i++)
                if (options_has(options, flags[i].option))
                        r = sd_bus_message_append(m, "{sv}", flags[i].key, "b", 1);
        return r;
}

int control_append_options(sd_bus_message *m, const Options *options) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = control_append_flags(m, options);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_settings(sd_bus_message *m, const Options *options, const char *name) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = control_append_flags(m, options);
        if (r >= 0 && options_has(options, OPTION_QUIESCE))
                r = sd_bus_message_append(
                                m, "{sv}", "ConsistencyLevel", "q", CONSISTENCY_APPLICATION);
        if (r >= 0 && name)
                r = sd_bus_message_append(m, "{sv}", "ElementName", "s", name);
        if (r >= 0 && options->notes)
                r = sd_bus_message_append(m, "{sv}", "Notes", "s", options->notes);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

ExitCode control_append_settings(sd_bus_message *m, const Options *options, const char *name) {
        if (append_settings(m, options, name) >= 0)
                return EXIT_CODE_OK;
        message_error("the name or the notes are not UTF-8");
        return EXIT_CODE_FAILED;
}

void control_print_done(Session *s,
                const char *verb,
                const char *text,
                const char *kind,
                const char *name,
                const char *path) {
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};

        if (s->options.json == JSON_MODE_OFF) {
                if (!s->options.quiet)
                        message_result("%s", text);
                return;
        }
        json_begin(&json, NULL, '{');
        json_string(&json, "command", verb);
        json_string(&json, kind, name);
        json_string(&json, "state", "done");
        json_string(&json, "path", path);
        json_end(&json, '}');
        json_flush(&json);
}

ExitCode control_rename(
                Session *s, const char *verb, const ControlTarget *target, const char *new_name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, target->path, target->interface, "Rename");
        _cleanup_free_ char *what = xasprintf("rename %s", target->what);
        _cleanup_free_ char *text = xasprintf("Renamed %s to %s", target->what, new_name);
        ExitCode code;

        if (sd_bus_message_append(m, "s", new_name) < 0) {
                message_error("the new name is not UTF-8");
                return EXIT_CODE_FAILED;
        }
        code = bus_client_call_dialog(s, m, what, NULL);
        if (code == EXIT_CODE_OK)
                control_print_done(s, verb, text, target->kind, target->name, target->path);
        return code;
}
