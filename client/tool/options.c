/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command line. One table of long options serves the parser, the check that a command takes an
 * option, and completion. Options may stand before and after the command; the environment gives
 * defaults, the command line wins. */

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "message.h"
#include "options.h"

/* More than a year of waiting is no timeout; it also keeps the sum with the clock far from
 * overflow. */
#define TIMEOUT_MAX_SECONDS (366.0 * 24 * 3600)

/* Codes of options without a letter; the command options have COMMAND plus their bit's number. */
enum {
        CODE_NO_WAIT = 0x100,
        CODE_TIMEOUT,
        CODE_DETACH,
        CODE_PROGRESS,
        CODE_JSON,
        CODE_NO_PAGER,
        CODE_NO_LEGEND,
        CODE_COLOR,
        CODE_NO_ASK_PASSWORD,
        CODE_SYSTEM,
        CODE_USER,
        CODE_ADDRESS,
        CODE_VERSION,
        CODE_COMMAND = 0x200,
};

/* clang-format off */
static const struct option long_options[] = {
        {"no-wait",             no_argument,       NULL, CODE_NO_WAIT},
        {"no-block",            no_argument,       NULL, CODE_NO_WAIT},
        {"timeout",             required_argument, NULL, CODE_TIMEOUT},
        {"detach-on-interrupt", no_argument,       NULL, CODE_DETACH},
        {"progress",            required_argument, NULL, CODE_PROGRESS},
        {"json",                optional_argument, NULL, CODE_JSON},
        {"no-pager",            no_argument,       NULL, CODE_NO_PAGER},
        {"no-legend",           no_argument,       NULL, CODE_NO_LEGEND},
        {"full",                no_argument,       NULL, 'l'},
        {"color",               required_argument, NULL, CODE_COLOR},
        {"no-ask-password",     no_argument,       NULL, CODE_NO_ASK_PASSWORD},
        {"system",              no_argument,       NULL, CODE_SYSTEM},
        {"user",                no_argument,       NULL, CODE_USER},
        {"address",             required_argument, NULL, CODE_ADDRESS},
        {"host",                required_argument, NULL, 'H'},
        {"quiet",               no_argument,       NULL, 'q'},
        {"help",                no_argument,       NULL, 'h'},
        {"version",             no_argument,       NULL, CODE_VERSION},
        {"property",            required_argument, NULL, CODE_COMMAND + 0},
        {"value",               no_argument,       NULL, CODE_COMMAND + 1},
        {"paused",              no_argument,       NULL, CODE_COMMAND + 2},
        {"force-boot",          no_argument,       NULL, CODE_COMMAND + 3},
        {"bypass-cache",        no_argument,       NULL, CODE_COMMAND + 4},
        {"force",               no_argument,       NULL, CODE_COMMAND + 5},
        {"queue",               no_argument,       NULL, CODE_COMMAND + 6},
        {"all",                 no_argument,       NULL, CODE_COMMAND + 7},
        {"any",                 no_argument,       NULL, CODE_COMMAND + 8},
        {"vm",                  required_argument, NULL, CODE_COMMAND + 9},
        {"disks-only",          no_argument,       NULL, CODE_COMMAND + 10},
        {"recovery",            no_argument,       NULL, CODE_COMMAND + 11},
        {"quiesce",             no_argument,       NULL, CODE_COMMAND + 12},
        {"notes",               required_argument, NULL, CODE_COMMAND + 13},
        {"ignore-disks",        no_argument,       NULL, CODE_COMMAND + 14},
        {"children",            no_argument,       NULL, CODE_COMMAND + 15},
        {"of-collections",      no_argument,       NULL, CODE_COMMAND + 16},
        {"setting",             required_argument, NULL, CODE_COMMAND + 17},
        {"no-snapshots",        no_argument,       NULL, CODE_COMMAND + 18},
        {"snapshot",            required_argument, NULL, CODE_COMMAND + 19},
        {"live",                optional_argument, NULL, CODE_COMMAND + 20},
        {"exclude",             required_argument, NULL, CODE_COMMAND + 21},
        {"no-storage",          no_argument,       NULL, CODE_COMMAND + 22},
        {"no-runtime",          no_argument,       NULL, CODE_COMMAND + 23},
        {"no-subdirectory",     no_argument,       NULL, CODE_COMMAND + 24},
        {"name",                required_argument, NULL, CODE_COMMAND + 25},
        {"new-identifier",      no_argument,       NULL, CODE_COMMAND + 26},
        {"storage",             required_argument, NULL, CODE_COMMAND + 27},
        {"validate",            no_argument,       NULL, CODE_COMMAND + 28},
        {"base",                required_argument, NULL, CODE_COMMAND + 29},
        {"since",               required_argument, NULL, CODE_COMMAND + 30},
        {"within",              required_argument, NULL, CODE_COMMAND + 31},
        {NULL, 0, NULL, 0},
};
/* clang-format on */

static const char short_options[] = "hjlqp:H:";

static const char *const progress_words[] = {"auto", "bar", "plain", "none", NULL};
static const char *const json_words[] = {"off", "short", "pretty", NULL};
static const char *const color_words[] = {"auto", "always", "never", NULL};
static const char *const live_words[] = {"crash", "saved", "application", NULL};

/* What people expect of an export of a guest that runs: that it goes on from there. */
#define LIVE_DEFAULT "saved"

/* The position of @word, which is the enumeration of the same order, or -1 with a message. */
static int parse_word(const char *option, const char *word, const char *const words[]) {
        for (int i = 0; words[i]; i++)
                if (strcmp(words[i], word) == 0)
                        return i;
        message_error("--%s can not be \"%s\"", option, word);
        return -1;
}

static ExitCode parse_seconds(const char *option, const char *text, uint64_t *ret_usec) {
        char *end = NULL;
        double seconds;

        errno = 0;
        seconds = strtod(text, &end);
        if (errno != 0 || end == text || *end || !isfinite(seconds) || seconds < 0 ||
                        seconds > TIMEOUT_MAX_SECONDS) {
                message_error("--%s needs a number of seconds, not \"%s\"", option, text);
                return EXIT_CODE_USAGE;
        }
        *ret_usec = (uint64_t) (seconds * (double) USEC_PER_SEC);
        return EXIT_CODE_OK;
}

static ExitCode set_bus(Options *options, BusKind kind, const char *address) {
        /* A host that begins with "-" would be an option of ssh. */
        if (address && (!*address || *address == '-')) {
                message_error("\"%s\" is no %s", address,
                                kind == BUS_KIND_HOST ? "host" : "bus address");
                return EXIT_CODE_USAGE;
        }
        options->bus = kind;
        options->address = address;
        return EXIT_CODE_OK;
}

/* Command options whose argument is a text set a field, or grow a list. */
/* clang-format off */
static const struct {
        CommandOption option;
        size_t field;
        bool list;
} texts[] = {
        {OPTION_PROPERTY, offsetof(Options, property), false},
        {OPTION_VM,       offsetof(Options, vm),       false},
        {OPTION_NOTES,    offsetof(Options, notes),    false},
        {OPTION_SNAPSHOT, offsetof(Options, snapshot), false},
        {OPTION_NAME,     offsetof(Options, name),     false},
        {OPTION_STORAGE,  offsetof(Options, storage),  false},
        {OPTION_SINCE,    offsetof(Options, since),    false},
        {OPTION_SETTING,  offsetof(Options, settings), true},
        {OPTION_EXCLUDE,  offsetof(Options, excluded), true},
        {OPTION_BASE,     offsetof(Options, bases),    true},
};
/* clang-format on */

static void word_list_add(WordList *list, const char *word) {
        list->items = array_grow(list->items, list->count, sizeof(*list->items));
        list->items[list->count++] = word;
}

static ExitCode apply_live(Options *options, const char *argument) {
        int word = parse_word("live", argument ? argument : LIVE_DEFAULT, live_words);

        if (word < 0)
                return EXIT_CODE_USAGE;
        options->live = (unsigned) word;
        options->live_named = argument;
        return EXIT_CODE_OK;
}

static ExitCode apply_command_option(Options *options, unsigned index, const char *argument) {
        options->command_options |= 1U << index;
        for (size_t i = 0; i < ELEMENTS(texts); i++) {
                char *field = (char *) options + texts[i].field;

                if (1U << index != texts[i].option)
                        continue;
                if (texts[i].list)
                        word_list_add((WordList *) (void *) field, argument);
                else
                        *(const char **) (void *) field = argument;
        }
        if (1U << index == OPTION_WITHIN)
                return parse_seconds("within", argument, &options->within_usec);
        return 1U << index == OPTION_LIVE ? apply_live(options, argument) : EXIT_CODE_OK;
}

static ExitCode apply_word_option(Options *options, int code, const char *argument) {
        int word;

        switch (code) {
        case CODE_PROGRESS:
                word = parse_word("progress", argument, progress_words);
                options->progress = word < 0 ? options->progress : (ProgressMode) word;
                break;
        case CODE_COLOR:
                word = parse_word("color", argument, color_words);
                options->color_mode = word < 0 ? options->color_mode : (ColorMode) word;
                break;
        default:
                word = parse_word("json", argument ? argument : "short", json_words);
                options->json = word < 0 ? options->json : (JsonMode) word;
        }
        return word < 0 ? EXIT_CODE_USAGE : EXIT_CODE_OK;
}

/* Options without an argument set a field. */
/* clang-format off */
static const struct {
        int code;
        size_t field;
        bool value;
} flags[] = {
        {CODE_NO_WAIT,         offsetof(Options, wait),                false},
        {CODE_DETACH,          offsetof(Options, detach_on_interrupt), true},
        {CODE_NO_PAGER,        offsetof(Options, pager),               false},
        {CODE_NO_LEGEND,       offsetof(Options, legend),              false},
        {'l',                  offsetof(Options, full),                true},
        {CODE_NO_ASK_PASSWORD, offsetof(Options, ask_password),        false},
        {'q',                  offsetof(Options, quiet),               true},
        {'h',                  offsetof(Options, help),                true},
        {CODE_VERSION,         offsetof(Options, version),             true},
};
/* clang-format on */

static bool apply_flag(Options *options, int code) {
        for (size_t i = 0; i < ELEMENTS(flags); i++)
                if (flags[i].code == code) {
                        bool *field = (bool *) ((char *) options + flags[i].field);

                        *field = flags[i].value;
                        return true;
                }
        return false;
}

static ExitCode apply(Options *options, int code, const char *argument) {
        if (apply_flag(options, code))
                return EXIT_CODE_OK;
        switch (code) {
        case CODE_TIMEOUT:
                options->has_timeout = true;
                return parse_seconds("timeout", argument, &options->timeout_usec);
        case CODE_PROGRESS:
        case CODE_JSON:
        case CODE_COLOR:
                return apply_word_option(options, code, argument);
        case 'j':
                return apply_word_option(options, CODE_JSON, NULL);
        case CODE_SYSTEM:
                return set_bus(options, BUS_KIND_SYSTEM, NULL);
        case CODE_USER:
                return set_bus(options, BUS_KIND_USER, NULL);
        case CODE_ADDRESS:
                return set_bus(options, BUS_KIND_ADDRESS, argument);
        case 'H':
                return set_bus(options, BUS_KIND_HOST, argument);
        case 'p':
                return apply_command_option(options, 0, argument);
        default:
                if (code < CODE_COMMAND)
                        return EXIT_CODE_USAGE; /* getopt has said why */
                return apply_command_option(options, (unsigned) (code - CODE_COMMAND), argument);
        }
}

static bool wants_color(const Options *options) {
        const char *no_color = getenv("NO_COLOR");
        const char *terminal = getenv("TERM");

        if (options->color_mode != COLOR_MODE_AUTO)
                return options->color_mode == COLOR_MODE_ALWAYS;
        if (options->json != JSON_MODE_OFF || (no_color && *no_color))
                return false;
        return isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

static void options_init(Options *options) {
        const char *interrupt = getenv("VIRTASK_INTERRUPT");

        *options = (Options){
                        .wait = true,
                        .legend = true,
                        .pager = true,
                        .ask_password = true,
                        .detach_on_interrupt = interrupt && strcmp(interrupt, "detach") == 0,
        };
}

ExitCode options_parse(Options *options, int argc, char *argv[], int *ret_first) {
        int code;

        options_init(options);
        while ((code = getopt_long(argc, argv, short_options, long_options, NULL)) >= 0) {
                ExitCode result = apply(options, code, optarg);

                if (result != EXIT_CODE_OK)
                        return result;
        }
        options->color = wants_color(options);
        *ret_first = optind;
        return EXIT_CODE_OK;
}

void options_clear(Options *options) {
        free(options->settings.items);
        free(options->excluded.items);
        free(options->bases.items);
        options->settings = options->excluded = options->bases = (WordList){0};
}

const char *options_command_name(unsigned option) {
        for (size_t i = 0; long_options[i].name; i++)
                if (long_options[i].val >= CODE_COMMAND &&
                                1U << (long_options[i].val - CODE_COMMAND) == option)
                        return long_options[i].name;
        return NULL;
}

const char *options_long_name(unsigned index, bool *ret_argument, unsigned *ret_command_option) {
        const struct option *option = long_options + index;

        if (!option->name)
                return NULL;
        *ret_argument = option->has_arg == required_argument;
        *ret_command_option = option->val >= CODE_COMMAND ? 1U << (option->val - CODE_COMMAND) : 0;
        return option->name;
}

const char *const *options_words(const char *long_name) {
        static const struct {
                const char *name;
                const char *const *words;
        } rows[] = {
                        {"progress", progress_words},
                        {"json", json_words},
                        {"color", color_words},
                        {"live", live_words},
        };

        for (size_t i = 0; i < ELEMENTS(rows); i++)
                if (strcmp(rows[i].name, long_name) == 0)
                        return rows[i].words;
        return NULL;
}
