/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration file: limits of the service, and directories that are its own. See virtaskd(8).
 */

#include <glib.h>
#include <stdbool.h>

typedef struct Config {
        unsigned tasks_per_user;
        unsigned tasks_root;
        unsigned blocking_calls;
        unsigned disk_tasks;
        unsigned dialogs_per_user;
        unsigned dialogs;
        unsigned waiters_per_task;
        unsigned finished_tasks;
        unsigned task_retention_sec;
        unsigned progress_signals_per_second;
        unsigned string_bytes;
        char **image_directories; /* NULL: none */
} Config;

/* The defaults, changed by the file "path" if there is one (NULL: only the defaults). An unknown
 * key and a value out of range are INVALID_ARGUMENT, and the text names them. */
bool config_read(Config *config, const char *path, GError **error);
void config_clear(Config *config);
