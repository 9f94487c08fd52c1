/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Getters of properties, and short names for the flags of vtable rows, for the files that put an
 * object on the bus. */

#include <systemd/sd-bus.h>

#define CONST        SD_BUS_VTABLE_PROPERTY_CONST
#define EMITS        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define INVALIDATES  SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION
#define EXPLICIT     SD_BUS_VTABLE_PROPERTY_EXPLICIT
#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

/* The head of property_get_NAME(). */
#define GETTER(name)                                                                               \
        static int property_get_##name(sd_bus *bus, const char *path, const char *interface,       \
                        const char *property, sd_bus_message *reply, void *userdata,               \
                        sd_bus_error *ret_error)

/* A property that is one expression of the object, which "object" declares ("const Task *task").
 * The plain way to append it, because a listing asks for thousands. */
#define TEXT_GETTER_OF(object, name, type, expression)                                             \
        GETTER(name) {                                                                             \
                object = userdata;                                                                 \
                return sd_bus_message_append_basic(reply, type, expression);                       \
        }

#define NUMBER_GETTER_OF(object, name, type, c_type, expression)                                   \
        GETTER(name) {                                                                             \
                object = userdata;                                                                 \
                const c_type value = (c_type) (expression);                                        \
                return sd_bus_message_append_basic(reply, type, &value);                           \
        }
