/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "bus-error"

#include "bus/bus-error.h"
#include "support.h"

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(reply);
        return 1;
}

static void an_error_reply_has_the_name_of_the_row_and_its_number_in_the_text(void) {
        auto_event event = NULL;
        auto_bus server = NULL;
        auto_bus client = NULL;
        auto_message call = NULL;
        auto_message reply = NULL;
        g_autoptr(GError) error =
                        g_error_new(VIRTASK_ERROR, VIRTASK_ERROR_IN_USE, "100%% held by %s", "%s");

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        server = test_bus_open(event);
        client = test_bus_open(event);
        call = test_call(event, client, server, on_reply, &reply);
        g_assert_cmpint(bus_reply_error(call, error), >=, 0);
        drive_until(event, reply);
        g_assert_cmpstr(sd_bus_message_get_error(reply)->name, ==, "org.virtask1.Error.InUse");
        g_assert_cmpstr(sd_bus_message_get_error(reply)->message, ==,
                        "InUse (0x800700AA): 100% held by %s");
}

static void an_error_is_taken_into_a_handlers_error(void) {
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error bus_error = SD_BUS_ERROR_NULL;
        GError *error = g_error_new(VIRTASK_ERROR, VIRTASK_ERROR_ACCESS_DENIED, "no");

        g_assert_cmpint(bus_error_take(&bus_error, error), <, 0);
        g_assert_cmpstr(bus_error.name, ==, SD_BUS_ERROR_ACCESS_DENIED);
        g_assert_cmpstr(bus_error.message, ==, "E_ACCESSDENIED (0x80070005): no");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(an_error_reply_has_the_name_of_the_row_and_its_number_in_the_text);
        ADD(an_error_is_taken_into_a_handlers_error);
        return g_test_run();
}
