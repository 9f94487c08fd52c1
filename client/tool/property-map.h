/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Properties of an interface to fields of a structure, driven by a table. */

#include <systemd/sd-bus.h>

#include "common.h"

/* Types: s and o are owned char *, a a PathList (ao), u and q uint32_t, t uint64_t, b bool. */
typedef struct PropertyRow {
        const char *name;
        char type;
        size_t offset;
} PropertyRow;

/* Reads the a{sv} that is next in @m. Names that the table does not have and values of another type
 * are passed over: a newer service may have more. */
int property_map_read(sd_bus_message *m, const PropertyRow *rows, size_t count, void *object);

/* Frees the strings. */
void property_map_clear(const PropertyRow *rows, size_t count, void *object);
