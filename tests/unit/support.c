/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "support.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static const char configuration[] =
                "<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN'\n"
                " 'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'>\n"
                "<busconfig>\n"
                "  <type>session</type>\n"
                "  <listen>unix:dir=%s</listen>\n"
                "  <auth>EXTERNAL</auth>\n"
                "  <policy context='default'>\n"
                "    <allow send_destination='*' eavesdrop='true'/>\n"
                "    <allow eavesdrop='true'/>\n"
                "    <allow own='*'/>\n"
                "    <allow user='*'/>\n"
                "  </policy>\n"
                "</busconfig>\n";

static GPid bus_pid;
static char *bus_directory;
static char bus_address[512];

/* Directories */

char *test_directory_new(void) {
        g_autoptr(GError) error = NULL;
        char *path = g_dir_make_tmp("vt-unit-XXXXXX", &error);

        g_assert_no_error(error);
        return path;
}

static int on_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

void test_directory_clear(char **path) {
        if (!*path)
                return;
        (void) nftw(*path, on_entry, 16, FTW_DEPTH | FTW_PHYS);
        g_clear_pointer(path, g_free);
}

void test_write(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

char *test_read(const char *directory, const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        char *text = NULL;

        (void) g_file_get_contents(path, &text, NULL, NULL);
        return text;
}

/* Loop */

void test_turn(sd_event *event, gint64 end, const char *condition) {
        gint64 left = end - g_get_monotonic_time();

        if (left <= 0)
                g_error("Waited in vain for: %s", condition);
        g_assert_cmpint(sd_event_run(event, (uint64_t) left), >=, 0);
}

void test_drain(sd_event *event) {
        int r;

        while ((r = sd_event_run(event, 0)) > 0)
                ;
        g_assert_cmpint(r, >=, 0);
}

/* Bus */

static void end_bus(void) {
        (void) kill(bus_pid, SIGTERM);
        (void) waitpid(bus_pid, NULL, 0);
        test_directory_clear(&bus_directory);
}

static void die_with_parent(void *unused) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* The bus prints its address when it accepts connections. */
static void start_bus(void) {
        g_autofree char *text = NULL, *file = NULL;
        g_autoptr(GError) error = NULL;
        const char *argv[] = {
                        "dbus-daemon", "--nofork", "--nopidfile", "--print-address", NULL, NULL};
        int output;
        FILE *stream;

        bus_directory = test_directory_new();
        g_assert_cmpint(chmod(bus_directory, 0755), ==, 0);
        text = g_strdup_printf(configuration, bus_directory);
        test_write(bus_directory, "bus.conf", text);
        file = g_strdup_printf("--config-file=%s/bus.conf", bus_directory);
        argv[4] = file;
        (void) g_spawn_async_with_pipes(NULL, (char **) argv, NULL,
                        G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent, NULL,
                        &bus_pid, NULL, &output, NULL, &error);
        g_assert_no_error(error);
        (void) atexit(end_bus);
        stream = fdopen(output, "r");
        g_assert_nonnull(fgets(bus_address, sizeof(bus_address), stream));
        (void) fclose(stream);
        g_strchomp(bus_address);
}

sd_bus *test_bus_open(sd_event *event) {
        sd_bus *bus = NULL;

        if (!bus_directory)
                start_bus();
        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_address(bus, bus_address), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        if (event)
                g_assert_cmpint(sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL), >=, 0);
        return bus;
}

/* The bus takes the user of the process at the moment of the connection. */
sd_bus *test_bus_open_as_nobody(sd_event *event) {
        sd_bus *bus;

        if (geteuid() != 0)
                return NULL;
        if (!bus_directory)
                start_bus();
        g_assert_cmpint(seteuid(NOBODY), ==, 0);
        bus = test_bus_open(event);
        g_assert_cmpint(sd_bus_get_unique_name(bus, &(const char *){NULL}), >=, 0);
        g_assert_cmpint(seteuid(0), ==, 0);
        return bus;
}

static int on_call(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        sd_bus_message **call = userdata;

        if (*call || !sd_bus_message_is_method_call(message, "test.Unit", "Call"))
                return 0;
        *call = sd_bus_message_ref(message);
        return 1;
}

sd_bus_message *test_call(sd_event *event,
                sd_bus *from,
                sd_bus *to,
                sd_bus_message_handler_t on_reply,
                void *userdata) {
        sd_bus_message *call = NULL;
        sd_bus_slot *slot = NULL;
        const char *name;

        g_assert_cmpint(sd_bus_get_unique_name(to, &name), >=, 0);
        g_assert_cmpint(sd_bus_add_filter(to, &slot, on_call, &call), >=, 0);
        g_assert_cmpint(sd_bus_call_method_async(from, NULL, name, "/test", "test.Unit", "Call",
                                        on_reply, userdata, NULL),
                        >=, 0);
        drive_until(event, call);
        sd_bus_slot_unref(slot);
        return call;
}

sd_bus_message *test_seal(sd_bus_message *message) {
        g_assert_cmpint(sd_bus_message_seal(message, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(message, true), >=, 0);
        return message;
}

sd_bus_message *test_message(sd_bus *bus, const char *types, ...) {
        sd_bus_message *message = NULL;
        va_list args;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &message, "a.b", "/a", "a.b", "Member"),
                        >=, 0);
        va_start(args, types);
        g_assert_cmpint(sd_bus_message_appendv(message, types, args), >=, 0);
        va_end(args);
        return test_seal(message);
}
