/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "path"

#include "util/path.h"

#include "support.h"

static GError *error;

static void an_absolute_path_is_good(void) {
        static const char *const good[] = {"/", "/srv", "/srv/", "/srv//a/../b", "/srv/ä ö", "/-x"};
        g_autofree char *longest = g_strnfill(256, 'a');

        *longest = '/';
        g_assert_true(path_check(longest, &error));
        for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
                g_assert_true(path_check(good[i], &error));
}

static void a_relative_path_is_bad(void) {
        static const char *const bad[] = {"", "a", "./a", "~/a", "json:/a", "nbd://a", " /a"};

        for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_assert_false(path_check(bad[i], &error));
                assert_error(error, BAD_PATH);
        }
}

static void no_control_characters_and_nothing_but_text(void) {
        static const char *const bad[] = {"/a\n", "/\x01", "/a\177b", "/\xc2\x85", "/\xff", "/a\t"};

        for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_assert_false(path_check(bad[i], &error));
                assert_error(error, NAME_INVALID);
        }
}

static void a_long_path_is_too_long(void) {
        g_autofree char *component = g_strnfill(257, 'a'), *path = g_strnfill(4096, 'b');

        *component = '/';
        g_assert_false(path_check(component, &error));
        assert_error(error, PATH_TOO_LONG);
        for (unsigned i = 0; i < 4096; i += 2)
                path[i] = '/';
        g_assert_false(path_check(path, &error));
        assert_error(error, PATH_TOO_LONG);
        path[4095] = 0;
        g_assert_true(path_check(path, &error));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(an_absolute_path_is_good);
        ADD(a_relative_path_is_bad);
        ADD(no_control_characters_and_nothing_but_text);
        ADD(a_long_path_is_too_long);
        return g_test_run();
}
