/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the commands that change something have in common. */

#include "bus-client.h"

/* Appends the flags of the command line ("--paused") to a call: as entries of an a{sv} that is
 * open, or as the a{sv}. */
int control_append_flags(sd_bus_message *m, const Options *options);
int control_append_options(sd_bus_message *m, const Options *options);

/* Reports a command that is done at once: @text for people; for programs @machine (its name) and
 * the object at @path that was changed. */
void control_print_done(Session *s,
                const char *verb,
                const char *text,
                const char *machine,
                const char *path);
