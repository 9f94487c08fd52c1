/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "ledger"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jobs/ledger.h"
#include "support.h"

static Ledger *open_ledger(const char *directory) {
        g_autoptr(GError) error = NULL;
        Ledger *ledger = ledger_new(directory, &error);

        g_assert_no_error(error);
        return ledger;
}

static uint32_t next_id(Ledger *ledger) {
        g_autoptr(GError) error = NULL;
        uint32_t id = ledger_next_id(ledger, &error);

        g_assert_no_error(error);
        return id;
}

/* The next ID that a daemon gives after a start. */
static uint32_t id_after_restart(const char *directory) {
        Ledger *ledger = open_ledger(directory);
        uint32_t id = next_id(ledger);

        ledger_free(ledger);
        return id;
}

static void write_record(Ledger *ledger, uint32_t id, const char *text) {
        g_autoptr(GKeyFile) record = g_key_file_new();
        g_autoptr(GError) error = NULL;

        g_key_file_set_string(record, "Task", "Text", text);
        g_assert_true(ledger_write(ledger, id, record, &error));
        g_assert_no_error(error);
}

static void on_record(uint32_t id, GKeyFile *record, void *userdata) {
        g_autofree char *text = g_key_file_get_string(record, "Task", "Text", NULL);

        g_string_append_printf(userdata, "%u=%s ", id, text);
}

/* "1=first 2=second " */
static char *load(const char *directory) {
        GString *loaded = g_string_new(NULL);
        Ledger *ledger = open_ledger(directory);

        ledger_load(ledger, on_record, loaded);
        ledger_free(ledger);
        return g_string_free(loaded, FALSE);
}

static void write_counter(const char *directory, const char *text) {
        test_write(directory, "tasks/next-id", text);
}

static void ids_begin_with_one_and_grow(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);

        for (uint32_t i = 1; i < 200; i++)
                g_assert_cmpuint(next_id(ledger), ==, i);
        ledger_free(ledger);
}

static void ids_are_never_reused_over_reopening(void) {
        auto_directory directory = test_directory_new();
        uint32_t last = 0;

        for (int i = 0; i < 10; i++) {
                uint32_t id = id_after_restart(directory);

                g_assert_cmpuint(id, >, last);
                last = id;
        }
}

static void an_id_is_promised_on_disk_before_it_is_given(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);
        uint32_t id = next_id(ledger);
        g_autofree char *text = test_read(directory, "tasks/next-id");

        g_assert_cmpuint(g_ascii_strtoull(text, NULL, 10), >, id);
        ledger_free(ledger);
}

static void more_ids_are_promised_before_the_last_is_given(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);
        uint32_t last = 0;

        g_assert_true(ledger_is_short(ledger));
        ledger_promise(ledger);
        g_assert_false(ledger_is_short(ledger));
        while (!ledger_is_short(ledger))
                last = next_id(ledger);
        ledger_promise(ledger);
        g_assert_false(ledger_is_short(ledger));
        g_assert_cmpuint(next_id(ledger), ==, last + 1);
        ledger_free(ledger);
        g_assert_cmpuint(id_after_restart(directory), ==, last + 2);
}

static void ids_are_not_reused_with_a_damaged_counter(void) {
        const char *const damaged[] = {"", "x", "-5", "1x", "99999999999999999999", "0"};

        for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
                auto_directory directory = test_directory_new();
                Ledger *ledger = open_ledger(directory);

                write_record(ledger, 17, "seventeen");
                write_record(ledger, 9, "nine");
                ledger_free(ledger);
                write_counter(directory, damaged[i]);
                g_assert_cmpuint(id_after_restart(directory), >, 17);
        }
}

static void a_counter_behind_the_records_is_not_believed(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);

        write_record(ledger, 17, "seventeen");
        ledger_free(ledger);
        write_counter(directory, "3\n");
        g_assert_cmpuint(id_after_restart(directory), >, 17);
}

static void the_last_numbers_are_not_given(void) {
        auto_directory directory = test_directory_new();
        g_autoptr(GError) error = NULL;
        Ledger *ledger = open_ledger(directory);

        ledger_free(ledger);
        write_counter(directory, "4294967290\n");
        ledger = open_ledger(directory);
        g_assert_cmpuint(ledger_next_id(ledger, &error), ==, 0);
        assert_error(error, FAILED);
        ledger_free(ledger);
}

static void an_id_that_can_not_be_promised_is_not_given(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *tasks = g_build_filename(directory, "tasks", NULL);
        g_autoptr(GError) error = NULL;
        Ledger *ledger = open_ledger(directory);

        g_assert_cmpint(rmdir(tasks), ==, 0);
        g_assert_cmpuint(ledger_next_id(ledger, &error), ==, 0);
        assert_error(error, FAILED);
        ledger_free(ledger);
}

static void records_come_back_in_order(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);
        g_autofree char *loaded = NULL;

        write_record(ledger, 100, "c");
        write_record(ledger, 9, "a");
        write_record(ledger, 20, "b");
        write_record(ledger, 20, "again");
        ledger_free(ledger);
        loaded = load(directory);
        g_assert_cmpstr(loaded, ==, "9=a 20=again 100=c ");
}

static void a_removed_record_is_gone(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);
        g_autofree char *loaded = NULL;

        write_record(ledger, 1, "a");
        write_record(ledger, 2, "b");
        ledger_remove(ledger, 1);
        ledger_remove(ledger, 1);
        ledger_free(ledger);
        loaded = load(directory);
        g_assert_cmpstr(loaded, ==, "2=b ");
}

static void a_damaged_record_is_dropped(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *huge = g_strnfill(300 * 1024, '#');
        g_autofree char *loaded = NULL, *left = NULL;
        Ledger *ledger = open_ledger(directory);

        write_record(ledger, 1, "a");
        ledger_free(ledger);
        test_write(directory, "tasks/2", "no key file");
        test_write(directory, "tasks/3", huge);
        loaded = load(directory);
        g_assert_cmpstr(loaded, ==, "1=a ");
        left = test_read(directory, "tasks/2");
        g_assert_null(left);
}

static void other_files_are_left_alone(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *loaded = NULL, *left = NULL;
        Ledger *ledger = open_ledger(directory);

        ledger_free(ledger);
        test_write(directory, "tasks/1.new", "half of a record");
        test_write(directory, "tasks/0", "[Task]\nText=zero\n");
        test_write(directory, "tasks/note", "[Task]\nText=note\n");
        loaded = load(directory);
        g_assert_cmpstr(loaded, ==, "");
        left = test_read(directory, "tasks/note");
        g_assert_nonnull(left);
}

static void a_record_can_be_synced_from_anywhere(void) {
        auto_directory directory = test_directory_new();
        g_autoptr(GError) error = NULL;
        Ledger *ledger = open_ledger(directory);

        write_record(ledger, 1, "a");
        g_assert_true(ledger_sync(ledger, 1, &error));
        g_assert_no_error(error);
        g_assert_false(ledger_sync(ledger, 2, &error));
        assert_error(error, FAILED);
        ledger_free(ledger);
}

static void a_state_directory_that_is_a_file_is_an_error(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *path = g_build_filename(directory, "file", NULL);
        g_autoptr(GError) error = NULL;

        test_write(directory, "file", "x");
        g_assert_null(ledger_new(path, &error));
        assert_error(error, FAILED);
        g_assert_null(ledger_free(NULL));
}

static void two_services_do_not_share_their_tasks(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);
        g_autoptr(GError) error = NULL;

        g_assert_null(ledger_new(directory, &error));
        assert_error(error, FAILED);
        ledger_free(ledger);
        ledger_free(open_ledger(directory));
}

static void a_prepared_record_is_a_record(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);
        g_autofree char *long_text = g_strnfill(5000, 'x');
        g_autofree char *loaded = NULL, *expected = g_strdup_printf("1=a 2=b 3=%s ", long_text);

        ledger_promise(ledger);
        for (uint32_t id = 1; id <= 3; id++) {
                ledger_prepare(ledger);
                ledger_prepare(ledger);
                g_assert_cmpuint(next_id(ledger), ==, id);
                write_record(ledger, id, id == 1 ? "a" : id == 2 ? "b" : long_text);
        }
        write_record(ledger, 2, "b");
        ledger_free(ledger);
        loaded = load(directory);
        g_assert_cmpstr(loaded, ==, expected);
}

static void what_was_prepared_and_not_used_is_no_record(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = open_ledger(directory);
        g_autofree char *loaded = NULL, *blank = g_strnfill(1024, '\n'), *left = NULL;

        ledger_promise(ledger);
        ledger_prepare(ledger);
        left = test_read(directory, "tasks/1");
        g_assert_nonnull(left);
        g_clear_pointer(&left, g_free);
        ledger_free(ledger);
        left = test_read(directory, "tasks/1");
        g_assert_null(left);
        test_write(directory, "tasks/5", blank);
        loaded = load(directory);
        g_assert_cmpstr(loaded, ==, "");
        left = test_read(directory, "tasks/5");
        g_assert_null(left);
}

static void on_memory(uint32_t id, GKeyFile *record, void *userdata) {
        g_autofree char *key = g_key_file_get_string(record, LEDGER_MEMORY, "Key", NULL);
        g_autofree char *other = g_key_file_get_string(record, LEDGER_MEMORY, "Other", NULL);

        g_string_append_printf(userdata, "%u=%s,%s ", id, key, other);
}

static void memory_comes_back_with_the_record_and_goes_with_it(void) {
        auto_directory directory = test_directory_new();
        g_autoptr(GHashTable) memory = g_hash_table_new(g_str_hash, g_str_equal);
        GString *loaded = g_string_new(NULL);
        Ledger *ledger = open_ledger(directory);
        g_autofree char *left = NULL;

        write_record(ledger, 1, "a");
        write_record(ledger, 2, "b");
        g_hash_table_insert(memory, (char *) "Key", (char *) "value; = #x");
        g_assert_true(ledger_write_memory(ledger, 2, memory, NULL));
        g_hash_table_insert(memory, (char *) "Other", (char *) "");
        g_assert_true(ledger_write_memory(ledger, 2, memory, NULL));
        write_record(ledger, 2, "c");
        ledger_load(ledger, on_memory, loaded);
        g_assert_cmpstr(loaded->str, ==, "1=(null),(null) 2=value; = #x, ");
        ledger_remove(ledger, 2);
        left = test_read(directory, "tasks/2.memory");
        g_assert_null(left);
        ledger_free(ledger);
        g_string_free(loaded, TRUE);
}

static void on_loss(uint32_t id, GKeyFile *record, void *userdata) {
        g_string_append_printf(userdata, "%u%s ", id,
                        g_key_file_has_group(record, LEDGER_MEMORY_LOST) ? "!" : "");
}

static void memory_that_can_not_be_read_is_told(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *path = g_build_filename(directory, "tasks/4.memory", NULL);
        GString *loaded = g_string_new(NULL);
        Ledger *ledger = open_ledger(directory);

        for (uint32_t id = 1; id <= 5; id++)
                write_record(ledger, id, "a");
        test_write(directory, "tasks/2.memory", "[Memory]\nKey=value\n");
        test_write(directory, "tasks/3.memory", "no key file");
        g_assert_cmpint(symlink("2.memory", path), ==, 0);
        test_write(directory, "tasks/5.memory", "");
        ledger_load(ledger, on_loss, loaded);
        g_assert_cmpstr(loaded->str, ==, "1 2 3! 4! 5! ");
        ledger_free(ledger);
        g_string_free(loaded, TRUE);
}

/* Who holds the lock, until it is refused to somebody once. */
static Ledger *holder;
static unsigned refusals;

/* In place of libc's, for this program. */
int flock(int fd, int operation) {
        int r = (int) syscall(SYS_flock, fd, operation);

        if (r < 0 && errno == EWOULDBLOCK) {
                refusals++;
                g_clear_pointer(&holder, ledger_free);
                errno = EWOULDBLOCK;
        }
        return r;
}

/* By a process that ends with its service. */
static void what_is_held_for_a_moment_is_waited_for(void) {
        auto_directory directory = test_directory_new();

        holder = open_ledger(directory);
        refusals = 0;
        ledger_free(open_ledger(directory));
        g_assert_cmpuint(refusals, ==, 1);
        g_assert_null(holder);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(what_is_held_for_a_moment_is_waited_for);
        ADD(ids_begin_with_one_and_grow);
        ADD(ids_are_never_reused_over_reopening);
        ADD(an_id_is_promised_on_disk_before_it_is_given);
        ADD(more_ids_are_promised_before_the_last_is_given);
        ADD(ids_are_not_reused_with_a_damaged_counter);
        ADD(a_counter_behind_the_records_is_not_believed);
        ADD(the_last_numbers_are_not_given);
        ADD(an_id_that_can_not_be_promised_is_not_given);
        ADD(records_come_back_in_order);
        ADD(a_removed_record_is_gone);
        ADD(a_damaged_record_is_dropped);
        ADD(other_files_are_left_alone);
        ADD(a_record_can_be_synced_from_anywhere);
        ADD(a_state_directory_that_is_a_file_is_an_error);
        ADD(two_services_do_not_share_their_tasks);
        ADD(a_prepared_record_is_a_record);
        ADD(what_was_prepared_and_not_used_is_no_record);
        ADD(memory_that_can_not_be_read_is_told);
        ADD(memory_comes_back_with_the_record_and_goes_with_it);
        return g_test_run();
}
