/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <getopt.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bundle-program.h"
#include "common.h"
#include "directory.h"
#include "export-setting.h"
#include "json.h"

#define ADD(test) g_test_add_func("/tool-export/" #test, test)

static Options options;

/* The settings of a line, words of which have no blanks. */
static ExitCode read_line(ExportSettings *settings, const char *line) {
        static GStrv words;
        g_autofree char *all = g_strconcat("virtask ", line, NULL);
        int first = 0;

        g_strfreev(words); /* the options point into them */
        words = g_strsplit(all, " ", -1);
        options_clear(&options);
        export_settings_clear(settings);
        optind = 0;
        if (options_parse(&options, (int) g_strv_length(words), words, &first) != EXIT_CODE_OK)
                return EXIT_CODE_USAGE;
        return export_settings_read(settings, &options);
}

static sd_bus *bus_new(void) {
        sd_bus *bus = NULL;
        int fds[2];

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        (void) close(fds[1]);
        return bus;
}

/* What the service is told, as JSON. */
static char *told(const char *line) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = bus_new();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(export_settings_clear) ExportSettings settings = {0};
        _cleanup_json_ JsonWriter json = {0};

        g_assert_cmpint(read_line(&settings, line), ==, EXIT_CODE_OK);
        g_assert_cmpint(sd_bus_message_new_signal(bus, &m, "/a", "a.b", "C"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(export_settings_append(m, &settings), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
        g_assert_cmpint(json_message_value(&json, NULL, m), >=, 0);
        return buffer_steal(&json.out);
}

static void assert_told(const char *line, const char *expected) {
        g_autofree char *text = told(line);

        g_assert_cmpstr(text, ==, expected);
}

static void what_is_not_said_the_service_decides(void) {
        assert_told("export vm to", "{}");
}

static void common_settings_have_options(void) {
        assert_told("--no-snapshots --no-storage", "{\"CopySnapshotConfiguration\":1,"
                                                   "\"CopyVmStorage\":false}");
        assert_told("--no-runtime --no-subdirectory", "{\"CopyVmRuntimeInformation\":false,"
                                                      "\"CreateVmExportSubdirectory\":false}");
        assert_told("--snapshot=/org/s", "{\"CopySnapshotConfiguration\":2,"
                                         "\"SnapshotVirtualSystem\":\"/org/s\"}");
        assert_told("--snapshot=/org/s --since=/org/r",
                        "{\"CopySnapshotConfiguration\":3,\"SnapshotVirtualSystem\":\"/org/s\","
                        "\"DifferentialBackupBase\":\"/org/r\"}");
        assert_told("--no-snapshots --exclude=vda --exclude vdb",
                        "{\"CopySnapshotConfiguration\":1,"
                        "\"ExcludedVirtualHardDisks\":[\"vda\",\"vdb\"]}");
}

static void a_running_guest_is_caught_in_one_of_three_ways(void) {
        assert_told("--live", "{\"CaptureLiveState\":1}");
        assert_told("--live=crash", "{\"CaptureLiveState\":0}");
        assert_told("--live=saved", "{\"CaptureLiveState\":1}");
        assert_told("--live=application", "{\"CaptureLiveState\":2}");
}

static void numbers_have_the_names_of_the_documents(void) {
        assert_told("--setting=CaptureLiveState=CaptureAppConsistentState",
                        "{\"CaptureLiveState\":2}");
        assert_told("--setting CopySnapshotConfiguration=3", "{\"CopySnapshotConfiguration\":3}");
        assert_told("--setting=BackupIntent=BackupIntentMerge", "{\"BackupIntent\":1}");
        /* A newer service may have more of them. */
        assert_told("--setting=BackupIntent=7", "{\"BackupIntent\":7}");
}

static void each_kind_of_value_can_be_written(void) {
        static const char *const yes[] = {"true", "yes", "1", "on"};
        static const char *const no[] = {"false", "no", "0", "off"};

        for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
                g_autofree char *good = g_strconcat("--setting=CopyVmStorage=", yes[i], NULL);
                g_autofree char *bad = g_strconcat("--setting=CopyVmStorage=", no[i], NULL);

                assert_told(good, "{\"CopyVmStorage\":true}");
                assert_told(bad, "{\"CopyVmStorage\":false}");
        }
        assert_told("--setting=ExcludedVirtualHardDisks=vda,vdb --no-snapshots",
                        "{\"CopySnapshotConfiguration\":1,"
                        "\"ExcludedVirtualHardDisks\":[\"vda\",\"vdb\"]}");
        assert_told("--setting=DifferentialBackupBase=/org/r",
                        "{\"DifferentialBackupBase\":\"/org/r\"}");
}

static void a_setting_is_stronger_and_the_last_one_counts(void) {
        assert_told("--setting=CopySnapshotConfiguration=3 --snapshot=/org/s",
                        "{\"CopySnapshotConfiguration\":3,\"SnapshotVirtualSystem\":\"/org/s\"}");
        assert_told("--setting=CopyVmStorage=no --setting=CopyVmStorage=yes",
                        "{\"CopyVmStorage\":true}");
}

static void what_is_mistyped_is_a_usage_error(void) {
        static const char *const lines[] = {"--setting=CopyVmStorag=yes", "--setting=CopyVmStorage",
                        "--setting=", "--setting==", "--setting=CopyVmStorage=",
                        "--setting=CopyVmStorage=2", "--setting=CopyVmStorage=maybe",
                        "--setting=CaptureLiveState=saved", "--setting=CaptureLiveState=-1",
                        "--setting=CaptureLiveState=256", "--setting=CaptureLiveState=1x",
                        "--setting=CaptureLiveState=", "--setting=SnapshotVirtualSystem=",
                        "--setting=copyvmstorage=yes", "--live=x",
                        "--live=", "--no-snapshots --snapshot=s", "--exclude=vda", "--since=s",
                        "--no-snapshots --since=s", "--no-snapshots --snapshot=s --since=s"};

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                _cleanup_(export_settings_clear) ExportSettings settings = {0};

                g_test_message("%s", lines[i]);
                g_assert_cmpint(read_line(&settings, lines[i]), ==, EXIT_CODE_USAGE);
        }
}

static void what_is_no_path_is_no_object(void) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = bus_new();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(export_settings_clear) ExportSettings settings = {0};

        g_assert_cmpint(read_line(&settings, "--setting=DifferentialBackupBase=/a//b"), ==,
                        EXIT_CODE_OK);
        g_assert_cmpint(sd_bus_message_new_signal(bus, &m, "/a", "a.b", "C"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(export_settings_append(m, &settings), <, 0);
}

/* Directories */

static void assert_directory(const char *argument, const char *expected) {
        const Options local = {0};
        g_autofree char *path = directory_from_argument(&local, argument);

        g_assert_cmpstr(path, ==, expected);
}

static void a_directory_is_named_from_the_root(void) {
        g_autofree char *here = g_get_current_dir(), *name = g_path_get_basename(here);
        g_autofree char *below = g_build_filename(here, "new", "er", NULL);
        g_autofree char *around = g_build_filename("..", name, NULL);

        assert_directory("/srv/x", "/srv/x");
        assert_directory("/srv//./x/", "/srv/x");
        assert_directory("/", "/");
        assert_directory("///.", "/");
        assert_directory("/srv/.x/..y/x..", "/srv/.x/..y/x..");
        assert_directory(".", here);
        assert_directory("./", here);
        assert_directory("new/er/", below);
        assert_directory(around, here);
        /* What ".." means where nothing is, nobody knows. */
        assert_directory("/missing/../srv", "/missing/../srv");
        assert_directory("", NULL);
}

static void another_host_has_no_present_directory(void) {
        const Options remote = {.bus = BUS_KIND_HOST, .address = "host"};
        g_autofree char *path = directory_from_argument(&remote, "/srv/a/../b/");

        g_assert_cmpstr(path, ==, "/srv/a/../b");
        g_assert_null(directory_from_argument(&remote, "x"));
        g_assert_null(directory_from_argument(&remote, ""));
}

/* virtask-bundle */

static void its_lines_are_read(void) {
        _cleanup_(bundle_talk_clear) BundleTalk talk = {0};

        bundle_talk_read(&talk, "total 100");
        bundle_talk_read(&talk, "done 40");
        bundle_talk_read(&talk, "file disks/a");
        bundle_talk_read(&talk, "something new");
        bundle_talk_read(&talk, "");
        g_assert_cmpuint(talk.total, ==, 100);
        g_assert_cmpuint(talk.done, ==, 40);
        g_assert_null(talk.error_name);
        bundle_talk_read(&talk, "error org.virtask1.Error.InvalidBundle It is not right");
        bundle_talk_read(&talk, "error other Later");
        g_assert_cmpstr(talk.error_name, ==, "org.virtask1.Error.InvalidBundle");
        g_assert_cmpstr(talk.error_text, ==, "It is not right");
}

static void what_is_no_number_is_nothing(void) {
        static const char *const lines[] = {"total x", "total -1", "total 1x", "total ", "total"};

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                _cleanup_(bundle_talk_clear) BundleTalk talk = {0};

                bundle_talk_read(&talk, lines[i]);
                g_assert_cmpuint(talk.total, ==, 0);
        }
}

int main(int argc, char *argv[]) {
        int status;

        g_test_init(&argc, &argv, NULL);
        g_assert_nonnull(g_freopen("/dev/null", "w", stderr));
        ADD(what_is_not_said_the_service_decides);
        ADD(common_settings_have_options);
        ADD(a_running_guest_is_caught_in_one_of_three_ways);
        ADD(numbers_have_the_names_of_the_documents);
        ADD(each_kind_of_value_can_be_written);
        ADD(a_setting_is_stronger_and_the_last_one_counts);
        ADD(what_is_mistyped_is_a_usage_error);
        ADD(what_is_no_path_is_no_object);
        ADD(a_directory_is_named_from_the_root);
        ADD(another_host_has_no_present_directory);
        ADD(its_lines_are_read);
        ADD(what_is_no_number_is_nothing);
        status = g_test_run();
        options_clear(&options);
        return status;
}
