/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* help and version. The list of commands is made of the command table; the options that all
 * commands share stand here in words. */

#include <stdio.h>

#include "common.h"
#include "message.h"
#include "pager.h"
#include "verbs.h"

static const char help_options[] =
                "Waiting\n"
                "      --no-wait               Print the number of the task and return "
                "(--no-block)\n"
                "      --timeout=SECS          Stop waiting after SECS with exit code 4; the task "
                "goes on\n"
                "      --detach-on-interrupt   Ctrl-C leaves the task running "
                "(VIRTASK_INTERRUPT=detach)\n"
                "      --progress=KIND         auto, bar, plain or none\n"
                "      --queue                 Wait until the machine is free instead of failing\n"
                "\n"
                "Output\n"
                "  -j, --json[=short|pretty]   JSON for programs; nothing is asked\n"
                "      --no-pager  --no-legend\n"
                "  -l, --full                  Do not cut long columns\n"
                "      --color=WHEN            auto, always or never\n"
                "  -q, --quiet                 Only errors; with --no-wait only the number\n"
                "\n"
                "Service\n"
                "      --system  --user        Bus to use (system)\n"
                "      --address=ADDRESS       Bus at a D-Bus address\n"
                "  -H, --host=[USER@]HOST      System bus of another host, through ssh\n"
                "      --no-ask-password       Do not ask for authorization\n"
                "  -h, --help  --version\n"
                "\n"
                "VM is a name, a UUID, the unique beginning of one, or an object path, COLLECTION "
                "too; SNAPSHOT\n"
                "is an ID or a name, of a collection a name, COLLECTION/NAME or a UUID; ID is a "
                "number.\n"
                "While a command waits, Ctrl-C cancels the task, a second Ctrl-C leaves without "
                "waiting.\n"
                "See virtask(1).\n";

static ExitCode help_verb(const char *name) {
        const Verb *verb = verb_find(name);

        if (!verb) {
                message_error("unknown command \"%s\"", name);
                return EXIT_CODE_USAGE;
        }
        (void) printf("virtask %s %s\n  %s\n", verb->name, verb->synopsis, verb->help);
        for (unsigned option = 1; option != 0 && option <= verb->options; option <<= 1)
                if (verb->options & option)
                        (void) printf("  --%s\n", options_command_name(option));
        return EXIT_CODE_OK;
}

ExitCode cmd_help(Session *s, const char *verb, char **arguments) {
        if (arguments && arguments[0])
                return help_verb(arguments[0]);
        pager_open(&s->options);
        (void) fputs("virtask [OPTIONS] COMMAND ...\n", stdout);
        for (const Verb *v = verbs; v->name; v++) {
                _cleanup_free_ char *usage = xasprintf("%s %s", v->name, v->synopsis);

                if (v->section)
                        (void) printf("\n%s\n", v->section);
                (void) printf("  %-43s %s\n", usage, v->help);
        }
        (void) printf("\n%s", help_options);
        return EXIT_CODE_OK;
}

ExitCode cmd_version(Session *s, const char *verb, char **arguments) {
        (void) printf("virtask %s\n", VIRTASK_VERSION);
        return EXIT_CODE_OK;
}
