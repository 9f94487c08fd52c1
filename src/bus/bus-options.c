/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Settings arrive as dictionaries. People type them with busctl, which makes them name a type for
 * each value, so any integer type is good for a number; but a key that nobody knows is refused,
 * because a misspelt option that is ignored does something else than what was asked for. */

#include "bus/bus-options.h"

#include <errno.h>
#include <string.h>

#include "util/error.h"

#define ELEMENTS_MAX 1024
#define DEPTH_MAX    8

static bool invalid(GError **error, const char *what, const char *key) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT, "The option '%.64s' %s",
                        key, what);
        return false;
}

static const OptionSpec *find_spec(const OptionSpec *table, const char *key) {
        for (; table && table->key; table++)
                if (g_str_equal(table->key, key))
                        return table;
        return NULL;
}

/* All integers of D-Bus in one signed number; no option tells those above INT64_MAX apart. */
static int read_integer(sd_bus_message *message, char type, int64_t *ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
        } value;
        int r = sd_bus_message_read_basic(message, type, &value);

        if (r < 0)
                return r;
        switch (type) {
        case 'y':
                *ret = value.y;
                return 1;
        case 'n':
                *ret = value.n;
                return 1;
        case 'q':
                *ret = value.q;
                return 1;
        case 'i':
                *ret = value.i;
                return 1;
        case 'u':
                *ret = value.u;
                return 1;
        case 'x':
                *ret = value.x;
                return 1;
        case 't':
                *ret = value.t > INT64_MAX ? INT64_MAX : (int64_t) value.t;
                return 1;
        default:
                return -EINVAL;
        }
}

static bool read_large_number(sd_bus_message *message,
                char type,
                const char *key,
                uint64_t *ret,
                GError **error) {
        int64_t number;

        if (!strchr("ynqiuxt", type) || read_integer(message, type, &number) < 0)
                return invalid(error, "must be an integer", key);
        if (number < 0)
                return invalid(error, "is out of range", key);
        *ret = (uint64_t) number;
        return true;
}

static bool
read_number(sd_bus_message *message, char type, const char *key, uint32_t *ret, GError **error) {
        uint64_t number;

        if (!read_large_number(message, type, key, &number, error))
                return false;
        if (number > UINT32_MAX)
                return invalid(error, "is out of range", key);
        *ret = (uint32_t) number;
        return true;
}

static bool read_text(sd_bus_message *message, char type, void *field) {
        const char *text;

        if (sd_bus_message_read_basic(message, type, &text) < 0)
                return false;
        *(char **) field = g_strdup(text);
        return true;
}

/* Also as a text: what the documents call a reference is a string there, and an empty one is none.
 */
static bool read_object(sd_bus_message *message, const char *contents, char **field) {
        if (g_str_equal(contents, "o"))
                return read_text(message, 'o', field);
        if (!g_str_equal(contents, "s") || !read_text(message, 's', field))
                return false;
        if (**field)
                return g_variant_is_object_path(*field);
        g_clear_pointer(field, g_free);
        return true;
}

static bool read_texts(sd_bus_message *message, void *field) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
        const char *text;
        int r = sd_bus_message_enter_container(message, 'a', "s");

        if (r < 0)
                return false;
        while ((r = sd_bus_message_read_basic(message, 's', &text)) > 0)
                g_ptr_array_add(list, g_strdup(text));
        if (r < 0 || sd_bus_message_exit_container(message) < 0)
                return false;
        g_ptr_array_add(list, NULL);
        *(char ***) field = (char **) g_ptr_array_free(g_steal_pointer(&list), FALSE);
        return true;
}

static void free_texts(void *texts) {
        g_strfreev(texts);
}

/* One that is named twice has what is said last. */
static bool read_texts_of_objects(sd_bus_message *message, void *field) {
        g_autoptr(GHashTable) table =
                        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_texts);
        const char *object;
        char **texts;
        int r = sd_bus_message_enter_container(message, 'a', "{oas}");

        if (r < 0)
                return false;
        while ((r = sd_bus_message_enter_container(message, 'e', "oas")) > 0) {
                if (sd_bus_message_read_basic(message, 'o', &object) < 0 ||
                                !read_texts(message, &texts))
                        return false;
                g_hash_table_replace(table, g_strdup(object), texts);
                if (sd_bus_message_exit_container(message) < 0)
                        return false;
        }
        if (r < 0 || sd_bus_message_exit_container(message) < 0)
                return false;
        *(GHashTable **) field = g_steal_pointer(&table);
        return true;
}

static bool read_enum(sd_bus_message *message,
                const OptionSpec *spec,
                const char *contents,
                uint32_t *ret,
                GError **error) {
        const char *const *names = spec->names;
        const char *text;

        if (!g_str_equal(contents, "s"))
                return read_number(message, contents[1] ? 0 : contents[0], spec->key, ret, error) &&
                       (*ret < g_strv_length((char **) names) ||
                                       invalid(error, "is out of range", spec->key));
        if (sd_bus_message_read_basic(message, 's', &text) < 0)
                return invalid(error, "can not be read", spec->key);
        for (uint32_t i = 0; names[i]; i++)
                if (g_str_equal(names[i], text)) {
                        *ret = i;
                        return true;
                }
        return invalid(error, "has no value of that name", spec->key);
}

static bool read_value(sd_bus_message *message,
                const OptionSpec *spec,
                const char *contents,
                void *target,
                GError **error) {
        void *field = (char *) target + spec->offset;
        int flag;

        switch (spec->type) {
        case OPTION_BOOLEAN:
                if (!g_str_equal(contents, "b") ||
                                sd_bus_message_read_basic(message, 'b', &flag) < 0)
                        return invalid(error, "must be a boolean", spec->key);
                *(bool *) field = flag;
                return true;
        case OPTION_UINT32:
                return read_number(message, contents[1] ? 0 : contents[0], spec->key, field, error);
        case OPTION_UINT64:
                return read_large_number(
                                message, contents[1] ? 0 : contents[0], spec->key, field, error);
        case OPTION_OBJECT:
                return read_object(message, contents, (char **) field) ||
                       invalid(error, "must be an object path", spec->key);
        case OPTION_STRING:
                return (g_str_equal(contents, "s") && read_text(message, 's', field)) ||
                       invalid(error, "must be a text", spec->key);
        case OPTION_STRINGS:
                return (g_str_equal(contents, "as") && read_texts(message, field)) ||
                       invalid(error, "must be a list of texts", spec->key);
        case OPTION_ENUM:
                return read_enum(message, spec, contents, field, error);
        case OPTION_STRINGS_OF_OBJECTS:
                return (g_str_equal(contents, "a{oas}") && read_texts_of_objects(message, field)) ||
                       invalid(error, "must be lists of texts by object path", spec->key);
        }
        g_assert_not_reached();
}

static bool read_entry(sd_bus_message *message,
                const OptionSpec *common,
                const OptionSpec *own,
                GHashTable *seen,
                void *target,
                GError **error) {
        const OptionSpec *spec;
        const char *key, *contents;

        if (sd_bus_message_read_basic(message, 's', &key) < 0 ||
                        sd_bus_message_peek_type(message, NULL, &contents) <= 0)
                return invalid(error, "can not be read", "?");

        spec = find_spec(own, key) ?: find_spec(common, key);
        if (!spec)
                return invalid(error, "is not known", key);
        if (!g_hash_table_add(seen, (void *) spec))
                return invalid(error, "is given twice", key);
        if (sd_bus_message_enter_container(message, 'v', contents) < 0)
                return invalid(error, "can not be read", key);
        if (!read_value(message, spec, contents, target, error))
                return false;
        if (spec->seen_offset != NO_SEEN)
                *(bool *) ((char *) target + spec->seen_offset) = true;
        return sd_bus_message_exit_container(message) >= 0;
}

bool bus_options_read(sd_bus_message *message,
                const OptionSpec *common,
                const OptionSpec *own,
                void *target,
                GError **error) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        int r = sd_bus_message_enter_container(message, 'a', "{sv}");

        if (r < 0)
                return invalid(error, "can not be read", "?");
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                if (!read_entry(message, common, own, seen, target, error))
                        return false;
                (void) sd_bus_message_exit_container(message);
        }
        (void) sd_bus_message_exit_container(message);
        if (r < 0)
                return invalid(error, "can not be read", "?");
        return true;
}

static bool too_large(GError **error, const char *what) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT, "%s", what);
        return false;
}

static bool check_level(sd_bus_message *message, size_t limit, unsigned depth, GError **error) {
        const char *contents, *string;
        unsigned elements = 0;
        char type;

        if (depth > DEPTH_MAX)
                return too_large(error, "The arguments are nested too deep");
        while (sd_bus_message_peek_type(message, &type, &contents) > 0) {
                if (++elements > ELEMENTS_MAX)
                        return too_large(error, "An array of the arguments is too long");
                if (strchr("sog", type)) {
                        if (sd_bus_message_read_basic(message, type, &string) < 0)
                                return too_large(error, "The arguments can not be read");
                        if (strlen(string) > limit)
                                return too_large(error, "A string of the arguments is too long");
                } else if (strchr("avre", type)) {
                        if (sd_bus_message_enter_container(message, type, contents) < 0)
                                return too_large(error, "The arguments can not be read");
                        if (!check_level(message, limit, depth + 1, error))
                                return false;
                        (void) sd_bus_message_exit_container(message);
                } else if (sd_bus_message_skip(message, (const char[]){type, 0}) < 0)
                        return too_large(error, "The arguments can not be read");
        }
        return true;
}

bool bus_message_check(sd_bus_message *message, size_t limit, GError **error) {
        bool ok = check_level(message, limit, 0, error);

        (void) sd_bus_message_rewind(message, true);
        return ok;
}
