/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "bus-options"

#include <stdint.h>
#include <string.h>

#include "bus/bus-options.h"
#include "support.h"

typedef struct Target {
        bool flag;
        uint32_t number;
        uint64_t large;
        bool number_seen;
        char *object;
        char **list;
        uint32_t choice;
        GHashTable *table;
} Target;

static const OptionSpec common[] = {
                {"Flag", OPTION_BOOLEAN, offsetof(Target, flag), NO_SEEN},
                {NULL, 0, 0, NO_SEEN},
};

static const char *const names[] = {"None", "One", "Two", NULL};

static const OptionSpec own[] = {
                {"List", OPTION_STRINGS, offsetof(Target, list), NO_SEEN},
                {"Table", OPTION_STRINGS_OF_OBJECTS, offsetof(Target, table), NO_SEEN},
                {"Choice", OPTION_ENUM, offsetof(Target, choice), NO_SEEN, names},
                {"Number", OPTION_UINT32, offsetof(Target, number), offsetof(Target, number_seen)},
                {"Large", OPTION_UINT64, offsetof(Target, large), NO_SEEN},
                {"Object", OPTION_OBJECT, offsetof(Target, object), NO_SEEN},
                {NULL, 0, 0, NO_SEEN},
};

static sd_bus *bus;
static Target target;
static GError *error;

/* Reads the options in the message, and frees it. */
static bool read_options(sd_bus_message *message) {
        bool ok;

        g_clear_error(&error);
        g_clear_pointer(&target.object, g_free);
        g_clear_pointer(&target.list, g_strfreev);
        g_clear_pointer(&target.table, g_hash_table_unref);
        target = (Target){0};
        ok = bus_options_read(message, common, own, &target, &error);
        g_assert_true(ok == !error);
        sd_bus_message_unref(message);
        return ok;
}

#define read_one(key, type, ...) read_options(test_message(bus, "a{sv}", 1, key, type, __VA_ARGS__))

static bool refused_for(const char *key) {
        bool ok = g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT) &&
                  strstr(error->message, key);

        g_clear_error(&error);
        return ok;
}

static void no_options_are_fine(void) {
        g_assert_true(read_options(test_message(bus, "a{sv}", 0)));
        g_assert_false(target.number_seen);
}

static void options_of_both_tables_are_read(void) {
        g_assert_true(read_options(test_message(bus, "a{sv}", 3, "Flag", "b", 1, "Number", "u", 17,
                        "Object", "o", "/a/b")));
        g_assert_true(target.flag);
        g_assert_cmpuint(target.number, ==, 17);
        g_assert_true(target.number_seen);
        g_assert_cmpstr(target.object, ==, "/a/b");
}

static void an_object_may_be_a_text(void) {
        g_assert_true(read_one("Object", "s", "/a/b"));
        g_assert_cmpstr(target.object, ==, "/a/b");
        g_assert_true(read_one("Object", "s", ""));
        g_assert_null(target.object);
}

static void every_integer_type_is_good_for_a_number(void) {
        g_assert_true(read_one("Number", "y", 200));
        g_assert_cmpuint(target.number, ==, 200);
        g_assert_true(read_one("Number", "n", 30000));
        g_assert_cmpuint(target.number, ==, 30000);
        g_assert_true(read_one("Number", "q", 60000));
        g_assert_cmpuint(target.number, ==, 60000);
        g_assert_true(read_one("Number", "i", INT32_MAX));
        g_assert_cmpuint(target.number, ==, INT32_MAX);
        g_assert_true(read_one("Number", "u", UINT32_MAX));
        g_assert_cmpuint(target.number, ==, UINT32_MAX);
        g_assert_true(read_one("Number", "x", (int64_t) UINT32_MAX));
        g_assert_cmpuint(target.number, ==, UINT32_MAX);
        g_assert_true(read_one("Number", "t", (uint64_t) UINT32_MAX));
        g_assert_cmpuint(target.number, ==, UINT32_MAX);
}

static void a_number_out_of_range_is_refused(void) {
        g_assert_false(read_one("Number", "n", -1));
        g_assert_true(refused_for("Number"));
        g_assert_false(read_one("Number", "i", -1));
        g_assert_true(refused_for("Number"));
        g_assert_false(read_one("Number", "x", (int64_t) UINT32_MAX + 1));
        g_assert_true(refused_for("Number"));
        g_assert_false(read_one("Number", "x", INT64_MIN));
        g_assert_true(refused_for("Number"));
        g_assert_false(read_one("Number", "t", UINT64_MAX));
        g_assert_true(refused_for("Number"));
}

static void a_large_number_ends_where_signed_ones_do(void) {
        g_assert_true(read_one("Large", "t", UINT64_C(300000000)));
        g_assert_cmpuint(target.large, ==, 300000000);
        g_assert_true(read_one("Large", "y", 7));
        g_assert_cmpuint(target.large, ==, 7);
        g_assert_true(read_one("Large", "x", INT64_MAX));
        g_assert_cmpuint(target.large, ==, INT64_MAX);
        g_assert_true(read_one("Large", "t", UINT64_MAX));
        g_assert_cmpuint(target.large, ==, INT64_MAX);
        g_assert_false(read_one("Large", "i", -1));
        g_assert_true(refused_for("Large"));
        g_assert_false(read_one("Large", "s", "1"));
        g_assert_true(refused_for("Large"));
}

static void a_choice_is_a_number_or_a_name(void) {
        g_assert_true(read_one("Choice", "y", 2));
        g_assert_cmpuint(target.choice, ==, 2);
        g_assert_true(read_one("Choice", "x", INT64_C(0)));
        g_assert_cmpuint(target.choice, ==, 0);
        g_assert_true(read_one("Choice", "s", "One"));
        g_assert_cmpuint(target.choice, ==, 1);
        g_assert_false(read_one("Choice", "u", 3));
        g_assert_true(refused_for("Choice"));
        g_assert_false(read_one("Choice", "i", -1));
        g_assert_true(refused_for("Choice"));
        g_assert_false(read_one("Choice", "s", "one"));
        g_assert_true(refused_for("Choice"));
        g_assert_false(read_one("Choice", "b", 1));
        g_assert_true(refused_for("Choice"));
}

static void a_list_has_its_texts(void) {
        g_assert_true(read_one("List", "as", 2, "a", "b"));
        g_assert_cmpuint(g_strv_length(target.list), ==, 2);
        g_assert_cmpstr(target.list[1], ==, "b");
        g_assert_true(read_one("List", "as", 0));
        g_assert_cmpuint(g_strv_length(target.list), ==, 0);
        g_assert_false(read_one("List", "s", "a"));
        g_assert_true(refused_for("List"));
        g_assert_false(read_one("List", "au", 1, 7));
        g_assert_true(refused_for("List"));
}

static void lists_by_object(void) {
        char **texts;

        g_assert_true(read_one("Table", "a{oas}", 2, "/a", 2, "x", "y", "/b", 0));
        g_assert_cmpuint(g_hash_table_size(target.table), ==, 2);
        texts = g_hash_table_lookup(target.table, "/a");
        g_assert_cmpuint(g_strv_length(texts), ==, 2);
        g_assert_cmpstr(texts[1], ==, "y");
        texts = g_hash_table_lookup(target.table, "/b");
        g_assert_cmpuint(g_strv_length(texts), ==, 0);
        g_assert_true(read_one("Table", "a{oas}", 2, "/a", 1, "x", "/a", 1, "z"));
        texts = g_hash_table_lookup(target.table, "/a");
        g_assert_cmpstr(texts[0], ==, "z");
        g_assert_false(read_one("Table", "as", 1, "a"));
        g_assert_true(refused_for("Table"));
        g_assert_false(read_one("Table", "a{sas}", 1, "a", 1, "x"));
        g_assert_true(refused_for("Table"));
}

static void a_wrong_type_is_refused(void) {
        g_assert_false(read_one("Number", "s", "17"));
        g_assert_true(refused_for("Number"));
        g_assert_false(read_one("Number", "d", 17.0));
        g_assert_true(refused_for("Number"));
        g_assert_false(read_one("Number", "b", 1));
        g_assert_true(refused_for("Number"));
        g_assert_false(read_one("Number", "ai", 1, 17));
        g_assert_true(refused_for("Number"));
        g_assert_false(read_one("Flag", "u", 1));
        g_assert_true(refused_for("Flag"));
        g_assert_false(read_one("Object", "s", "a/b"));
        g_assert_true(refused_for("Object"));
        g_assert_false(read_one("Flag", "v", "b", 1));
        g_assert_true(refused_for("Flag"));
}

static void an_unknown_key_is_refused(void) {
        g_assert_false(read_one("Colour", "s", "red"));
        g_assert_true(refused_for("Colour"));
        g_assert_false(read_one("flag", "b", 1));
        g_assert_true(refused_for("flag"));
        g_assert_false(read_one("", "b", 1));
        g_assert_true(refused_for("''"));
}

static void a_long_key_is_cut_in_the_text(void) {
        g_autofree char *key = g_strnfill(60000, 'k');

        g_assert_false(read_one(key, "b", 1));
        g_assert_cmpuint(strlen(error->message), <, 200);
}

static void a_key_that_is_given_twice_is_refused(void) {
        g_assert_false(read_options(
                        test_message(bus, "a{sv}", 2, "Number", "u", 1, "Number", "u", 1)));
        g_assert_true(refused_for("Number"));
}

/* Whatever was read before the mistake belongs to the caller, who clears the request. */
static void what_was_read_before_a_mistake_is_not_lost(void) {
        g_assert_false(read_options(
                        test_message(bus, "a{sv}", 2, "Object", "o", "/a", "Number", "s", "")));
        g_assert_cmpstr(target.object, ==, "/a");
        g_clear_pointer(&target.object, g_free);
}

static void tables_may_be_left_out(void) {
        auto_message message = test_message(bus, "a{sv}", 1, "Flag", "b", 1);

        g_clear_error(&error);
        g_assert_false(bus_options_read(message, NULL, NULL, &target, &error));
        g_assert_true(refused_for("Flag"));
}

static void arguments_after_the_options_can_be_read(void) {
        auto_message message = test_message(bus, "a{sv}s", 1, "Flag", "b", 1, "after");
        const char *text;

        g_assert_true(bus_options_read(message, common, own, &target, NULL));
        g_assert_cmpint(sd_bus_message_read(message, "s", &text), >, 0);
        g_assert_cmpstr(text, ==, "after");
}

static void what_is_no_dictionary_is_refused(void) {
        auto_message message = test_message(bus, "s", "x");

        g_clear_error(&error);
        g_assert_false(bus_options_read(message, common, own, &target, &error));
        assert_error(error, INVALID_ARGUMENT);
}

/* Limits */

static bool accepts(sd_bus_message *message) {
        bool ok;

        g_clear_error(&error);
        ok = bus_message_check(message, 10, &error);
        g_assert_true(ok || g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT));
        sd_bus_message_unref(message);
        return ok;
}

static void a_string_at_the_limit_is_accepted(void) {
        g_assert_true(accepts(test_message(bus, "s", "0123456789")));
        g_assert_false(accepts(test_message(bus, "s", "0123456789a")));
        g_assert_false(accepts(test_message(bus, "o", "/123456789a")));
        g_assert_false(accepts(test_message(bus, "g", "iiiiiiiiiii")));
}

static void a_string_inside_is_found(void) {
        g_assert_false(accepts(test_message(bus, "a{sv}", 1, "0123456789a", "b", 1)));
        g_assert_false(accepts(test_message(bus, "a{sv}", 1, "a", "s", "0123456789a")));
        g_assert_false(accepts(test_message(bus, "i(iv)", 1, 2, "as", 1, "0123456789a")));
        g_assert_true(accepts(test_message(bus, "i(iv)", 1, 2, "as", 1, "0123456789")));
}

static sd_bus_message *array_of(unsigned n) {
        sd_bus_message *message = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &message, "a.b", "/a", "a.b", "M"), >=,
                        0);
        g_assert_cmpint(sd_bus_message_open_container(message, 'a', "y"), >=, 0);
        for (unsigned i = 0; i < n; i++)
                g_assert_cmpint(sd_bus_message_append_basic(message, 'y', &(uint8_t){1}), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(message), >=, 0);
        return test_seal(message);
}

static void an_array_at_the_limit_is_accepted(void) {
        g_assert_true(accepts(array_of(1024)));
        g_assert_false(accepts(array_of(1025)));
}

static sd_bus_message *nested(unsigned depth) {
        sd_bus_message *message = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &message, "a.b", "/a", "a.b", "M"), >=,
                        0);
        for (unsigned i = 0; i < depth; i++)
                g_assert_cmpint(sd_bus_message_open_container(
                                                message, 'v', i + 1 < depth ? "v" : "b"),
                                >=, 0);
        g_assert_cmpint(sd_bus_message_append(message, "b", 1), >=, 0);
        for (unsigned i = 0; i < depth; i++)
                g_assert_cmpint(sd_bus_message_close_container(message), >=, 0);
        return test_seal(message);
}

static void containers_are_at_most_eight_deep(void) {
        g_assert_true(accepts(nested(8)));
        g_assert_false(accepts(nested(9)));
        g_assert_false(accepts(nested(40)));
}

static void a_checked_message_can_be_read_from_its_beginning(void) {
        auto_message message = test_message(bus, "sa{sv}", "text", 1, "Flag", "b", 1);
        const char *text;

        g_assert_true(bus_message_check(message, 10, NULL));
        g_assert_cmpint(sd_bus_message_read(message, "s", &text), >, 0);
        g_assert_cmpstr(text, ==, "text");
        g_assert_true(bus_options_read(message, common, own, &target, NULL));
}

static void a_message_without_arguments_is_accepted(void) {
        g_assert_true(accepts(test_message(bus, "")));
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        bus = test_bus_open(NULL);
        ADD(no_options_are_fine);
        ADD(lists_by_object);
        ADD(options_of_both_tables_are_read);
        ADD(an_object_may_be_a_text);
        ADD(every_integer_type_is_good_for_a_number);
        ADD(a_number_out_of_range_is_refused);
        ADD(a_large_number_ends_where_signed_ones_do);
        ADD(a_choice_is_a_number_or_a_name);
        ADD(a_list_has_its_texts);
        ADD(a_wrong_type_is_refused);
        ADD(an_unknown_key_is_refused);
        ADD(a_long_key_is_cut_in_the_text);
        ADD(a_key_that_is_given_twice_is_refused);
        ADD(what_was_read_before_a_mistake_is_not_lost);
        ADD(tables_may_be_left_out);
        ADD(arguments_after_the_options_can_be_read);
        ADD(what_is_no_dictionary_is_refused);
        ADD(a_string_at_the_limit_is_accepted);
        ADD(a_string_inside_is_found);
        ADD(an_array_at_the_limit_is_accepted);
        ADD(containers_are_at_most_eight_deep);
        ADD(a_checked_message_can_be_read_from_its_beginning);
        ADD(a_message_without_arguments_is_accepted);
        status = g_test_run();
        g_clear_error(&error);
        bus = sd_bus_flush_close_unref(bus);
        return status;
}
