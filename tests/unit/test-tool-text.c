/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "progress.h"
#include "text.h"

#define ADD(test) g_test_add_func("/tool-text/" #test, test)

static void assert_escaped(const char *raw, const char *expected) {
        g_autofree char *safe = text_escape(raw);

        g_assert_cmpstr(safe, ==, expected);
}

static void control_characters_are_shown_as_escapes(void) {
        assert_escaped("a\033[2Jb", "a\\x1b[2Jb");
        assert_escaped("a\nb\tc\rd", "a\\nb\\tc\\x0dd");
        assert_escaped("\x7f", "\\x7f");
}

static void characters_that_act_are_shown_as_escapes(void) {
        assert_escaped("\u202eexe", "\\u202eexe");
        assert_escaped("a\u200bb", "a\\u200bb");
        assert_escaped("\xc2\x9b"
                       "2J",
                        "\\u009b2J");
        assert_escaped("\U000e0041", "\\U000e0041");
}

static void broken_utf8_is_shown_as_escapes(void) {
        assert_escaped("\xff\xfe", "\\xff\\xfe");
        assert_escaped("\xc0\x80", "\\xc0\\x80");
        assert_escaped("\xe2\x82", "\\xe2\\x82");
        assert_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80");
        assert_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
}

static void letters_of_any_language_stay(void) {
        assert_escaped("münchen 東京", "münchen 東京");
}

static void lines_can_be_kept(void) {
        g_autofree char *safe = text_escape_lines("a\n\tb\033");

        g_assert_cmpstr(safe, ==, "a\n\tb\\x1b");
}

static void a_long_text_is_cut_with_a_mark(void) {
        g_autofree char *cut = text_ellipsize("abcdefgh", 5);
        g_autofree char *whole = text_ellipsize("abcde", 5);
        g_autofree char *wide = text_ellipsize("東京東京", 5);

        g_assert_cmpuint(text_width(cut), ==, 5);
        g_assert_true(g_str_has_prefix(cut, "abcd"));
        g_assert_cmpstr(whole, ==, "abcde");
        g_assert_cmpuint(text_width(wide), <=, 5);
}

static void assert_size(uint64_t bytes, const char *expected) {
        _cleanup_buffer_ Buffer b = {0};

        text_add_size(&b, bytes);
        g_assert_cmpstr(buffer_text(&b), ==, expected);
}

static void sizes_have_units(void) {
        assert_size(0, "0 B");
        assert_size(1023, "1023 B");
        assert_size(1024, "1.0 KiB");
        assert_size(UINT64_C(1536) << 20, "1.5 GiB");
        assert_size(UINT64_C(180) << 20, "180 MiB");
        assert_size(UINT64_MAX, "16384 PiB");
}

static void assert_duration(uint64_t usec, const char *expected) {
        _cleanup_buffer_ Buffer b = {0};

        text_add_duration(&b, usec);
        g_assert_cmpstr(buffer_text(&b), ==, expected);
}

static void durations_have_units(void) {
        assert_duration(0, "0 ms");
        assert_duration(20 * USEC_PER_MSEC, "20 ms");
        assert_duration(3200 * USEC_PER_MSEC, "3.2 s");
        assert_duration(59 * USEC_PER_SEC, "59 s");
        assert_duration(125 * USEC_PER_SEC, "2 min 5 s");
        assert_duration(7260 * USEC_PER_SEC, "2 h 1 min");
}

static void time_that_is_left_is_rounded_up(void) {
        _cleanup_buffer_ Buffer b = {0};

        text_add_seconds(&b, USEC_PER_SEC + 1);
        g_assert_cmpstr(buffer_text(&b), ==, "2 s");
}

static void a_bar_has_its_width(void) {
        for (unsigned percent = 0; percent <= 110; percent++) {
                _cleanup_buffer_ Buffer b = {0};

                progress_add_bar(&b, percent, 17);
                g_assert_cmpuint(text_width(buffer_text(&b)), ==, 17);
        }
}

static void a_pulse_goes_to_and_fro(void) {
        _cleanup_buffer_ Buffer first = {0}, later = {0}, again = {0};

        progress_add_pulse(&first, 0, 10);
        progress_add_pulse(&later, 3, 10);
        progress_add_pulse(&again, 12, 10);
        g_assert_cmpuint(text_width(buffer_text(&first)), ==, 10);
        g_assert_cmpstr(buffer_text(&first), !=, buffer_text(&later));
        g_assert_cmpstr(buffer_text(&first), ==, buffer_text(&again));
}

static void a_narrow_window_loses_whole_details(void) {
        const TaskInfo t = {.progress_valid = true,
                        .percent = 50,
                        .bytes_total = 1 << 20,
                        .bytes_done = 1 << 19,
                        .rate = 1 << 18};

        for (size_t room = 0; room < 60; room++) {
                _cleanup_buffer_ Buffer b = {0};

                progress_add_details(&b, &t, room);
                g_assert_cmpuint(text_width(buffer_text(&b)), <=, room);
        }
}

static void an_unknown_percent_is_never_shown_as_zero(void) {
        const TaskInfo t = {.progress_valid = false};
        _cleanup_buffer_ Buffer b = {0};

        progress_add_details(&b, &t, SIZE_MAX);
        g_assert_null(strchr(buffer_text(&b), '%'));
}

int main(int argc, char *argv[]) {
        g_assert_true(g_setenv("LC_ALL", "C.UTF-8", TRUE));
        g_test_init(&argc, &argv, NULL);
        text_init();
        ADD(control_characters_are_shown_as_escapes);
        ADD(characters_that_act_are_shown_as_escapes);
        ADD(broken_utf8_is_shown_as_escapes);
        ADD(letters_of_any_language_stay);
        ADD(lines_can_be_kept);
        ADD(a_long_text_is_cut_with_a_mark);
        ADD(sizes_have_units);
        ADD(durations_have_units);
        ADD(time_that_is_left_is_rounded_up);
        ADD(a_bar_has_its_width);
        ADD(a_pulse_goes_to_and_fro);
        ADD(a_narrow_window_loses_whole_details);
        ADD(an_unknown_percent_is_never_shown_as_zero);
        return g_test_run();
}
