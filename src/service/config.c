/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One row per key: the man page and the commented example are compared with this table. */

#include "service/config.h"

#include <stddef.h>

#include "util/error.h"
#include "util/number.h"
#include "util/path.h"

#define GROUP             "virtaskd"
#define IMAGE_DIRECTORIES "ImageDirectories" /* paths with colons between them */

typedef struct ConfigKey {
        const char *name;
        size_t offset;
        unsigned preset, minimum, maximum;
} ConfigKey;

/* clang-format off */
static const ConfigKey keys[] = {
        {"TasksPerUser",             offsetof(Config, tasks_per_user),              32,    1,    100000},
        {"TasksRoot",                offsetof(Config, tasks_root),                  256,   1,    100000},
        {"BlockingCalls",            offsetof(Config, blocking_calls),              8,     1,    8},
        {"DiskTasks",                offsetof(Config, disk_tasks),                  2,     1,    8},
        {"DialogsPerUser",           offsetof(Config, dialogs_per_user),            4,     1,    100},
        {"Dialogs",                  offsetof(Config, dialogs),                     48,    1,    100},
        {"WaitersPerTask",           offsetof(Config, waiters_per_task),            16,    1,    10000},
        {"FinishedTasks",            offsetof(Config, finished_tasks),              512,   1,    100000},
        {"TaskRetentionSec",         offsetof(Config, task_retention_sec),          300,   1,    86400},
        {"ProgressSignalsPerSecond", offsetof(Config, progress_signals_per_second), 10,    1,    100},
        {"StringBytes",              offsetof(Config, string_bytes),                65536, 1024, 16777216},
};
/* clang-format on */

static unsigned *value_of(Config *config, const ConfigKey *key) {
        return (unsigned *) (void *) ((char *) config + key->offset);
}

static const ConfigKey *find_key(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (g_str_equal(keys[i].name, name))
                        return &keys[i];
        return NULL;
}

static bool read_key(Config *config, GKeyFile *file, const char *name, GError **error) {
        const ConfigKey *key = find_key(name);
        g_autofree char *text = g_key_file_get_value(file, GROUP, name, NULL);
        uint64_t value;

        if (!key) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The key %s is not known", name);
                return false;
        }
        if (!text || !number_parse(text, key->minimum, key->maximum, &value)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "%s must be a number from %u to %u", name, key->minimum,
                                key->maximum);
                return false;
        }
        *value_of(config, key) = (unsigned) value;
        return true;
}

static bool read_directories(Config *config, GKeyFile *file, GError **error) {
        g_autofree char *text = g_key_file_get_value(file, GROUP, IMAGE_DIRECTORIES, NULL);
        g_auto(GStrv) paths = g_strsplit(text ?: "", ":", -1);

        for (unsigned i = 0; paths[i]; i++)
                if (!path_check(paths[i], NULL)) {
                        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                        IMAGE_DIRECTORIES
                                        " must be absolute paths with colons between them");
                        return false;
                }
        g_strfreev(config->image_directories);
        config->image_directories = g_steal_pointer(&paths);
        return true;
}

static bool check_groups(GKeyFile *file, GError **error) {
        g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

        for (unsigned i = 0; groups[i]; i++) {
                if (g_str_equal(groups[i], GROUP))
                        continue;
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The group [%s] is not known", groups[i]);
                return false;
        }
        return true;
}

bool config_read(Config *config, const char *path, GError **error) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_auto(GStrv) names = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                *value_of(config, &keys[i]) = keys[i].preset;
        config_clear(config);
        if (!path || !g_file_test(path, G_FILE_TEST_EXISTS))
                return true;
        if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, error))
                return false;
        if (!check_groups(file, error))
                return false;
        names = g_key_file_get_keys(file, GROUP, NULL, NULL);
        for (unsigned i = 0; names && names[i]; i++)
                if (!(g_str_equal(names[i], IMAGE_DIRECTORIES)
                                                    ? read_directories(config, file, error)
                                                    : read_key(config, file, names[i], error)))
                        return false;
        return true;
}

void config_clear(Config *config) {
        g_clear_pointer(&config->image_directories, g_strfreev);
}
