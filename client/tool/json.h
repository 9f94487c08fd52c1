/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A writer of JSON documents, compact or indented. Keys are ours; string values may be any bytes.
 */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "buffer.h"

typedef struct JsonWriter {
        Buffer out;
        bool pretty;
        bool comma; /* the next value is not the first of its container */
        unsigned depth;
} JsonWriter;

#define _cleanup_json_ _cleanup_(json_clear)

void json_clear(JsonWriter *w);

/* @key is NULL inside an array and at the top. */
void json_begin(JsonWriter *w, const char *key, char bracket);
void json_end(JsonWriter *w, char bracket);
void json_string(JsonWriter *w, const char *key, const char *value); /* NULL writes null */
void json_unsigned(JsonWriter *w, const char *key, uint64_t value);
void json_boolean(JsonWriter *w, const char *key, bool value);

/* The next value of @m, of whatever type it is. Dictionaries with string-like keys become objects,
 * variants their value. Returns a negative errno if the message is damaged. */
int json_message_value(JsonWriter *w, const char *key, sd_bus_message *m);

/* Prints the document and a newline to standard output at once, and begins anew. */
void json_flush(JsonWriter *w);
