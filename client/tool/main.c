/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtask, the command line tool of the service org.virtask1. main() parses the options, finds the
 * command in the table of verbs.c, opens the bus and runs it. All state of a run is in one Session.
 * The tool needs libsystemd and the C library only, so that it works wherever the service does,
 * also through ssh (-H). */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "bus-client.h"
#include "message.h"
#include "pager.h"
#include "text.h"
#include "verbs.h"

static ExitCode check_arguments(const Options *options, const Verb *verb, int count) {
        unsigned foreign = options->command_options & ~verb->options;

        if (foreign) {
                message_error("\"%s\" does not take --%s", verb->name,
                                options_command_name(foreign & -foreign));
                return EXIT_CODE_USAGE;
        }
        if (count < verb->min_arguments ||
                        (verb->max_arguments >= 0 && count > verb->max_arguments)) {
                message_error("usage: virtask %s %s", verb->name, verb->synopsis);
                return EXIT_CODE_USAGE;
        }
        return EXIT_CODE_OK;
}

static ExitCode run_verb(Session *s, const Verb *verb, int count, char **arguments) {
        ExitCode code = check_arguments(&s->options, verb, count);

        if (code == EXIT_CODE_OK && verb->needs_bus)
                code = bus_client_connect(s);
        if (code == EXIT_CODE_OK)
                code = verb->run(s, verb->name, arguments);
        pager_close();
        agent_close(s);
        sd_bus_flush_close_unref(s->bus);
        return code;
}

static ExitCode run(Session *s, int argc, char *argv[]) {
        const Verb *verb;
        ExitCode code;
        int first = 0;

        if (argc > 1 && strcmp(argv[1], "__complete") == 0)
                return cmd_complete(s, argc - 2, argv + 2);
        code = options_parse(&s->options, argc, argv, &first);
        if (code != EXIT_CODE_OK) {
                message_note("Try \"virtask --help\".");
                return code;
        }
        if (s->options.version)
                return cmd_version(s, NULL, NULL);
        verb = verb_find(s->options.help ? "help" : first < argc ? argv[first] : "list");
        if (!verb) {
                message_error("unknown command \"%s\"; try \"virtask --help\"", argv[first]);
                return EXIT_CODE_USAGE;
        }
        first += first < argc;
        if (s->options.help) {
                first = argc;
                s->options.command_options = 0;
        }
        return run_verb(s, verb, argc - first, argv + first);
}

int main(int argc, char *argv[]) {
        char name[] = "virtask";
        Session s = {0};
        ExitCode code;

        if (argc < 1)
                return EXIT_CODE_USAGE;
        argv[0] = name; /* getopt begins its messages with it */
        text_init();
        code = run(&s, argc, argv);
        /* A full disk behind standard output must not look like success. */
        if (fflush(stdout) != 0 || ferror(stdout)) {
                message_error("cannot write the output: %s", strerror(errno));
                code = exit_code_worst(code, EXIT_CODE_FAILED);
        }
        options_clear(&s.options);
        return (int) code;
}
