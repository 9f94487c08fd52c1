/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <getopt.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "util/error-table.h"

#include "object-ref.h"
#include "options.h"
#include "suggest.h"
#include "task-info.h"
#include "verbs.h"

#define ADD(test) g_test_add_func("/tool-arguments/" #test, test)

static void the_states_of_a_machine_are_exit_code_6(void) {
        static const char *const names[] = {"NotRunning", "AlreadyRunning", "RunningOrSaved",
                        "NoSavedState", "AlreadyPaused", "NotPaused", "MachineActive",
                        "InvalidState", "InUse", "FileInUse", "NotCancelable", "AlreadyComplete"};

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *name = g_strconcat(ERROR_PREFIX, names[i], NULL);

                g_assert_cmpint(exit_code_of_error(name), ==, EXIT_CODE_STATE);
        }
}

static void each_kind_of_error_has_its_exit_code(void) {
        g_assert_cmpint(exit_code_of_error(ERROR_PREFIX "Failed"), ==, EXIT_CODE_FAILED);
        g_assert_cmpint(exit_code_of_error(ERROR_PREFIX "DiskFull"), ==, EXIT_CODE_FAILED);
        g_assert_cmpint(exit_code_of_error(ERROR_PREFIX "NoSuchTask"), ==, EXIT_CODE_NOT_FOUND);
        g_assert_cmpint(exit_code_of_error(ERROR_PREFIX "NoSuchSnapshot"), ==, EXIT_CODE_NOT_FOUND);
        g_assert_cmpint(exit_code_of_error(ERROR_PREFIX "PathNotFound"), ==, EXIT_CODE_NOT_FOUND);
        g_assert_cmpint(exit_code_of_error(ERROR_PREFIX "InvalidBundle"), ==, EXIT_CODE_FAILED);
        g_assert_cmpint(exit_code_of_error(ERROR_DBUS "UnknownObject"), ==, EXIT_CODE_NOT_FOUND);
        g_assert_cmpint(exit_code_of_error(ERROR_DBUS "AccessDenied"), ==, EXIT_CODE_DENIED);
        g_assert_cmpint(exit_code_of_error(ERROR_DBUS "ServiceUnknown"), ==, EXIT_CODE_UNREACHABLE);
        g_assert_cmpint(exit_code_of_error(ERROR_DBUS "Spawn.ChildExited"), ==,
                        EXIT_CODE_UNREACHABLE);
        g_assert_cmpint(exit_code_of_error(ERROR_PREFIX "Cancelled"), ==, EXIT_CODE_CANCELLED);
        g_assert_cmpint(exit_code_of_error("x.y"), ==, EXIT_CODE_FAILED);
        g_assert_cmpint(exit_code_of_error(NULL), ==, EXIT_CODE_FAILED);
}

static void a_task_is_a_number_or_a_path(void) {
        static const char *const good[] = {"17", "#17", "/org/virtask1/task/17"};
        static const char *const bad[] = {"", "#", "x", "-1", "+1", " 1", "1x", "4294967296",
                        "99999999999", "/org/virtask1/task/", "/org/virtask1/vm/1"};

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autofree char *path = task_info_path(good[i]);

                g_assert_cmpstr(path, ==, "/org/virtask1/task/17");
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_null(task_info_path(bad[i]));
}

static void a_uuid_has_beginnings(void) {
        const char *uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f";

        g_assert_true(object_ref_matches_uuid(uuid, "6695"));
        g_assert_true(object_ref_matches_uuid(uuid, "6695EB01F6"));
        g_assert_true(object_ref_matches_uuid(uuid, "6695eb01-f6"));
        g_assert_true(object_ref_matches_uuid(uuid, "6695eb01_f6a4_8304_79aa_97f2502e193f"));
        g_assert_true(object_ref_matches_uuid(uuid, uuid));
        g_assert_false(object_ref_matches_uuid(uuid, "669"));
        g_assert_false(object_ref_matches_uuid(uuid, "6696"));
        g_assert_false(object_ref_matches_uuid(uuid, ""));
        g_assert_false(object_ref_matches_uuid(uuid, "----"));
        g_assert_false(object_ref_matches_uuid(uuid, "6695eb01-f6a4-8304-79aa-97f2502e193f0"));
}

static void a_slip_of_the_finger_is_near(void) {
        g_assert_cmpuint(suggest_distance("alpine", "alpine", 3), ==, 0);
        g_assert_cmpuint(suggest_distance("Alpine", "alpine", 3), ==, 0);
        g_assert_cmpuint(suggest_distance("alpne", "alpine", 3), ==, 1);
        g_assert_cmpuint(suggest_distance("", "abc", 3), ==, 3);
        g_assert_cmpuint(suggest_distance("windows", "alpine", 3), ==, 4);
}

static ExitCode parse(Options *options, const char *line, int *ret_first) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);

        optind = 0;
        return options_parse(options, (int) g_strv_length(words), words, ret_first);
}

static void options_may_follow_the_command(void) {
        Options options;
        int first = 0;

        g_assert_cmpint(parse(&options, "virtask save vm --no-block --timeout 1.5 -j --queue",
                                        &first),
                        ==, EXIT_CODE_OK);
        g_assert_cmpint(first, ==, 7 - 1);
        g_assert_false(options.wait);
        g_assert_cmpuint(options.timeout_usec, ==, 1500000);
        g_assert_cmpint(options.json, ==, JSON_MODE_SHORT);
        g_assert_true(options_has(&options, OPTION_QUEUE));
        g_assert_false(options_has(&options, OPTION_FORCE));
}

static void wrong_values_are_usage_errors(void) {
        static const char *const lines[] = {"virtask --timeout=x", "virtask --timeout=-1",
                        "virtask --timeout=nan", "virtask --timeout=1e99", "virtask --progress=x",
                        "virtask --json=x", "virtask --color=x", "virtask -H -oProxyCommand=x",
                        "virtask --address= list", "virtask --frob"};

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                Options options;
                int first = 0;

                g_assert_cmpint(parse(&options, lines[i], &first), ==, EXIT_CODE_USAGE);
        }
}

static void each_command_option_has_a_name_and_a_command(void) {
        bool argument = false;
        unsigned option = 0, all = 0;

        for (const Verb *verb = verbs; verb->name; verb++)
                all |= verb->options;
        for (unsigned i = 0; options_long_name(i, &argument, &option); i++) {
                g_assert_cmpuint(all & option, ==, option);
                all &= ~option;
        }
        g_assert_cmpuint(all, ==, 0);
        g_assert_cmpstr(options_command_name(OPTION_VM), ==, "vm");
        g_assert_cmpstr(options_command_name(OPTION_PROPERTY), ==, "property");
        g_assert_cmpstr(options_command_name(OPTION_BYPASS_CACHE), ==, "bypass-cache");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_assert_nonnull(g_freopen("/dev/null", "w", stderr));
        ADD(the_states_of_a_machine_are_exit_code_6);
        ADD(each_kind_of_error_has_its_exit_code);
        ADD(a_task_is_a_number_or_a_path);
        ADD(a_uuid_has_beginnings);
        ADD(a_slip_of_the_finger_is_near);
        ADD(options_may_follow_the_command);
        ADD(wrong_values_are_usage_errors);
        ADD(each_command_option_has_a_name_and_a_command);
        return g_test_run();
}
