/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "name"

#include "support.h"
#include "util/name.h"

static int code_of(const char *name) {
        g_autoptr(GError) error = NULL;

        if (name_check(name, &error))
                return VIRTASK_ERROR_NONE;
        g_assert_true(error->domain == VIRTASK_ERROR);
        return error->code;
}

static void an_ordinary_name_is_good(void) {
        g_assert_cmpint(code_of("web"), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpint(code_of("Büro 1 (alt)"), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpint(code_of("."), ==, VIRTASK_ERROR_NONE);
}

static void a_name_has_at_least_one_character(void) {
        g_assert_cmpint(code_of(""), ==, VIRTASK_ERROR_NAME_EMPTY);
}

static void a_name_has_at_most_eighty_characters(void) {
        g_autofree char *good = g_strnfill(80, 'x');
        g_autofree char *bad = g_strnfill(81, 'x');
        g_autoptr(GString) wide = g_string_new(NULL);

        for (int i = 0; i < 80; i++)
                g_string_append(wide, "€");
        g_assert_cmpint(code_of(good), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpint(code_of(bad), ==, VIRTASK_ERROR_NAME_TOO_LONG);
        g_assert_cmpint(code_of(wide->str), ==, VIRTASK_ERROR_NONE);
}

static void some_characters_are_forbidden_anywhere(void) {
        for (const char *p = "*?:<>/|\\\"\n\t\x7f\x01"; *p; p++) {
                const char first[] = {*p, 'a', 0}, last[] = {'a', *p, 0};

                g_assert_cmpint(code_of(first), ==, VIRTASK_ERROR_NAME_INVALID_CHAR);
                g_assert_cmpint(code_of(last), ==, VIRTASK_ERROR_NAME_INVALID_CHAR);
        }
        g_assert_cmpint(code_of("a\xc2\x85"), ==, VIRTASK_ERROR_NAME_INVALID_CHAR);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(an_ordinary_name_is_good);
        ADD(a_name_has_at_least_one_character);
        ADD(a_name_has_at_most_eighty_characters);
        ADD(some_characters_are_forbidden_anywhere);
        return g_test_run();
}
