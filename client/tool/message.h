/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines for people: errors and notes on standard error, results on standard output. The whole line
 * is escaped, so names from the bus can be formatted in as they are. */

#include "common.h"

void message_error(const char *format, ...) _printf_(1, 2);  /* "virtask: ..." */
void message_note(const char *format, ...) _printf_(1, 2);   /* as it is, on standard error */
void message_result(const char *format, ...) _printf_(1, 2); /* as it is, on standard output */

/* A line of the description of an object; nothing without a value. */
void message_field(const char *label, const char *value);
