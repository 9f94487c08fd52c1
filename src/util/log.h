/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Log lines with fields, to the journal when stderr leads there, to stderr otherwise. Any thread.
 */

#include <glib.h>
#include <syslog.h>

/* What a line is about; a field that is NULL or 0 is left out. In the journal they become
 * VIRTASK_ID=, VIRTASK_OPERATION=, VIRTASK_VM=, VIRTASK_RESULT= and MESSAGE_ID=. */
typedef struct LogFields {
        unsigned task;
        const char *operation;
        const char *machine;
        const char *result;
        const char *message_id;
} LogFields;

/* Lines below "priority" (LOG_DEBUG is the lowest) are dropped; LOG_INFO at start. */
void log_set_max_priority(int priority);

void log_line(int priority, const LogFields *fields, const char *format, ...) G_GNUC_PRINTF(3, 4);

#define log_error(...)   log_line(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, NULL, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, NULL, __VA_ARGS__)
