/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "number"

#include <errno.h>

#include "support.h"
#include "util/number.h"

static void a_number_is_read(void) {
        uint64_t number = 0;

        g_assert_true(number_parse("0", 0, 9, &number));
        g_assert_cmpuint(number, ==, 0);
        g_assert_true(number_parse("4294967295", 1, UINT32_MAX, &number));
        g_assert_cmpuint(number, ==, UINT32_MAX);
        g_assert_true(number_parse("18446744073709551615", 0, UINT64_MAX, &number));
        g_assert_cmpuint(number, ==, UINT64_MAX);
        g_assert_true(number_parse("007", 7, 7, &number));
        g_assert_cmpuint(number, ==, 7);
}

static void anything_else_is_none(void) {
        const char *const others[] = {"", " 1", "1 ", "+1", "-1", "1x", "0x1", "1.0", "1\n", "x",
                        "18446744073709551616", "99999999999999999999999"};
        uint64_t number = 17;

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                g_assert_false(number_parse(others[i], 0, UINT64_MAX, &number));
        g_assert_false(number_parse("4", 5, 10, &number));
        g_assert_false(number_parse("11", 5, 10, &number));
        g_assert_cmpuint(number, ==, 17);
}

static void what_went_wrong_before_does_not_matter(void) {
        uint64_t number;

        errno = ERANGE;
        g_assert_true(number_parse("1025", 1, UINT32_MAX, &number));
}

static void qemu_says_how_far_it_is(void) {
        double percent = 0;

        g_assert_true(number_parse_percent("    (12.50/100%)", &percent));
        g_assert_cmpfloat(percent, ==, 12.5);
        g_assert_true(number_parse_percent("(100.00/100%)", &percent));
        g_assert_false(number_parse_percent("", &percent));
        g_assert_false(number_parse_percent("12.50/100%", &percent));
        g_assert_false(number_parse_percent("(/100%)", &percent));
        g_assert_false(number_parse_percent("(101/100%)", &percent));
        g_assert_false(number_parse_percent("(-1/100%)", &percent));
        g_assert_false(number_parse_percent("(nan/100%)", &percent));
        g_assert_cmpfloat(percent, ==, 100);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_number_is_read);
        ADD(anything_else_is_none);
        ADD(what_went_wrong_before_does_not_matter);
        ADD(qemu_says_how_far_it_is);
        return g_test_run();
}
