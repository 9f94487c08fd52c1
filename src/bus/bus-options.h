/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Arguments of a call, read with a table: options in an a{sv} and the limits that hold for every
 * message. Loop. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

typedef enum OptionType {
        OPTION_BOOLEAN, /* bool */
        OPTION_UINT32,  /* uint32_t; any integer type is accepted on the bus, in range */
        OPTION_UINT64,  /* uint64_t; the same, at most INT64_MAX: what is above is that */
        OPTION_OBJECT,  /* char *, owned; an object path, or NULL for an empty text */
        OPTION_STRING,  /* char *, owned */
        OPTION_STRINGS, /* char **, owned */
        OPTION_ENUM,    /* uint32_t; the number of one of the names, or the name */
        OPTION_STRINGS_OF_OBJECTS, /* GHashTable *, owned: object path -> char ** */
} OptionType;

typedef struct OptionSpec {
        const char *key;
        OptionType type;
        size_t offset;      /* of the value in the target */
        size_t seen_offset; /* of a bool that becomes true when the key is given, or NO_SEEN */
        const char *const *names; /* of OPTION_ENUM, from 0 up; ends with NULL */
} OptionSpec;

#define NO_SEEN ((size_t) -1)

/* Reads the a{sv} at the message's position into "target"; "common" and "own" (either may be NULL)
 * are tables that end with a key of NULL. A key that is in neither, given twice, or of the wrong
 * type is INVALID_ARGUMENT, and the text names it. */
bool bus_options_read(sd_bus_message *message,
                const OptionSpec *common,
                const OptionSpec *own,
                void *target,
                GError **error);

/* Whether every string of the message is at most "limit" bytes, every array at most 1024 elements
 * and every container at most 8 deep. Leaves the message rewound. */
bool bus_message_check(sd_bus_message *message, size_t limit, GError **error);
