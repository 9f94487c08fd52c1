/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "waiter"

#include <string.h>

#include "house.h"
#include "jobs/waiter.h"

#define WAITERS 16

static char *directory;
static Gate gate;
static Task *task;
static sd_bus *client;
static GString *heard; /* replies: "true", "false", the path, or the name of the error, and " " */

static void setup_with(TestRequest request) {
        directory = test_directory_new();
        house_open(directory, NULL);
        client = test_bus_open(house.event);
        heard = g_string_new(NULL);
        gate = (Gate) GATE_INIT;
        request.gate = &gate;
        task = house_start(&test_operation, OBJECT, request, NULL);
}

static void setup(void) {
        setup_with((TestRequest){.number = 0});
}

static void teardown(void) {
        gate_open(&gate);
        client = sd_bus_flush_close_unref(client);
        house_close();
        g_string_free(heard, TRUE);
        test_directory_clear(&directory);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const char *path;
        int flag;

        if (sd_bus_message_get_error(reply))
                g_string_append(heard, sd_bus_message_get_error(reply)->name);
        else if (sd_bus_message_has_signature(reply, "b") &&
                        sd_bus_message_read(reply, "b", &flag) > 0)
                g_string_append(heard, flag ? "true" : "false");
        else if (sd_bus_message_read(reply, "o", &path) > 0)
                g_string_append(heard, path);
        g_string_append_c(heard, ' ');
        return 1;
}

/* What waiter_add() says; NONE if the call waits or was answered. */
static int add(WaiterKind kind, int timeout) {
        auto_message call = test_call(house.event, client, house.bus, on_reply, NULL);
        g_autoptr(GError) error = NULL;

        if (waiter_add(task, call, kind, timeout, &error))
                return VIRTASK_ERROR_NONE;
        return error->code;
}

static const char *hear(unsigned replies) {
        unsigned n;

        do {
                n = 0;
                for (const char *p = heard->str; *p; p++)
                        n += *p == ' ';
                if (n < replies)
                        test_turn(house.event, g_get_monotonic_time() + DEADLINE_USEC, "a reply");
        } while (n < replies);
        return heard->str;
}

static void no_time_is_answered_at_once(void) {
        setup();
        g_assert_cmpint(add(WAITER_COMPLETION, 0), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpstr(hear(1), ==, "false ");
        g_assert_cmpint(add(WAITER_SUCCESS, 0), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpstr(hear(2), ==, "false org.virtask1.Error.TimedOut ");
        teardown();
}

static void a_finished_task_is_answered_at_once(void) {
        setup();
        gate_open(&gate);
        house_finish(task);
        g_assert_cmpint(add(WAITER_COMPLETION, -1), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpint(add(WAITER_SUCCESS, 0), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpstr(hear(2), ==, "true / ");
        teardown();
}

static void the_end_answers_all_in_their_order(void) {
        setup();
        (void) add(WAITER_COMPLETION, -1);
        (void) add(WAITER_SUCCESS, 4000000);
        (void) add(WAITER_COMPLETION, 4000000);
        g_assert_cmpuint(task->waiters.length, ==, 3);
        gate_open(&gate);
        g_assert_cmpstr(hear(3), ==, "true / true ");
        g_assert_cmpuint(task->waiters.length, ==, 0);
        teardown();
}

static void a_failure_is_the_error_of_who_waits_for_success(void) {
        setup_with((TestRequest){.error = VIRTASK_ERROR_DISK_FULL});
        (void) add(WAITER_SUCCESS, -1);
        (void) add(WAITER_COMPLETION, -1);
        gate_open(&gate);
        g_assert_cmpstr(hear(2), ==, "org.virtask1.Error.DiskFull true ");
        teardown();
}

static void the_result_is_the_answer_to_who_waits_for_success(void) {
        setup();
        task->result_object = g_strdup("/made/by/it");
        (void) add(WAITER_SUCCESS, -1);
        gate_open(&gate);
        g_assert_cmpstr(hear(1), ==, "/made/by/it ");
        teardown();
}

static void the_time_ends_the_wait_and_not_the_task(void) {
        setup();
        (void) add(WAITER_COMPLETION, 1);
        g_assert_cmpstr(hear(1), ==, "false ");
        (void) add(WAITER_SUCCESS, 1);
        g_assert_cmpstr(hear(2), ==, "false org.virtask1.Error.TimedOut ");
        g_assert_cmpuint(task->waiters.length, ==, 0);
        g_assert_false(task_is_complete(task));
        teardown();
}

static void a_bad_timeout_is_refused(void) {
        setup();
        g_assert_cmpint(add(WAITER_COMPLETION, -2), ==, VIRTASK_ERROR_INVALID_ARGUMENT);
        g_assert_cmpint(add(WAITER_COMPLETION, 4000001), ==, VIRTASK_ERROR_INVALID_ARGUMENT);
        g_assert_cmpint(add(WAITER_SUCCESS, INT32_MIN), ==, VIRTASK_ERROR_INVALID_ARGUMENT);
        g_assert_cmpint(add(WAITER_SUCCESS, INT32_MAX), ==, VIRTASK_ERROR_INVALID_ARGUMENT);
        gate_open(&gate);
        house_finish(task);
        g_assert_cmpint(add(WAITER_COMPLETION, -2), ==, VIRTASK_ERROR_INVALID_ARGUMENT);
        teardown();
}

static void one_waiter_too_many_is_refused(void) {
        setup();
        for (unsigned i = 0; i < WAITERS; i++)
                g_assert_cmpint(add(WAITER_COMPLETION, -1), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpint(add(WAITER_COMPLETION, -1), ==, VIRTASK_ERROR_LIMITS_EXCEEDED);
        gate_open(&gate);
        (void) hear(WAITERS);
        teardown();
}

static void a_waiter_who_leaves_is_dropped(void) {
        setup();
        (void) add(WAITER_COMPLETION, -1);
        (void) add(WAITER_SUCCESS, 4000000);
        g_assert_cmpuint(task->waiters.length, ==, 2);
        client = sd_bus_flush_close_unref(client);
        drive_until(house.event, task->waiters.length == 0);
        g_assert_false(task_is_complete(task));
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        house_build();
        ADD(no_time_is_answered_at_once);
        ADD(a_finished_task_is_answered_at_once);
        ADD(the_end_answers_all_in_their_order);
        ADD(a_failure_is_the_error_of_who_waits_for_success);
        ADD(the_result_is_the_answer_to_who_waits_for_success);
        ADD(the_time_ends_the_wait_and_not_the_task);
        ADD(a_bad_timeout_is_refused);
        ADD(one_waiter_too_many_is_refused);
        ADD(a_waiter_who_leaves_is_dropped);
        return g_test_run();
}
