/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the commands that change something have in common. */

#include "bus-client.h"

/* Appends the flags of the command line ("--paused") to a call: as entries of an a{sv} that is
 * open, or as the a{sv}. */
int control_append_flags(sd_bus_message *m, const Options *options);
int control_append_options(sd_bus_message *m, const Options *options);

/* Appends the settings of a snapshot that is to be taken. @name may be NULL. Says what is wrong. */
ExitCode control_append_settings(sd_bus_message *m, const Options *options, const char *name);

/* Reports a command that is done at once: @text for people; for programs the @name of the @kind of
 * object ("machine") and the object at @path that was changed. */
void control_print_done(Session *s,
                const char *verb,
                const char *text,
                const char *kind,
                const char *name,
                const char *path);

typedef struct ControlTarget {
        const char *path;
        const char *interface;
        const char *what; /* for messages: "snapshot base of alpine" */
        const char *kind; /* for programs, as above: "machine", "alpine" */
        const char *name;
} ControlTarget;

/* Gives @target another name and reports it. */
ExitCode control_rename(
                Session *s, const char *verb, const ControlTarget *target, const char *new_name);
