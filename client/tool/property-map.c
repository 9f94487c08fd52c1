/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GetAll, PropertiesChanged, InterfacesAdded and GetManagedObjects all carry a{sv}. This reads one
 * into a plain structure by a table of names and offsets, so that task-info.c and machine-info.c
 * are tables and not parsers. */

#include <stdbool.h>
#include <string.h>

#include "path-list.h"
#include "property-map.h"

static const PropertyRow *find_row(const PropertyRow *rows, size_t count, const char *name) {
        for (size_t i = 0; i < count; i++)
                if (strcmp(rows[i].name, name) == 0)
                        return rows + i;
        return NULL;
}

static int read_basic(sd_bus_message *m, char type, void *field) {
        union {
                const char *string;
                int boolean;
                uint16_t uint16;
                uint32_t uint32;
                uint64_t uint64;
        } value = {0};
        int r = sd_bus_message_read_basic(m, type, &value);

        if (r < 0)
                return r;
        switch (type) {
        case 's':
        case 'o':
                string_replace(field, value.string);
                break;
        case 'b':
                *(bool *) field = value.boolean != 0;
                break;
        case 'q':
                *(uint32_t *) field = value.uint16;
                break;
        case 'u':
                *(uint32_t *) field = value.uint32;
                break;
        default:
                *(uint64_t *) field = value.uint64;
        }
        return 0;
}

static int read_paths(sd_bus_message *m, PathList *list) {
        path_list_clear(list);
        return path_list_read(list, m);
}

static int read_value(sd_bus_message *m, const PropertyRow *row, void *object) {
        const char basic[] = {row->type, '\0'};
        const char *signature = row->type == 'a' ? "ao" : basic, *contents = NULL;
        void *field = (char *) object + row->offset;
        int r = sd_bus_message_peek_type(m, NULL, &contents);

        if (r < 0)
                return r;
        if (!contents || strcmp(contents, signature) != 0)
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, signature);
        if (r >= 0)
                r = row->type == 'a' ? read_paths(m, field) : read_basic(m, row->type, field);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int property_map_read(sd_bus_message *m, const PropertyRow *rows, size_t count, void *object) {
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                const PropertyRow *row;
                const char *name = NULL;

                r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &name);
                if (r < 0)
                        return r;
                row = find_row(rows, count, name);
                r = row ? read_value(m, row, object) : sd_bus_message_skip(m, "v");
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

void property_map_clear(const PropertyRow *rows, size_t count, void *object) {
        for (size_t i = 0; i < count; i++) {
                void *field = (char *) object + rows[i].offset;

                if (rows[i].type == 's' || rows[i].type == 'o')
                        string_replace(field, NULL);
                else if (rows[i].type == 'a')
                        path_list_clear(field);
        }
}
