/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "file-watch"

#include <stdio.h>
#include <string.h>

#include "service/file-watch.h"
#include "support.h"

static sd_event *event;
static char *directory;
static char *uri;
static GString *told;

static char *path_of(const char *name) {
        return g_build_filename(directory, "lib/qemu", name, NULL);
}

static void make(const char *name) {
        g_autofree char *path = path_of(name);

        g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
}

static void write_file(const char *name) {
        g_autofree char *path = path_of(name);

        g_assert_true(g_file_set_contents(path, "x", -1, NULL));
}

static void remove_path(const char *name) {
        g_autofree char *path = path_of(name);

        g_assert_cmpint(remove(path), ==, 0);
}

/* What was told since the last look, and that nothing else comes. */
static void assert_told(const char *names) {
        drive_until(event, told->len >= strlen(names));
        test_drain(event);
        g_assert_cmpstr(told->str, ==, names);
        g_string_truncate(told, 0);
}

static void setup(void) {
        directory = test_directory_new();
        uri = g_strdup_printf("qemu:///embed?root=%s", directory);
        make("save");
        make("snapshot");
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        told = g_string_new(NULL);
}

static void teardown(void) {
        event = sd_event_unref(event);
        test_directory_clear(&directory);
        g_free(uri);
        g_string_free(told, TRUE);
}

static void on_change(const char *name, void *userdata) {
        g_string_append_printf(userdata, "%s;", name);
}

static void remove_image(const char *name) {
        g_autofree char *path = g_build_filename("save", name, NULL);

        write_file(path);
        remove_path(path);
}

static void an_image_that_goes_is_told_by_the_name_of_its_machine(void) {
        FileWatch *watch;

        setup();
        watch = file_watch_new(event, uri, on_change, told);
        g_assert_nonnull(watch);
        remove_image("other.txt");
        remove_image("web 1.save");
        drive_until(event, g_str_has_suffix(told->str, "web 1;"));
        g_assert_null(strstr(told->str, "other"));
        g_assert_null(file_watch_free(watch));
        teardown();
}

static void a_machine_with_snapshots_is_told_at_once(void) {
        FileWatch *watch;

        setup();
        make("snapshot/web 1");
        watch = file_watch_new(event, uri, on_change, told);
        g_assert_cmpstr(told->str, ==, "web 1;");
        file_watch_free(watch);
        teardown();
}

static void a_snapshot_that_comes_changes_and_goes_is_told(void) {
        FileWatch *watch;

        setup();
        make("snapshot/web");
        watch = file_watch_new(event, uri, on_change, told);
        assert_told("web;");
        write_file("snapshot/web/s1.xml"); /* written beside it, and renamed: one event */
        drive_until(event, g_str_has_prefix(told->str, "web;"));
        test_drain(event);
        g_string_truncate(told, 0);
        write_file("snapshot/web/s1.xml.new");
        assert_told("");
        remove_path("snapshot/web/s1.xml");
        assert_told("web;");
        file_watch_free(watch);
        teardown();
}

static void the_first_snapshot_of_a_machine_is_told(void) {
        FileWatch *watch;

        setup();
        watch = file_watch_new(event, uri, on_change, told);
        make("snapshot/web");
        assert_told("web;");
        write_file("snapshot/web/s1.xml");
        drive_until(event, g_str_has_prefix(told->str, "web;"));
        test_drain(event);
        g_string_truncate(told, 0);
        file_watch_free(watch);
        teardown();
}

static void a_directory_may_go_and_come_again(void) {
        FileWatch *watch;

        setup();
        make("snapshot/web");
        watch = file_watch_new(event, uri, on_change, told);
        remove_path("snapshot/web");
        make("snapshot/web");
        assert_told("web;web;web;");
        write_file("snapshot/web/s1.xml");
        drive_until(event, g_str_has_prefix(told->str, "web;"));
        file_watch_free(watch);
        teardown();
}

static void one_of_the_two_places_is_enough(void) {
        FileWatch *watch;

        setup();
        remove_path("save");
        make("snapshot/web");
        watch = file_watch_new(event, uri, on_change, told);
        g_assert_nonnull(watch);
        assert_told("web;");
        file_watch_free(watch);
        teardown();
}

static void a_watch_that_is_freed_tells_nothing(void) {
        setup();
        file_watch_free(file_watch_new(event, uri, on_change, told));
        remove_image("web.save");
        test_drain(event);
        g_assert_cmpstr(told->str, ==, "");
        g_assert_null(file_watch_free(NULL));
        teardown();
}

static void what_is_not_on_this_host_is_not_watched(void) {
        setup();
        g_assert_null(file_watch_new(event, "test:///default", on_change, told));
        g_assert_null(file_watch_new(event, "qemu:///embed?root=/nonexistent", on_change, told));
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(an_image_that_goes_is_told_by_the_name_of_its_machine);
        ADD(a_machine_with_snapshots_is_told_at_once);
        ADD(a_snapshot_that_comes_changes_and_goes_is_told);
        ADD(the_first_snapshot_of_a_machine_is_told);
        ADD(a_directory_may_go_and_come_again);
        ADD(one_of_the_two_places_is_enough);
        ADD(a_watch_that_is_freed_tells_nothing);
        ADD(what_is_not_on_this_host_is_not_watched);
        return g_test_run();
}
