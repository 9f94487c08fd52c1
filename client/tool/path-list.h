/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Object paths. Zero-initialised is empty. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "common.h"

typedef struct PathList {
        char **paths;
        size_t count;
} PathList;

void path_list_clear(PathList *list);
void path_list_add(PathList *list, char *path); /* @path becomes the list's */
bool path_list_contains(const PathList *list, const char *path);

/* Adds those of the ao that is next in @m. */
int path_list_read(PathList *list, sd_bus_message *m);
