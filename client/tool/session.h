/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One run of the tool: the options, and what the commands share. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "options.h"

typedef struct Agent Agent;

typedef struct Session {
        Options options;
        sd_bus *bus;
        Agent *agent; /* the polkit agent on this terminal, while one runs */
} Session;
