/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the unit tests share. Nothing here sleeps: whoever waits turns the loop until a condition
 * holds, and fails after a deadline. */

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "util/error.h"

/* Adds the function as "/MODULE/function". */
#define ADD(test) g_test_add_func("/" MODULE "/" #test, test)

/* Generous, because sanitizers and the machines of others are slow; nothing waits so long unless it
 * fails. */
#define DEADLINE_USEC (20 * G_USEC_PER_SEC)

#define auto_bus     __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *
#define auto_message __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *
#define auto_event   __attribute__((cleanup(sd_event_unrefp))) sd_event *

/* A temporary directory that is gone at the end of the scope. */
#define auto_directory __attribute__((cleanup(test_directory_clear))) char *
char *test_directory_new(void);
void test_directory_clear(char **path);

/* Writes and reads a file of a directory. */
void test_write(const char *directory, const char *name, const char *text);
char *test_read(const char *directory, const char *name);

/* Turns the loop until the condition holds. */
#define drive_until(event, condition)                                                              \
        do {                                                                                       \
                gint64 end_ = g_get_monotonic_time() + DEADLINE_USEC;                              \
                while (!(condition))                                                               \
                        test_turn(event, end_, #condition);                                        \
        } while (0)
void test_turn(sd_event *event, gint64 end, const char *condition);

/* Turns the loop until nothing is left to do at once. */
void test_drain(sd_event *event);

/* A connection to the private bus of this program, attached to the loop if there is one. The bus is
 * started with the first connection and ends with the program. */
sd_bus *test_bus_open(sd_event *event);

/* The same as another user than the one of this process; NULL if only root could do that and we are
 * not root. */
sd_bus *test_bus_open_as_nobody(sd_event *event);

/* Has "from" call a method of "to", and gives the call as it arrived there. The reply, if there is
 * one, goes to "on_reply" (may be NULL). */
sd_bus_message *test_call(sd_event *event,
                sd_bus *from,
                sd_bus *to,
                sd_bus_message_handler_t on_reply,
                void *userdata);

/* A message as it would have arrived, with these arguments, at its beginning. */
sd_bus_message *test_message(sd_bus *bus, const char *types, ...);

/* Seals what was appended, so that it can be read. */
sd_bus_message *test_seal(sd_bus_message *message);

#define assert_error(error, code)                                                                  \
        do {                                                                                       \
                g_assert_error(error, VIRTASK_ERROR, VIRTASK_ERROR_##code);                        \
                g_clear_error(&(error));                                                           \
        } while (0)
