/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "image-watch"

#include <string.h>
#include <unistd.h>

#include "service/image-watch.h"
#include "support.h"

static sd_event *event;
static char *directory;
static char *uri;
static GString *gone;

static void setup(void) {
        g_autofree char *save = NULL;

        directory = test_directory_new();
        uri = g_strdup_printf("qemu:///embed?root=%s", directory);
        save = g_build_filename(directory, "lib/qemu/save", NULL);
        g_assert_cmpint(g_mkdir_with_parents(save, 0700), ==, 0);
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        gone = g_string_new(NULL);
}

static void teardown(void) {
        event = sd_event_unref(event);
        test_directory_clear(&directory);
        g_free(uri);
        g_string_free(gone, TRUE);
}

static void on_gone(const char *name, void *userdata) {
        g_string_append_printf(userdata, "%s;", name);
}

static void remove_image(const char *name) {
        g_autofree char *path = g_build_filename(directory, "lib/qemu/save", name, NULL);

        g_assert_true(g_file_set_contents(path, "x", -1, NULL));
        g_assert_cmpint(unlink(path), ==, 0);
}

static void an_image_that_goes_is_told_by_the_name_of_its_machine(void) {
        ImageWatch *watch;

        setup();
        watch = image_watch_new(event, uri, on_gone, gone);
        g_assert_nonnull(watch);
        remove_image("other.txt");
        remove_image("web 1.save");
        drive_until(event, g_str_has_suffix(gone->str, "web 1;"));
        g_assert_null(strstr(gone->str, "other"));
        g_assert_null(image_watch_free(watch));
        teardown();
}

static void a_watch_that_is_freed_tells_nothing(void) {
        setup();
        image_watch_free(image_watch_new(event, uri, on_gone, gone));
        remove_image("web.save");
        test_drain(event);
        g_assert_cmpstr(gone->str, ==, "");
        g_assert_null(image_watch_free(NULL));
        teardown();
}

static void what_is_not_on_this_host_is_not_watched(void) {
        setup();
        g_assert_null(image_watch_new(event, "test:///default", on_gone, gone));
        g_assert_null(image_watch_new(event, "qemu:///embed?root=/nonexistent", on_gone, gone));
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(an_image_that_goes_is_told_by_the_name_of_its_machine);
        ADD(a_watch_that_is_freed_tells_nothing);
        ADD(what_is_not_on_this_host_is_not_watched);
        return g_test_run();
}
