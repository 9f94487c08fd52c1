/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls to the service. What fails is told to the user here; the exit code is returned. */

#include "common.h"
#include "session.h"

/* Opens the bus that the options name. */
ExitCode bus_client_connect(Session *s);

/* Time for a call that may ask a person for a password. */
#define BUS_CLIENT_DIALOG_USEC (5 * 60 * USEC_PER_SEC)

/* A call of @interface.@member, for which the caller appends arguments. Does not fail. */
sd_bus_message *bus_client_new_call(
                Session *s, const char *path, const char *interface, const char *member);

/* Sends @m and waits. On failure prints "cannot <what>: <why>", @what as in "save alpine".
 * @ret_reply may be NULL. */
ExitCode bus_client_call(
                Session *s, sd_bus_message *m, const char *what, sd_bus_message **ret_reply);

/* The same for a call that may ask for a password: starts the agent and has the patience. */
ExitCode bus_client_call_dialog(
                Session *s, sd_bus_message *m, const char *what, sd_bus_message **ret_reply);

/* The same without a message; @error is filled. @usec 0 is the usual timeout. */
int bus_client_try(Session *s,
                sd_bus_message *m,
                uint64_t usec,
                sd_bus_error *error,
                sd_bus_message **ret_reply);

/* Prints why a call failed, and returns the exit code. */
ExitCode bus_client_report(const char *what, const sd_bus_error *error);

/* Whether the error means that nobody answered. */
bool bus_client_is_gone(const sd_bus_error *error);

/* A reply that does not have the type of the contract. */
ExitCode bus_client_report_reply(int r);

/* A string property, NULL if it can not be read. Quiet, and quick to give up. */
char *bus_client_read_string(
                Session *s, const char *path, const char *interface, const char *property);
