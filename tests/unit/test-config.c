/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "config"

#include <string.h>

#include "service/config.h"
#include "support.h"

static Config config;
static GError *error;

static bool read_text(const char *text) {
        auto_directory directory = test_directory_new();
        g_autofree char *path = g_build_filename(directory, "virtaskd.conf", NULL);

        g_clear_error(&error);
        test_write(directory, "virtaskd.conf", text);
        return config_read(&config, path, &error);
}

static bool refused_for(const char *key) {
        bool ok = g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT) &&
                  strstr(error->message, key);

        g_clear_error(&error);
        return ok;
}

static void assert_presets(void) {
        g_assert_cmpuint(config.tasks_per_user, ==, 32);
        g_assert_cmpuint(config.tasks_root, ==, 256);
        g_assert_cmpuint(config.blocking_calls, ==, 8);
        g_assert_cmpuint(config.dialogs_per_user, ==, 4);
        g_assert_cmpuint(config.dialogs, ==, 48);
        g_assert_cmpuint(config.waiters_per_task, ==, 16);
        g_assert_cmpuint(config.finished_tasks, ==, 512);
        g_assert_cmpuint(config.task_retention_sec, ==, 300);
        g_assert_cmpuint(config.progress_signals_per_second, ==, 10);
        g_assert_cmpuint(config.string_bytes, ==, 65536);
}

static void without_a_file_there_are_the_presets(void) {
        g_assert_true(config_read(&config, NULL, NULL));
        assert_presets();
        g_assert_true(config_read(&config, "/nonexistent/virtaskd.conf", NULL));
        assert_presets();
}

static void an_empty_file_changes_nothing(void) {
        g_assert_true(read_text(""));
        assert_presets();
        g_assert_true(read_text("# only a comment\n[virtaskd]\n#TasksRoot=1\n"));
        assert_presets();
}

static void a_key_changes_its_value_alone(void) {
        g_assert_true(read_text("[virtaskd]\nTasksPerUser=7\n"));
        g_assert_cmpuint(config.tasks_per_user, ==, 7);
        g_assert_true(read_text("[virtaskd]\nTasksRoot=7\n"));
        g_assert_cmpuint(config.tasks_root, ==, 7);
        config.tasks_root = 256;
        assert_presets();
}

static void directories_are_absolute_paths(void) {
        g_assert_true(read_text("[virtaskd]\nImageDirectories=/srv/a:/srv/b\n"));
        g_assert_cmpstr(config.image_directories[0], ==, "/srv/a");
        g_assert_cmpstr(config.image_directories[1], ==, "/srv/b");
        g_assert_null(config.image_directories[2]);
        g_assert_false(read_text("[virtaskd]\nImageDirectories=/srv/a:b\n"));
        g_assert_true(refused_for("ImageDirectories"));
        g_assert_true(read_text("[virtaskd]\nImageDirectories=\n"));
        g_assert_null(config.image_directories[0]);
        g_assert_true(read_text(""));
        g_assert_null(config.image_directories);
}

static void the_ends_of_a_range_are_allowed(void) {
        g_assert_true(read_text("[virtaskd]\nTaskRetentionSec=1\nStringBytes=1024\n"));
        g_assert_cmpuint(config.task_retention_sec, ==, 1);
        g_assert_true(read_text("[virtaskd]\nTaskRetentionSec=86400\nBlockingCalls=8\n"));
        g_assert_cmpuint(config.task_retention_sec, ==, 86400);
}

static void a_value_out_of_range_is_refused(void) {
        g_assert_false(read_text("[virtaskd]\nTaskRetentionSec=0\n"));
        g_assert_true(refused_for("TaskRetentionSec"));
        g_assert_false(read_text("[virtaskd]\nTaskRetentionSec=86401\n"));
        g_assert_true(refused_for("TaskRetentionSec"));
        g_assert_false(read_text("[virtaskd]\nTaskRetentionSec=-1\n"));
        g_assert_true(refused_for("TaskRetentionSec"));
}

static void what_is_no_number_is_refused(void) {
        g_assert_false(read_text("[virtaskd]\nTasksRoot=many\n"));
        g_assert_true(refused_for("TasksRoot"));
        g_assert_false(read_text("[virtaskd]\nTasksRoot=\n"));
        g_assert_true(refused_for("TasksRoot"));
        g_assert_false(read_text("[virtaskd]\nTasksRoot=7s\n"));
        g_assert_true(refused_for("TasksRoot"));
}

static void an_unknown_key_is_refused(void) {
        g_assert_false(read_text("[virtaskd]\nTaskRoot=7\n"));
        g_assert_true(refused_for("TaskRoot"));
}

static void a_file_that_is_no_key_file_is_refused(void) {
        g_assert_false(read_text("TasksRoot=7\n"));
        g_assert_nonnull(error);
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        ADD(without_a_file_there_are_the_presets);
        ADD(an_empty_file_changes_nothing);
        ADD(a_key_changes_its_value_alone);
        ADD(directories_are_absolute_paths);
        ADD(the_ends_of_a_range_are_allowed);
        ADD(a_value_out_of_range_is_refused);
        ADD(what_is_no_number_is_refused);
        ADD(an_unknown_key_is_refused);
        ADD(a_file_that_is_no_key_file_is_refused);
        status = g_test_run();
        g_clear_error(&error);
        return status;
}
