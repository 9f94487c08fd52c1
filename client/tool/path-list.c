/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Object paths, as properties and arguments hold them. */

#include <string.h>

#include "path-list.h"

void path_list_clear(PathList *list) {
        for (size_t i = 0; i < list->count; i++)
                free(list->paths[i]);
        free(list->paths);
        *list = (PathList){0};
}

void path_list_add(PathList *list, char *path) {
        list->paths = array_grow(list->paths, list->count, sizeof(*list->paths));
        list->paths[list->count++] = path;
}

bool path_list_contains(const PathList *list, const char *path) {
        for (size_t i = 0; i < list->count; i++)
                if (strcmp(list->paths[i], path) == 0)
                        return true;
        return false;
}

int path_list_read(PathList *list, sd_bus_message *m) {
        const char *path = NULL;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "o");

        while (r >= 0 && (r = sd_bus_message_read_basic(m, SD_BUS_TYPE_OBJECT_PATH, &path)) > 0)
                path_list_add(list, xstrdup(path));
        return r < 0 ? r : sd_bus_message_exit_container(m);
}
