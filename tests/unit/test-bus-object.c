/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "bus-object"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus-object.h"
#include "support.h"

#define ROOT "/test"
#define PATH "/test/object"

typedef struct Values {
        uint32_t number;
        const char *text;
        const char *path;
        uint64_t big;
} Values;

static int get_flag(sd_bus *bus,
                const char *path,
                const char *interface,
                const char *property,
                sd_bus_message *reply,
                void *userdata,
                sd_bus_error *ret_error) {
        const int flag = ((const Values *) userdata)->number == 7 && g_str_equal(path, PATH) &&
                         g_str_equal(interface, "test.Second") && g_str_equal(property, "Flag");

        return sd_bus_message_append_basic(reply, 'b', &flag);
}

/* clang-format off */
static const sd_bus_vtable first_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Method", NULL, NULL, NULL, 0),
        SD_BUS_PROPERTY("Number", "u", NULL, offsetof(Values, number), 0),
        SD_BUS_PROPERTY("Text", "s", NULL, offsetof(Values, text), 0),
        SD_BUS_SIGNAL("Signal", NULL, 0),
        SD_BUS_VTABLE_END
};
static const sd_bus_vtable second_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Path", "o", NULL, offsetof(Values, path), 0),
        SD_BUS_PROPERTY("Flag", "b", get_flag, 0, 0),
        SD_BUS_PROPERTY("Big", "t", NULL, offsetof(Values, big), 0),
        SD_BUS_VTABLE_END
};
/* clang-format on */

static const BusInterface interfaces[] = {
                {"test.First", first_vtable},
                {"test.Second", second_vtable},
                {NULL, NULL},
};

static Values values = {.number = 7, .text = "words", .path = "/a/path", .big = UINT64_MAX};

/* The whole contents of the message, as written. */
static char *dump(sd_bus_message *message) {
        char *text = NULL;
        size_t size = 0;
        FILE *file = open_memstream(&text, &size);

        g_assert_cmpint(sd_bus_message_rewind(message, true), >=, 0);
        g_assert_cmpint(sd_bus_message_dump(message, file, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY), >=,
                        0);
        (void) fclose(file);
        return text;
}

static int on_added(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
        GPtrArray *heard = userdata;

        g_assert_cmpstr(sd_bus_message_get_path(signal), ==, ROOT);
        g_assert_cmpstr(sd_bus_message_get_signature(signal, true), ==, "oa{sa{sv}}");
        g_ptr_array_add(heard, dump(signal));
        return 0;
}

/* Both as sd-bus announces an object and as we do. */
static void an_object_is_announced_as_by_sd_bus(void) {
        g_autoptr(GPtrArray) heard = g_ptr_array_new_with_free_func(free);
        auto_event event = NULL;
        auto_bus server = NULL;
        auto_bus client = NULL;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        server = test_bus_open(event);
        client = test_bus_open(event);
        g_assert_cmpint(sd_bus_match_signal(client, NULL, NULL, NULL,
                                        "org.freedesktop.DBus.ObjectManager", "InterfacesAdded",
                                        on_added, heard),
                        >=, 0);
        g_assert_cmpint(sd_bus_add_object_manager(server, NULL, ROOT), >=, 0);
        for (const BusInterface *interface = interfaces; interface->name; interface++)
                g_assert_cmpint(sd_bus_add_object_vtable(server, NULL, PATH, interface->name,
                                                interface->vtable, &values),
                                >=, 0);

        g_assert_cmpint(bus_emit_added(server, ROOT, PATH, interfaces, &values), >=, 0);
        g_assert_cmpint(sd_bus_emit_interfaces_added(
                                        server, PATH, "test.First", "test.Second", NULL),
                        >=, 0);
        drive_until(event, heard->len == 2);
        g_assert_cmpstr(heard->pdata[0], ==, heard->pdata[1]);
        g_assert_nonnull(strstr(heard->pdata[0], "words"));
}

static int bad_getter(sd_bus *bus,
                const char *path,
                const char *interface,
                const char *property,
                sd_bus_message *reply,
                void *userdata,
                sd_bus_error *ret_error) {
        return -EIO;
}

static void a_getter_that_fails_fails_the_whole(void) {
        static const sd_bus_vtable vtable[] = {
                        SD_BUS_VTABLE_START(0),
                        SD_BUS_PROPERTY("Bad", "u", bad_getter, 0, 0),
                        SD_BUS_VTABLE_END,
        };
        static const BusInterface bad[] = {{"test.Bad", vtable}, {NULL, NULL}};
        auto_bus server = test_bus_open(NULL);

        g_assert_cmpint(bus_emit_added(server, ROOT, PATH, bad, &values), ==, -EIO);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(an_object_is_announced_as_by_sd_bus);
        ADD(a_getter_that_fails_fails_the_whole);
        return g_test_run();
}
