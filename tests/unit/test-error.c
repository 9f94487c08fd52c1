/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "error"

#include <string.h>

#include "support.h"

static void each_row_has_a_name_of_its_own(void) {
        for (int i = 1; i < VIRTASK_ERROR_COUNT; i++)
                for (int j = 1; j < i; j++)
                        g_assert_cmpstr(error_info((VirtaskError) i)->name, !=,
                                        error_info((VirtaskError) j)->name);
}

static void each_row_is_a_failure_in_every_number(void) {
        for (int i = 1; i < VIRTASK_ERROR_COUNT; i++) {
                const ErrorInfo *info = error_info((VirtaskError) i);

                g_assert_true(info->hresult & 0x80000000);
                g_assert_cmpuint(info->cim_a, >, 0);
                g_assert_cmpuint(info->cim_b, >, 0);
                g_assert_cmpuint(info->result, >, 0);
                g_assert_true(*info->meaning);
        }
}

static void each_row_has_both_translations(void) {
        for (int i = 1; i < VIRTASK_ERROR_COUNT; i++) {
                const char *english = error_meaning((VirtaskError) i, "en");
                const char *german = error_meaning((VirtaskError) i, "de");
                const char *french = error_meaning((VirtaskError) i, "fr");

                g_assert_true(german && *german && g_utf8_validate(german, -1, NULL));
                g_assert_true(french && *french && g_utf8_validate(french, -1, NULL));
                g_assert_cmpstr(german, !=, english);
                g_assert_cmpstr(french, !=, english);
        }
}

static void the_language_is_the_first_part_of_the_locale(void) {
        const char *german = error_meaning(VIRTASK_ERROR_DISK_FULL, "de");
        const char *english = error_info(VIRTASK_ERROR_DISK_FULL)->meaning;

        g_assert_cmpstr(error_meaning(VIRTASK_ERROR_DISK_FULL, "de_AT.UTF-8"), ==, german);
        g_assert_cmpstr(error_meaning(VIRTASK_ERROR_DISK_FULL, "de-CH"), ==, german);
        g_assert_cmpstr(error_meaning(VIRTASK_ERROR_DISK_FULL, "den"), ==, english);
        g_assert_cmpstr(error_meaning(VIRTASK_ERROR_DISK_FULL, "frr_DE"), ==, english);
        g_assert_cmpstr(error_meaning(VIRTASK_ERROR_DISK_FULL, "d"), ==, english);
        g_assert_cmpstr(error_meaning(VIRTASK_ERROR_DISK_FULL, ""), ==, english);
        g_assert_cmpstr(error_meaning(VIRTASK_ERROR_DISK_FULL, "C"), ==, english);
}

static void a_row_is_found_by_its_name(void) {
        for (int i = 1; i < VIRTASK_ERROR_COUNT; i++)
                g_assert_cmpint(error_find(error_info((VirtaskError) i)->name), ==, i);
}

static void a_symbol_finds_the_first_row_that_has_it(void) {
        for (int i = 1; i < VIRTASK_ERROR_COUNT; i++) {
                const char *symbol = error_info((VirtaskError) i)->symbol;

                if (!*symbol)
                        continue;
                g_assert_cmpint(error_find(symbol), <=, i);
                g_assert_cmpstr(error_info(error_find(symbol))->symbol, ==, symbol);
        }
        g_assert_cmpint(error_find("VM_E_VM_NOT_RUNNING"), ==, VIRTASK_ERROR_NOT_RUNNING);
}

static void what_is_no_name_is_not_found(void) {
        g_assert_cmpint(error_find(""), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpint(error_find("Failed"), ==, VIRTASK_ERROR_NONE);
        g_assert_cmpint(error_find("org.virtask1.Error.Failed2"), ==, VIRTASK_ERROR_NONE);
}

static void a_foreign_error_is_failed(void) {
        g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "gone");

        g_assert_true(error_info_of(error) == error_info(VIRTASK_ERROR_FAILED));
        g_assert_true(error_info(VIRTASK_ERROR_NONE) == error_info(VIRTASK_ERROR_FAILED));
        g_assert_true(error_info(VIRTASK_ERROR_COUNT) == error_info(VIRTASK_ERROR_FAILED));
}

static void the_text_begins_with_symbol_and_number(void) {
        g_autoptr(GError) error = g_error_new_literal(
                        VIRTASK_ERROR, VIRTASK_ERROR_NOT_RUNNING, "'web' is off");
        g_autofree char *text = error_to_text(error);

        g_assert_cmpstr(text, ==, "VM_E_VM_NOT_RUNNING (0xA0040206): 'web' is off");
}

static void a_row_without_symbol_shows_the_end_of_its_name(void) {
        g_autoptr(GError) error = g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_IN_USE, "held");
        g_autofree char *text = error_to_text(error);

        g_assert_cmpstr(text, ==, "InUse (0x800700AA): held");
}

static void assert_shown(const char *text, const char *expected) {
        g_autoptr(GError) error = g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_BACKEND, text);

        error_hide_paths(error);
        g_assert_cmpstr(error->message, ==, expected);
}

static void file_names_are_hidden(void) {
        assert_shown("Cannot access '/a/b c.img': No such file", "Cannot access '…': No such file");
        assert_shown("-chardev path=/a/b: Failed to connect to '/a/b'",
                        "-chardev path=… Failed to connect to '…'");
        assert_shown("/a/b", "…");
        assert_shown("{\"file\":\"/a b\"} ../c 'unclosed /d", "{\"file\":\"…\"} ..… 'unclosed …");
        assert_shown("'/a", "'…");
}

static void other_slashes_are_shown(void) {
        assert_shown("", "");
        assert_shown("Input/output error, I/O of web1", "Input/output error, I/O of web1");
        assert_shown("Held by /org/virtask1/task/7", "Held by /org/virtask1/task/7");
        error_hide_paths(NULL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(each_row_has_a_name_of_its_own);
        ADD(each_row_is_a_failure_in_every_number);
        ADD(each_row_has_both_translations);
        ADD(the_language_is_the_first_part_of_the_locale);
        ADD(a_row_is_found_by_its_name);
        ADD(a_symbol_finds_the_first_row_that_has_it);
        ADD(what_is_no_name_is_not_found);
        ADD(a_foreign_error_is_failed);
        ADD(the_text_begins_with_symbol_and_number);
        ADD(a_row_without_symbol_shows_the_end_of_its_name);
        ADD(file_names_are_hidden);
        ADD(other_slashes_are_shown);
        return g_test_run();
}
