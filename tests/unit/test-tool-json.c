/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "json.h"
#include "task-info.h"

#define ADD(test) g_test_add_func("/tool-json/" #test, test)

static void assert_string(const char *raw, const char *expected) {
        _cleanup_json_ JsonWriter w = {0};

        json_string(&w, NULL, raw);
        g_assert_cmpstr(buffer_text(&w.out), ==, expected);
}

static void strings_are_escaped(void) {
        assert_string(NULL, "null");
        assert_string("", "\"\"");
        assert_string("a\"b\\c", "\"a\\\"b\\\\c\"");
        assert_string("a\nb\033", "\"a\\u000ab\\u001b\"");
        assert_string("\x7f", "\"\\u007f\"");
        assert_string("ü東", "\"ü東\"");
        assert_string("\xff", "\"\\ufffd\"");
        assert_string("\u202e", "\"\\u202e\"");
}

static void containers_nest(void) {
        _cleanup_json_ JsonWriter w = {0};

        json_begin(&w, NULL, '{');
        json_unsigned(&w, "a", 1);
        json_begin(&w, "b", '[');
        json_boolean(&w, NULL, true);
        json_begin(&w, NULL, '{');
        json_end(&w, '}');
        json_end(&w, ']');
        json_string(&w, "c", NULL);
        json_end(&w, '}');
        g_assert_cmpstr(buffer_text(&w.out), ==, "{\"a\":1,\"b\":[true,{}],\"c\":null}");
}

static void pretty_is_indented(void) {
        _cleanup_json_ JsonWriter w = {.pretty = true};

        json_begin(&w, NULL, '{');
        json_begin(&w, "a", '[');
        json_unsigned(&w, NULL, 1);
        json_unsigned(&w, NULL, 2);
        json_end(&w, ']');
        json_begin(&w, "b", '{');
        json_end(&w, '}');
        json_end(&w, '}');
        g_assert_cmpstr(buffer_text(&w.out), ==,
                        "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}");
}

static sd_bus *bus_new(void) {
        sd_bus *bus = NULL;
        int fds[2];

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        (void) close(fds[1]);
        return bus;
}

static void a_message_becomes_json(void) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = bus_new();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_json_ JsonWriter w = {0};

        g_assert_cmpint(sd_bus_message_new_signal(bus, &m, "/a", "a.b", "C"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 4, "s", "s", "x\n", "u", "t", UINT64_MAX,
                                        "a", "ai", 2, -1, 2, "d", "d", 0.5),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "a(qb)a{us}", 1, 7, 1, 1, 5, "y"), >=, 0);
        g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
        json_begin(&w, NULL, '[');
        while (sd_bus_message_at_end(m, true) == 0)
                g_assert_cmpint(json_message_value(&w, NULL, m), >=, 0);
        json_end(&w, ']');
        g_assert_cmpstr(buffer_text(&w.out), ==,
                        "[{\"s\":\"x\\u000a\",\"u\":18446744073709551615,\"a\":[-1,2],\"d\":0.5},"
                        "[[7,true]],[[5,\"y\"]]]");
}

static void a_failed_task_has_its_error(void) {
        TaskInfo t = {.id = 8,
                        .path = (char *) "/org/virtask1/task/8",
                        .operation = (char *) "vm-save",
                        .subject = (char *) "/org/virtask1/vm/_1",
                        .subject_name = (char *) "alpine",
                        .is_complete = true,
                        .percent = 40,
                        .result = 4,
                        .error = 0x80070070,
                        .error_name = (char *) "E",
                        .error_description = (char *) "full",
                        .start_time = 10,
                        .end_time = 25};
        _cleanup_json_ JsonWriter w = {0};

        task_info_to_json(&t, &w, NULL, NULL);
        g_assert_true(g_str_has_prefix(buffer_text(&w.out),
                        "{\"id\":8,\"operation\":\"vm-save\",\"machine\":\"alpine\","
                        "\"collection\":null,\"state\":\"failed\","
                        "\"percent\":40,\"duration_us\":15,\"error\":{\"name\":\"E\",\"hresult\":"
                        "2147942512,"
                        "\"message\":\"full\"},\"result\":{}"));
        g_assert_null(strstr(buffer_text(&w.out), "\"log\""));
}

static void a_failed_task_has_its_log(void) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = bus_new();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *log = NULL;
        TaskInfo t = {.id = 8, .is_complete = true, .result = 4};
        _cleanup_json_ JsonWriter w = {0};

        g_assert_cmpint(sd_bus_message_new_signal(bus, &log, "/a", "a.b", "C"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(log, "a(tus)", 2, UINT64_C(5), 5, "begin",
                                        UINT64_C(6), 3, "no '/disk'"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_seal(log, 1, 0), >=, 0);
        task_info_to_json(&t, &w, NULL, log);
        g_assert_true(g_str_has_suffix(buffer_text(&w.out),
                        ",\"log\":[{\"time_us\":5,\"priority\":5,\"text\":\"begin\"},"
                        "{\"time_us\":6,\"priority\":3,\"text\":\"no '/disk'\"}]}"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD(strings_are_escaped);
        ADD(containers_nest);
        ADD(pretty_is_indented);
        ADD(a_message_becomes_json);
        ADD(a_failed_task_has_its_error);
        ADD(a_failed_task_has_its_log);
        return g_test_run();
}
