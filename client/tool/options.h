/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line after parsing. Strings point into argv. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exit-code.h"

typedef enum BusKind { BUS_KIND_SYSTEM, BUS_KIND_USER, BUS_KIND_ADDRESS, BUS_KIND_HOST } BusKind;
typedef enum ProgressMode {
        PROGRESS_MODE_AUTO,
        PROGRESS_MODE_BAR,
        PROGRESS_MODE_PLAIN,
        PROGRESS_MODE_NONE
} ProgressMode;
typedef enum JsonMode { JSON_MODE_OFF, JSON_MODE_SHORT, JSON_MODE_PRETTY } JsonMode;
typedef enum ColorMode { COLOR_MODE_AUTO, COLOR_MODE_ALWAYS, COLOR_MODE_NEVER } ColorMode;

/* Options that only some commands take. */
typedef enum CommandOption {
        OPTION_PROPERTY = 1 << 0,
        OPTION_VALUE = 1 << 1,
        OPTION_PAUSED = 1 << 2,
        OPTION_FORCE_BOOT = 1 << 3,
        OPTION_BYPASS_CACHE = 1 << 4,
        OPTION_FORCE = 1 << 5,
        OPTION_QUEUE = 1 << 6,
        OPTION_ALL = 1 << 7,
        OPTION_ANY = 1 << 8,
        OPTION_VM = 1 << 9,
        OPTION_DISKS_ONLY = 1 << 10,
        OPTION_RECOVERY = 1 << 11,
        OPTION_QUIESCE = 1 << 12,
        OPTION_NOTES = 1 << 13,
        OPTION_IGNORE_DISKS = 1 << 14,
        OPTION_CHILDREN = 1 << 15,
        OPTION_OF_COLLECTIONS = 1 << 16,
        OPTION_SETTING = 1 << 17,
        OPTION_NO_SNAPSHOTS = 1 << 18,
        OPTION_SNAPSHOT = 1 << 19,
        OPTION_LIVE = 1 << 20,
        OPTION_EXCLUDE = 1 << 21,
        OPTION_NO_STORAGE = 1 << 22,
        OPTION_NO_RUNTIME = 1 << 23,
        OPTION_NO_SUBDIRECTORY = 1 << 24,
        OPTION_NAME = 1 << 25,
        OPTION_NEW_IDENTIFIER = 1 << 26,
        OPTION_STORAGE = 1 << 27,
        OPTION_VALIDATE = 1 << 28,
        OPTION_BASE = 1 << 29,
        OPTION_SINCE = 1 << 30,
        OPTION_WITHIN = 1U << 31,
} CommandOption;

/* The arguments of an option that may be given several times, in their order. */
typedef struct WordList {
        const char **items;
        size_t count;
} WordList;

typedef struct Options {
        BusKind bus;
        const char *address; /* of BUS_KIND_ADDRESS or BUS_KIND_HOST */
        bool wait;
        bool detach_on_interrupt;
        bool legend;
        bool pager;
        bool full;
        bool ask_password;
        bool quiet;
        bool help;
        bool version;
        bool has_timeout;
        uint64_t timeout_usec;
        ProgressMode progress;
        JsonMode json;
        ColorMode color_mode;
        bool color; /* color_mode applied to the standard output that we began with */

        unsigned command_options; /* of CommandOption, those that were given */
        const char *property;
        const char *vm;
        const char *notes;
        const char *snapshot;
        const char *name;
        const char *storage;
        const char *since;
        uint64_t within_usec;
        unsigned live;   /* the value of CaptureLiveState */
        bool live_named; /* and not the preset */
        WordList settings;
        WordList excluded;
        WordList bases;
} Options;

/* Sorts @argv as getopt does and sets the index of the first argument that is no option. Prints
 * what is wrong. */
ExitCode options_parse(Options *options, int argc, char *argv[], int *ret_first);
void options_clear(Options *options);

static inline bool options_has(const Options *options, CommandOption option) {
        return (options->command_options & (unsigned) option) != 0;
}

/* The long name of a command option, and how @index reaches all long names for completion (NULL at
 * the end). */
const char *options_command_name(unsigned option);
const char *options_long_name(unsigned index, bool *ret_argument, unsigned *ret_command_option);

/* The words an option can take ("auto", "bar", ...), NULL-terminated; NULL if it is free text. */
const char *const *options_words(const char *long_name);
