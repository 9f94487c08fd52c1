/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects that are at hand, in messages of the object manager. Loop. */

#include <systemd/sd-bus.h>

/* An array of these ends with a NULL name. */
typedef struct BusInterface {
        const char *name;
        const sd_bus_vtable *vtable; /* of an object, not with absolute offsets */
} BusInterface;

/* Appends the path, and all interfaces with all properties, as in {oa{sa{sv}}}. "object" is what
 * the getters and offsets of the vtables are for. */
int bus_append_object(sd_bus_message *message,
                const char *path,
                const BusInterface *interfaces,
                void *object);

/* The signal InterfacesAdded of the object manager at "root". */
int bus_emit_added(sd_bus *bus,
                const char *root,
                const char *path,
                const BusInterface *interfaces,
                void *object);
