/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "publisher"

#include <string.h>

#include "bus/publisher.h"
#include "support.h"

#define PATH "/test/object"

/* Two interfaces of one object. */
static const PublishedProperty table[] = {
                {"test.First", "A"},
                {"test.First", "B"},
                {"test.Second", "C"},
                {NULL, NULL},
};
enum { A = 1 << 0, B = 1 << 1, C = 1 << 2 };

typedef struct Values {
        uint32_t a, b, c;
} Values;

static const sd_bus_vtable first_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_PROPERTY("A",
                                "u",
                                NULL,
                                offsetof(Values, a),
                                SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("B",
                                "u",
                                NULL,
                                offsetof(Values, b),
                                SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_VTABLE_END,
};
static const sd_bus_vtable second_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_PROPERTY("C",
                                "u",
                                NULL,
                                offsetof(Values, c),
                                SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_VTABLE_END,
};

static sd_event *event;
static sd_bus *server;
static sd_bus *client;
static Publisher *publisher;
static Publication publication;
static Values values;
static GString *heard; /* "test.First A=1 B=2;" */
static bool marked;

static int on_changed(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
        const char *interface, *name;
        uint32_t value;

        g_assert_cmpint(sd_bus_message_read(signal, "s", &interface), >, 0);
        g_string_append(heard, interface);
        g_assert_cmpint(sd_bus_message_enter_container(signal, 'a', "{sv}"), >, 0);
        while (sd_bus_message_read(signal, "{sv}", &name, "u", &value) > 0)
                g_string_append_printf(heard, " %s=%u", name, value);
        g_string_append_c(heard, ';');
        return 0;
}

static int on_mark(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
        marked = true;
        return 0;
}

static void setup(void) {
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        server = test_bus_open(event);
        client = test_bus_open(event);
        publisher = publisher_new(server);
        values = (Values){0, 0, 0};
        heard = g_string_new(NULL);
        g_assert_cmpint(sd_bus_add_object_vtable(
                                        server, NULL, PATH, "test.First", first_vtable, &values),
                        >=, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(
                                        server, NULL, PATH, "test.Second", second_vtable, &values),
                        >=, 0);
        g_assert_cmpint(sd_bus_match_signal(client, NULL, NULL, PATH, NULL, "PropertiesChanged",
                                        on_changed, NULL),
                        >=, 0);
        g_assert_cmpint(sd_bus_match_signal(client, NULL, NULL, PATH, "test.Mark", "Mark", on_mark,
                                        NULL),
                        >=, 0);
        publication_init(&publication, publisher, PATH, table);
}

static void teardown(void) {
        publication_clear(&publication);
        publisher = publisher_free(publisher);
        client = sd_bus_flush_close_unref(client);
        server = sd_bus_flush_close_unref(server);
        event = sd_event_unref(event);
        g_string_free(heard, TRUE);
}

/* Everything that was sent before has been heard then. */
static const char *listen(void) {
        test_drain(event);
        marked = false;
        g_assert_cmpint(sd_bus_emit_signal(server, PATH, "test.Mark", "Mark", NULL), >=, 0);
        drive_until(event, marked);
        return heard->str;
}

static void changes_of_a_turn_are_one_signal_with_the_last_values(void) {
        setup();
        values.a = 1;
        publication_touch(&publication, A);
        values.b = 2;
        publication_touch(&publication, B);
        values.a = 3;
        publication_touch(&publication, A);
        g_assert_cmpstr(listen(), ==, "test.First A=3 B=2;");
        teardown();
}

static void each_interface_has_a_signal_of_its_own(void) {
        setup();
        values = (Values){1, 2, 3};
        publication_touch(&publication, A | C);
        g_assert_cmpstr(listen(), ==, "test.First A=1;test.Second C=3;");
        teardown();
}

static void a_flush_announces_at_once_and_only_once(void) {
        setup();
        values.a = 1;
        publication_touch(&publication, A);
        publication_flush(&publication);
        values.a = 2;
        g_assert_cmpstr(listen(), ==, "test.First A=1;");
        teardown();
}

static void a_flush_without_a_change_is_silent(void) {
        setup();
        publication_flush(&publication);
        publication_touch(&publication, 0);
        g_assert_cmpstr(listen(), ==, "");
        teardown();
}

static void a_cleared_publication_is_silent(void) {
        setup();
        publication_touch(&publication, A);
        publication_clear(&publication);
        publication_clear(&publication);
        g_assert_cmpstr(listen(), ==, "");
        publication_touch(&publication, B);
        g_assert_cmpstr(listen(), ==, "test.First B=0;");
        teardown();
}

static void a_later_turn_is_another_signal(void) {
        setup();
        values.a = 1;
        publication_touch(&publication, A);
        (void) listen();
        values.a = 2;
        publication_touch(&publication, A);
        g_assert_cmpstr(listen(), ==, "test.First A=1;test.First A=2;");
        teardown();
}

static int on_urgent(sd_event_source *source, void *userdata) {
        values.b = 7;
        publication_touch(&publication, B);
        return 0;
}

static void announcements_wait_for_what_is_more_urgent(void) {
        sd_event_source *source = NULL;

        setup();
        publication_touch(&publication, A);
        g_assert_cmpint(sd_event_add_defer(event, &source, on_urgent, NULL), >=, 0);
        g_assert_cmpstr(listen(), ==, "test.First A=0 B=7;");
        sd_event_source_unref(source);
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(changes_of_a_turn_are_one_signal_with_the_last_values);
        ADD(each_interface_has_a_signal_of_its_own);
        ADD(a_flush_announces_at_once_and_only_once);
        ADD(a_flush_without_a_change_is_silent);
        ADD(a_cleared_publication_is_silent);
        ADD(a_later_turn_is_another_signal);
        ADD(announcements_wait_for_what_is_more_urgent);
        return g_test_run();
}
