/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "operation"

#include "jobs/operation.h"
#include "support.h"

static unsigned cleared;

static void clear(void *request) {
        cleared++;
}

static const Operation operation = {.request_size = sizeof(Request), .request_clear = clear};

static void every_operation_knows_the_option_queue(void) {
        auto_bus bus = test_bus_open(NULL);
        auto_message message = test_message(bus, "a{sv}", 1, "Queue", "b", 1);
        Request request = {false, false};

        g_assert_true(operation_parse_common(message, &request, NULL));
        g_assert_true(request.queue);
        g_assert_false(request.force);
}

static void not_every_operation_can_be_forced(void) {
        auto_bus bus = test_bus_open(NULL);
        auto_message message = test_message(bus, "a{sv}", 1, "Force", "b", 1);
        Request request = {false, false};
        g_autoptr(GError) error = NULL;

        g_assert_false(operation_parse_common(message, &request, &error));
        assert_error(error, INVALID_ARGUMENT);
}

static void a_request_is_cleared_before_it_is_freed(void) {
        cleared = 0;
        operation_request_free(&operation, g_new0(Request, 1));
        g_assert_cmpuint(cleared, ==, 1);
        operation_request_free(&operation, NULL);
        g_assert_cmpuint(cleared, ==, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(every_operation_knows_the_option_queue);
        ADD(not_every_operation_can_be_forced);
        ADD(a_request_is_cleared_before_it_is_freed);
        return g_test_run();
}
