/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writes JSON. libsystemd 252 exports no JSON functions, and a writer is little enough to have
 * here. What comes from the bus is escaped completely: control characters, DEL, and bytes that are
 * not UTF-8 (replaced by U+FFFD), so that a line of JSON Lines is one line and safe to show.
 * Numbers of 64 bits are written in full; readers that hold numbers as doubles lose digits only
 * above 2^53 bytes or microseconds. */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "text.h"

void json_clear(JsonWriter *w) {
        buffer_clear(&w->out);
}

static void add_quoted(JsonWriter *w, const char *text) {
        buffer_add(&w->out, "\"");
        while (*text) {
                uint32_t character = 0;
                size_t length = text_decode(text, &character);

                if (length == 0)
                        buffer_add(&w->out, "\\ufffd");
                else if (character == '"' || character == '\\')
                        buffer_add_format(&w->out, "\\%c", (char) character);
                else if (character < 0x20 || (character >= 0x7F && character < 0xA0) ||
                                (character >= 0x2028 && character <= 0x202E))
                        buffer_add_format(&w->out, "\\u%04x", character);
                else
                        buffer_add_bytes(&w->out, text, length);
                text += length ? length : 1;
        }
        buffer_add(&w->out, "\"");
}

static void add_indent(JsonWriter *w) {
        if (!w->pretty)
                return;
        buffer_add(&w->out, "\n");
        buffer_add_repeat(&w->out, "  ", w->depth);
}

static void begin_value(JsonWriter *w, const char *key) {
        if (w->comma)
                buffer_add(&w->out, ",");
        if (w->depth > 0)
                add_indent(w);
        w->comma = true;
        if (!key)
                return;
        add_quoted(w, key);
        buffer_add(&w->out, w->pretty ? ": " : ":");
}

void json_begin(JsonWriter *w, const char *key, char bracket) {
        begin_value(w, key);
        buffer_add_bytes(&w->out, &bracket, 1);
        w->depth++;
        w->comma = false;
}

void json_end(JsonWriter *w, char bracket) {
        w->depth--;
        if (w->comma)
                add_indent(w);
        buffer_add_bytes(&w->out, &bracket, 1);
        w->comma = true;
}

void json_string(JsonWriter *w, const char *key, const char *value) {
        begin_value(w, key);
        if (value)
                add_quoted(w, value);
        else
                buffer_add(&w->out, "null");
}

void json_unsigned(JsonWriter *w, const char *key, uint64_t value) {
        begin_value(w, key);
        buffer_add_format(&w->out, "%ju", (uintmax_t) value);
}

void json_boolean(JsonWriter *w, const char *key, bool value) {
        begin_value(w, key);
        buffer_add(&w->out, value ? "true" : "false");
}

static void json_signed(JsonWriter *w, const char *key, int64_t value) {
        begin_value(w, key);
        buffer_add_format(&w->out, "%jd", (intmax_t) value);
}

static void json_double(JsonWriter *w, const char *key, double value) {
        begin_value(w, key);
        if (isfinite(value))
                buffer_add_format(&w->out, "%.17g", value);
        else
                buffer_add(&w->out, "null");
}

typedef union BasicValue {
        uint8_t byte;
        int boolean;
        int16_t int16;
        uint16_t uint16;
        int32_t int32;
        uint32_t uint32;
        int64_t int64;
        uint64_t uint64;
        double real;
        const char *string;
} BasicValue;

static int message_basic(JsonWriter *w, const char *key, sd_bus_message *m, char type) {
        BasicValue value = {0};
        int r = sd_bus_message_read_basic(m, type, &value);

        if (r < 0)
                return r;
        switch (type) {
        case SD_BUS_TYPE_BYTE:
                json_unsigned(w, key, value.byte);
                break;
        case SD_BUS_TYPE_BOOLEAN:
                json_boolean(w, key, value.boolean != 0);
                break;
        case SD_BUS_TYPE_INT16:
                json_signed(w, key, value.int16);
                break;
        case SD_BUS_TYPE_UINT16:
                json_unsigned(w, key, value.uint16);
                break;
        case SD_BUS_TYPE_INT32:
                json_signed(w, key, value.int32);
                break;
        case SD_BUS_TYPE_UINT32:
                json_unsigned(w, key, value.uint32);
                break;
        case SD_BUS_TYPE_INT64:
                json_signed(w, key, value.int64);
                break;
        case SD_BUS_TYPE_UINT64:
                json_unsigned(w, key, value.uint64);
                break;
        case SD_BUS_TYPE_DOUBLE:
                json_double(w, key, value.real);
                break;
        case SD_BUS_TYPE_STRING:
        case SD_BUS_TYPE_OBJECT_PATH:
        case SD_BUS_TYPE_SIGNATURE:
                json_string(w, key, value.string);
                break;
        default: /* a descriptor has no meaning outside of the message */
                json_string(w, key, NULL);
        }
        return 0;
}

static bool is_string_type(char type) {
        return type == SD_BUS_TYPE_STRING || type == SD_BUS_TYPE_OBJECT_PATH ||
               type == SD_BUS_TYPE_SIGNATURE;
}

static int message_dictionary(
                JsonWriter *w, const char *key, sd_bus_message *m, const char *entry) {
        int r;

        json_begin(w, key, '{');
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, entry)) > 0) {
                const char *name = NULL;

                r = sd_bus_message_read_basic(m, entry[0], &name);
                if (r < 0)
                        return r;
                r = json_message_value(w, name, m);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        json_end(w, '}');
        return r;
}

static int message_sequence(JsonWriter *w, const char *key, sd_bus_message *m, bool variant) {
        int r;

        if (variant)
                return json_message_value(w, key, m);
        json_begin(w, key, '[');
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                r = json_message_value(w, NULL, m);
                if (r < 0)
                        return r;
        }
        json_end(w, ']');
        return r;
}

int json_message_value(JsonWriter *w, const char *key, sd_bus_message *m) {
        const char *contents = NULL;
        char type = 0;
        int r = sd_bus_message_peek_type(m, &type, &contents);

        if (r < 0)
                return r;
        if (r == 0)
                return -ENXIO;
        if (!contents)
                return message_basic(w, key, m, type);
        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        if (type == SD_BUS_TYPE_ARRAY && contents[0] == SD_BUS_TYPE_DICT_ENTRY_BEGIN &&
                        is_string_type(contents[1])) {
                _cleanup_free_ char *entry = xstrdup(contents + 1);

                entry[strlen(entry) - 1] = '\0';
                r = message_dictionary(w, key, m, entry);
        } else
                r = message_sequence(w, key, m, type == SD_BUS_TYPE_VARIANT);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

void json_flush(JsonWriter *w) {
        buffer_add(&w->out, "\n");
        (void) fwrite(w->out.text, 1, w->out.length, stdout);
        (void) fflush(stdout);
        buffer_clear(&w->out);
        w->comma = false;
}
