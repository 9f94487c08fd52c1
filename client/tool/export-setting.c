/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The service has these settings in a table of its own (src/export/settings.c), and a test compares
 * the two. What goes together with what is the service's affair; checked here is what a person can
 * mistype, because the message can name what was typed. Called by cmd-export.c and by completion.
 */

#include <errno.h>
#include <string.h>

#include "buffer.h"
#include "export-setting.h"
#include "message.h"
#include "suggest.h"

static const char *const snapshot_words[] = {"ExportAllSnapshots", "ExportNoSnapshots",
                "ExportOneSnapshot", "ExportOneSnapshotForBackup", NULL};
static const char *const live_words[] = {"CaptureCrashConsistentState", "CaptureSavedState",
                "CaptureAppConsistentState", NULL};
static const char *const intent_words[] = {"BackupIntentPreserveChain", "BackupIntentMerge", NULL};
/* By what they mean: even is false. */
static const char *const boolean_words[] = {
                "false", "true", "no", "yes", "0", "1", "off", "on", NULL};

enum {
        ROW_SNAPSHOTS,
        ROW_SNAPSHOT,
        ROW_STORAGE,
        ROW_RUNTIME,
        ROW_SUBDIRECTORY,
        ROW_LIVE,
        ROW_BASE = 7,
        ROW_EXCLUDED,
};

/* clang-format off */
const ExportSettingRow export_settings[EXPORT_SETTINGS] = {
        {"CopySnapshotConfiguration",           EXPORT_SETTING_WORD,    snapshot_words},
        {"SnapshotVirtualSystem",               EXPORT_SETTING_OBJECT,  NULL},
        {"CopyVmStorage",                       EXPORT_SETTING_BOOLEAN, NULL},
        {"CopyVmRuntimeInformation",            EXPORT_SETTING_BOOLEAN, NULL},
        {"CreateVmExportSubdirectory",          EXPORT_SETTING_BOOLEAN, NULL},
        {"CaptureLiveState",                    EXPORT_SETTING_WORD,    live_words},
        {"BackupIntent",                        EXPORT_SETTING_WORD,    intent_words},
        {"DifferentialBackupBase",              EXPORT_SETTING_OBJECT,  NULL},
        {"ExcludedVirtualHardDisks",            EXPORT_SETTING_TARGETS, NULL},
        {"ExportForLiveMigration",              EXPORT_SETTING_BOOLEAN, NULL},
        {"DisableDifferentialOfIgnoredStorage", EXPORT_SETTING_BOOLEAN, NULL},
};

static const struct {
        CommandOption option;
        unsigned row;
        const char *value;
} flags[] = {
        {OPTION_NO_SNAPSHOTS,    ROW_SNAPSHOTS,    "ExportNoSnapshots"},
        {OPTION_SNAPSHOT,        ROW_SNAPSHOTS,    "ExportOneSnapshot"},
        {OPTION_SINCE,           ROW_SNAPSHOTS,    "ExportOneSnapshotForBackup"},
        {OPTION_NO_STORAGE,      ROW_STORAGE,      "no"},
        {OPTION_NO_RUNTIME,      ROW_RUNTIME,      "no"},
        {OPTION_NO_SUBDIRECTORY, ROW_SUBDIRECTORY, "no"},
};
/* clang-format on */

/* The position of @word in @words, -1 if it is not there. */
static int find_word(const char *const words[], const char *word) {
        for (int i = 0; words[i]; i++)
                if (strcmp(words[i], word) == 0)
                        return i;
        return -1;
}

/* The number that @value is, or is the name of; -1 for neither. */
static int number_of(const char *const words[], const char *value) {
        char *end = NULL;
        unsigned long number;

        if (*value < '0' || *value > '9')
                return find_word(words, value);
        number = strtoul(value, &end, 10);
        return *end || number > UINT8_MAX ? -1 : (int) number;
}

static ExitCode report_key(const char *key) {
        const char *keys[EXPORT_SETTINGS];
        _cleanup_free_ char *names = NULL;

        for (size_t i = 0; i < EXPORT_SETTINGS; i++)
                keys[i] = export_settings[i].key;
        names = suggest_names(key, keys, EXPORT_SETTINGS);
        message_error("there is no setting \"%s\" (try: %s)", key, names);
        return EXIT_CODE_USAGE;
}

static ExitCode report_value(const ExportSettingRow *row, const char *value) {
        const char *const *words = row->kind == EXPORT_SETTING_BOOLEAN ? boolean_words : row->words;
        _cleanup_buffer_ Buffer list = {0};

        for (size_t i = 0; words && words[i]; i++)
                buffer_add_format(&list, "%s%s", i > 0 ? ", " : "", words[i]);
        message_error("%s can not be \"%s\"%s%s%s", row->key, value, words ? " (try: " : "",
                        buffer_text(&list), words ? ")" : "");
        return EXIT_CODE_USAGE;
}

static bool value_is_right(const ExportSettingRow *row, const char *value) {
        switch (row->kind) {
        case EXPORT_SETTING_BOOLEAN:
                return find_word(boolean_words, value) >= 0;
        case EXPORT_SETTING_WORD:
                return number_of(row->words, value) >= 0;
        case EXPORT_SETTING_OBJECT:
        case EXPORT_SETTING_TARGETS:
                return *value != '\0';
        }
        return false;
}

static ExitCode read_setting(ExportSettings *settings, const char *word) {
        size_t length = strcspn(word, "=");
        _cleanup_free_ char *key = xstrndup(word, length);

        if (!word[length]) {
                message_error("--setting needs KEY=VALUE, not \"%s\"", word);
                return EXIT_CODE_USAGE;
        }
        for (size_t i = 0; i < EXPORT_SETTINGS; i++) {
                if (strcmp(export_settings[i].key, key) != 0)
                        continue;
                if (!value_is_right(export_settings + i, word + length + 1))
                        return report_value(export_settings + i, word + length + 1);
                string_replace(settings->values + i, word + length + 1);
                return EXIT_CODE_OK;
        }
        return report_key(key);
}

static void read_excluded(ExportSettings *settings, const WordList *excluded) {
        _cleanup_buffer_ Buffer list = {0};

        for (size_t i = 0; i < excluded->count; i++)
                buffer_add_format(&list, "%s%s", i > 0 ? "," : "", excluded->items[i]);
        settings->values[ROW_EXCLUDED] = buffer_steal(&list);
}

static ExitCode check(const ExportSettings *settings, const Options *options) {
        if (options_has(options, OPTION_NO_SNAPSHOTS) && options_has(options, OPTION_SNAPSHOT)) {
                message_error("--no-snapshots and --snapshot exclude each other");
                return EXIT_CODE_USAGE;
        }
        if (options_has(options, OPTION_SINCE) && !settings->values[ROW_SNAPSHOT]) {
                message_error("--since needs --snapshot: what has changed from one to the other is "
                              "exported");
                return EXIT_CODE_USAGE;
        }
        if (settings->values[ROW_EXCLUDED] && !settings->values[ROW_SNAPSHOTS]) {
                message_error("--exclude needs --no-snapshots or --snapshot: a disk that snapshots "
                              "have can not be left out of one");
                return EXIT_CODE_USAGE;
        }
        return EXIT_CODE_OK;
}

ExitCode export_settings_read(ExportSettings *settings, const Options *options) {
        ExitCode code = EXIT_CODE_OK;

        for (size_t i = 0; i < ELEMENTS(flags); i++)
                if (options_has(options, flags[i].option))
                        string_replace(settings->values + flags[i].row, flags[i].value);
        if (options_has(options, OPTION_SNAPSHOT))
                settings->values[ROW_SNAPSHOT] = xstrdup(options->snapshot);
        if (options_has(options, OPTION_SINCE))
                settings->values[ROW_BASE] = xstrdup(options->since);
        if (options_has(options, OPTION_LIVE))
                settings->values[ROW_LIVE] = xstrdup(live_words[options->live]);
        if (options_has(options, OPTION_EXCLUDE))
                read_excluded(settings, &options->excluded);
        for (size_t i = 0; code == EXIT_CODE_OK && i < options->settings.count; i++)
                code = read_setting(settings, options->settings.items[i]);
        return code == EXIT_CODE_OK ? check(settings, options) : code;
}

/* With --no-snapshots it is asked for what it is anyway. The preset of --live is the memory, which
 * a package does not hold. */
ExitCode export_settings_read_package(ExportSettings *settings, const Options *options) {
        static const unsigned allowed =
                        OPTION_NO_SNAPSHOTS | OPTION_LIVE | OPTION_EXCLUDE | OPTION_QUEUE;
        unsigned others = options->command_options & ~allowed;

        if (others) {
                message_error("a package takes no --%s",
                                options_command_name(others & (~others + 1)));
                return EXIT_CODE_USAGE;
        }
        if (options_has(options, OPTION_LIVE) && options->live_named && options->live == 1) {
                message_error("a package holds no memory: --live can be \"crash\" or "
                              "\"application\"");
                return EXIT_CODE_USAGE;
        }
        if (options_has(options, OPTION_LIVE))
                settings->values[ROW_LIVE] =
                                xstrdup(live_words[options->live_named ? options->live : 0]);
        if (options_has(options, OPTION_EXCLUDE))
                read_excluded(settings, &options->excluded);
        return EXIT_CODE_OK;
}

void export_settings_clear(ExportSettings *settings) {
        for (size_t i = 0; i < EXPORT_SETTINGS; i++)
                string_replace(settings->values + i, NULL);
}

/* ---- the call ---- */

static int append_targets(sd_bus_message *m, const char *value) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "s");

        while (r >= 0 && *value) {
                size_t length = strcspn(value, ",");
                _cleanup_free_ char *target = xstrndup(value, length);

                r = sd_bus_message_append(m, "s", target);
                value += length + (value[length] == ',');
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_value(sd_bus_message *m, const ExportSettingRow *row, const char *value) {
        switch (row->kind) {
        case EXPORT_SETTING_BOOLEAN:
                return sd_bus_message_append(m, "v", "b", find_word(boolean_words, value) % 2);
        case EXPORT_SETTING_WORD:
                return sd_bus_message_append(m, "v", "y", number_of(row->words, value));
        case EXPORT_SETTING_OBJECT:
                return sd_bus_message_append(m, "v", "o", value);
        case EXPORT_SETTING_TARGETS:
                break;
        }
        if (sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "as") < 0 ||
                        append_targets(m, value) < 0)
                return -EINVAL;
        return sd_bus_message_close_container(m);
}

static int append_entry(sd_bus_message *m, const ExportSettingRow *row, const char *value) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", row->key);
        if (r >= 0)
                r = append_value(m, row, value);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int export_settings_append(sd_bus_message *m, const ExportSettings *settings) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < EXPORT_SETTINGS; i++)
                if (settings->values[i])
                        r = append_entry(m, export_settings + i, settings->values[i]);
        return r;
}
