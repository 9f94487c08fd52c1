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
        {OPTION_PAUSED,       "Paused"},
        {OPTION_FORCE_BOOT,   "ForceBoot"},
        {OPTION_BYPASS_CACHE, "Bypass"},
        {OPTION_FORCE,        "Force"},
        {OPTION_QUEUE,        "Queue"},
        {OPTION_IGNORE_DISKS, "IgnoreNonSnapshottableDisks"},
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

void control_print_done(Session *s,
                const char *verb,
                const char *text,
                const char *machine,
                const char *path) {
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};

        if (s->options.json == JSON_MODE_OFF) {
                if (!s->options.quiet)
                        message_result("%s", text);
                return;
        }
        json_begin(&json, NULL, '{');
        json_string(&json, "command", verb);
        json_string(&json, "machine", machine);
        json_string(&json, "state", "done");
        json_string(&json, "path", path);
        json_end(&json, '}');
        json_flush(&json);
}
