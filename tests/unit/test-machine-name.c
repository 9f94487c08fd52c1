/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "machine-name"

#include <string.h>

#include "backend/backend.h"
#include "lifecycle/machine-name.h"
#include "support.h"

#define UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"

static virConnectPtr connection;

static int code_of(const char *name) {
        g_autoptr(GError) error = NULL;

        if (machine_name_check(name, &error))
                return VIRTASK_ERROR_NONE;
        g_assert_true(error->domain == VIRTASK_ERROR);
        return error->code;
}

static bool is_free(const char *name, const char *own_uuid) {
        g_autoptr(GError) error = NULL;
        bool free = machine_name_is_free(connection, name, own_uuid, &error);

        g_assert_true(free ? !error
                           : g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_DUPLICATE_NAME));
        return free;
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

static void a_name_is_taken_without_regard_to_case(void) {
        g_assert_false(is_free("test", NULL));
        g_assert_false(is_free("TeSt", NULL));
        g_assert_true(is_free("test2", NULL));
}

static void a_machine_may_have_its_own_name(void) {
        g_assert_true(is_free("TEST", UUID));
        g_assert_false(is_free("TEST", "00000000-0000-0000-0000-000000000001"));
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        connection = virConnectOpen("test:///default");
        ADD(an_ordinary_name_is_good);
        ADD(a_name_has_at_least_one_character);
        ADD(a_name_has_at_most_eighty_characters);
        ADD(some_characters_are_forbidden_anywhere);
        ADD(a_name_is_taken_without_regard_to_case);
        ADD(a_machine_may_have_its_own_name);
        status = g_test_run();
        (void) virConnectClose(connection);
        return status;
}
