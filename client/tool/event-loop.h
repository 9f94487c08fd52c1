/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The event loop of a command that waits. */

#include "session.h"

/* A loop with the bus attached. Prints what fails and returns NULL. */
sd_event *event_loop_new(Session *s);

/* Blocks @signal and delivers it through the loop, unless it was ignored when we were started
 * (nohup, a script's background job): then it stays ignored. */
int event_loop_add_signal(
                sd_event *event, int signal, sd_event_signal_handler_t handler, void *userdata);

/* Runs until sd_event_exit(). */
ExitCode event_loop_run(sd_event *event);
