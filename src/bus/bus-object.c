/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* sd-bus can do this too, but finds each object in its tree anew, and for each interface again, and
 * lists the interfaces that every object has. Here the object is at hand: the signal, which every
 * call that starts a task waits for, and the listing of thousands cost half as much. */

#include "bus/bus-object.h"

#include <stdint.h>

typedef struct Object {
        sd_bus *bus;
        const char *path;
        void *data;
} Object;

/* What a vtable without getter means: the value lies in the object. */
static int append_field(sd_bus_message *message, const Object *object, const sd_bus_vtable *row) {
        const char type = *row->x.property.signature;
        const void *field = (const uint8_t *) object->data + row->x.property.offset;

        if (type == 's' || type == 'o')
                field = *(char *const *) field;
        return sd_bus_message_append_basic(message, type, field);
}

static int append_property(sd_bus_message *message,
                const Object *object,
                const char *interface,
                const sd_bus_vtable *row) {
        const char *name = row->x.property.member;
        int r = sd_bus_message_open_container(message, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(message, 's', name);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'v', row->x.property.signature);
        if (r >= 0)
                r = row->x.property.get ? row->x.property.get(object->bus, object->path, interface,
                                                          name, message, object->data, NULL)
                                        : append_field(message, object, row);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_interface(
                sd_bus_message *message, const Object *object, const BusInterface *interface) {
        int r = sd_bus_message_open_container(message, 'e', "sa{sv}");

        if (r >= 0)
                r = sd_bus_message_append_basic(message, 's', interface->name);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (const sd_bus_vtable *row = interface->vtable;
                        r >= 0 && row->type != _SD_BUS_VTABLE_END; row++)
                if (row->type == _SD_BUS_VTABLE_PROPERTY &&
                                !(row->flags & SD_BUS_VTABLE_PROPERTY_EXPLICIT))
                        r = append_property(message, object, interface->name, row);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int bus_append_object(sd_bus_message *message,
                const char *path,
                const BusInterface *interfaces,
                void *object) {
        const Object at_hand = {sd_bus_message_get_bus(message), path, object};
        int r = sd_bus_message_append_basic(message, 'o', path);

        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "{sa{sv}}");
        for (const BusInterface *interface = interfaces; r >= 0 && interface->name; interface++)
                r = append_interface(message, &at_hand, interface);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int bus_emit_added(sd_bus *bus,
                const char *root,
                const char *path,
                const BusInterface *interfaces,
                void *object) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *message = NULL;
        int r = sd_bus_message_new_signal(bus, &message, root, "org.freedesktop.DBus.ObjectManager",
                        "InterfacesAdded");

        if (r >= 0)
                r = bus_append_object(message, path, interfaces, object);
        return r < 0 ? r : sd_bus_send(NULL, message, NULL);
}
