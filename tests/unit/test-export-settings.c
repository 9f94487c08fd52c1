/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "export-settings"

#include "bus/bus-path.h"
#include "export/settings.h"
#include "support.h"

#define SNAPSHOT "/org/virtask1/vm/_1/snapshot/s"
#define UUID     "00000000-0000-4000-8000-000000000001"
#define MACHINE  "/org/virtask1/vm/_00000000_0000_4000_8000_000000000001"
#define BASE     MACHINE "/referencepoint/r"

static sd_bus *bus;
static GError *error;
static ExportRequest request;

typedef bool (*Parse)(sd_bus_message *call, void *request, GError **error);

/* Reads the arguments in the message, and frees it. */
static bool parse_as(Parse function, sd_bus_message *message) {
        bool ok;

        g_clear_error(&error);
        export_request_clear(&request);
        request = (ExportRequest){0};
        ok = function(message, &request, &error);
        g_assert_true(ok == !error);
        sd_bus_message_unref(message);
        return ok;
}

static bool parse(sd_bus_message *message) {
        return parse_as(export_request_parse, message);
}

#define parse_with(n, ...) parse(test_message(bus, "sa{sv}", "/srv", n, __VA_ARGS__))

static void without_settings_all_is_exported(void) {
        g_assert_true(parse(test_message(bus, "sa{sv}", "/srv/x", 0)));
        g_assert_cmpstr(request.directory, ==, "/srv/x");
        g_assert_cmpuint(request.snapshots, ==, EXPORT_ALL_SNAPSHOTS);
        g_assert_true(request.storage && request.runtime && request.subdirectory);
        g_assert_false(request.live_seen || request.for_migration || request.without_overlays);
        g_assert_null(request.snapshot);
        g_assert_null(request.base);
}

static void all_eleven_settings_are_read(void) {
        g_assert_true(parse_with(11, "CopySnapshotConfiguration", "y", 3, "SnapshotVirtualSystem",
                        "o", SNAPSHOT, "CopyVmStorage", "b", 1, "CopyVmRuntimeInformation", "b", 0,
                        "CreateVmExportSubdirectory", "b", 0, "CaptureLiveState", "y", 2,
                        "BackupIntent", "y", 0, "DifferentialBackupBase", "o", BASE,
                        "ExcludedVirtualHardDisks", "as", 2, "vda", "vdb", "ExportForLiveMigration",
                        "b", 0, "DisableDifferentialOfIgnoredStorage", "b", 1));
        g_assert_cmpuint(request.snapshots, ==, EXPORT_ONE_SNAPSHOT_FOR_BACKUP);
        g_assert_cmpstr(request.snapshot, ==, SNAPSHOT);
        g_assert_true(request.storage && request.live_seen && request.without_overlays);
        g_assert_false(request.runtime || request.subdirectory || request.for_migration);
        g_assert_cmpuint(request.live, ==, EXPORT_APPLICATION_CONSISTENT);
        g_assert_cmpuint(request.intent, ==, EXPORT_PRESERVE_CHAIN);
        g_assert_cmpstr(request.base, ==, BASE);
        g_assert_cmpstr(request.excluded[1], ==, "vdb");
}

static void numbers_have_the_names_of_the_documents(void) {
        g_assert_true(parse_with(3, "CopySnapshotConfiguration", "s", "ExportNoSnapshots",
                        "CaptureLiveState", "s", "CaptureSavedState", "BackupIntent", "s",
                        "BackupIntentMerge"));
        g_assert_cmpuint(request.snapshots, ==, EXPORT_NO_SNAPSHOTS);
        g_assert_cmpuint(request.live, ==, EXPORT_SAVED_STATE);
        g_assert_cmpuint(request.intent, ==, EXPORT_MERGE);
}

static void what_the_documents_ignore_is_ignored(void) {
        g_assert_true(parse_with(3, "CopySnapshotConfiguration", "y", 1, "SnapshotVirtualSystem",
                        "o", SNAPSHOT, "DifferentialBackupBase", "o", BASE));
        g_assert_null(request.snapshot);
        g_assert_null(request.base);
        g_assert_true(parse_with(4, "CopySnapshotConfiguration", "y", 2, "SnapshotVirtualSystem",
                        "o", SNAPSHOT, "CopyVmStorage", "b", 0, "CopyVmRuntimeInformation", "b",
                        0));
        g_assert_true(request.storage && request.runtime);
        g_assert_true(parse_with(4, "CopySnapshotConfiguration", "y", 3, "SnapshotVirtualSystem",
                        "o", SNAPSHOT, "BackupIntent", "y", 1, "DifferentialBackupBase", "o",
                        BASE));
        g_assert_null(request.base);
        g_assert_true(export_request_merges(&request));
}

static void what_does_not_go_together_is_refused(void) {
        g_assert_false(parse_with(1, "CopySnapshotConfiguration", "y", 2));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_with(1, "CopySnapshotConfiguration", "y", 3));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_with(1, "ExcludedVirtualHardDisks", "as", 1, "vda"));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_true(parse_with(1, "ExcludedVirtualHardDisks", "as", 0));
        g_assert_false(parse_with(1, "ExportForLiveMigration", "b", 1));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_with(4, "CopySnapshotConfiguration", "y", 3, "SnapshotVirtualSystem",
                        "o", SNAPSHOT, "CopyVmStorage", "b", 0, "DifferentialBackupBase", "o",
                        BASE));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_with(1, "CopySnapshotConfiguration", "y", 4));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_with(1, "CopyEverything", "b", 1));
        assert_error(error, INVALID_ARGUMENT);
}

static void the_directory_is_a_path(void) {
        g_assert_false(parse(test_message(bus, "sa{sv}", "srv", 0)));
        assert_error(error, BAD_PATH);
        g_assert_false(parse(test_message(bus, "sa{sv}", "/srv\n", 0)));
        assert_error(error, NAME_INVALID);
}

static void it_goes_through_the_ledger(void) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        ExportRequest loaded = {0};

        g_assert_true(parse_with(1, "CreateVmExportSubdirectory", "b", 0));
        export_request_store(&request, file);
        export_request_load(&loaded, file);
        g_assert_cmpstr(loaded.directory, ==, "/srv");
        g_assert_false(loaded.subdirectory);
        export_request_clear(&loaded);
}

static void a_snapshot_is_exported_alone(void) {
        Parse own = export_request_parse_for_snapshot;

        g_assert_true(parse_as(own, test_message(bus, "sa{sv}", "/srv", 0)));
        g_assert_cmpuint(request.snapshots, ==, EXPORT_ONE_SNAPSHOT);
        g_assert_true(request.storage && request.runtime && request.subdirectory);
        g_assert_true(parse_as(
                        own, test_message(bus, "sa{sv}", "/srv", 1, "BackupIntent", "y", 0)));
        g_assert_cmpuint(request.snapshots, ==, EXPORT_ONE_SNAPSHOT_FOR_BACKUP);
        g_assert_true(parse_as(own, test_message(bus, "sa{sv}", "/srv", 1, "DifferentialBackupBase",
                                                    "s", BASE)));
        g_assert_cmpuint(request.snapshots, ==, EXPORT_ONE_SNAPSHOT_FOR_BACKUP);
        g_assert_cmpstr(request.base, ==, BASE);
        g_assert_false(parse_as(own, test_message(bus, "sa{sv}", "/srv", 1, "SnapshotVirtualSystem",
                                                     "o", SNAPSHOT)));
        for (int i = 0; i < 2; i++)
                g_assert_false(parse_as(own, test_message(bus, "sa{sv}", "/srv", 1,
                                                             "CopySnapshotConfiguration", "y", i)));
}

static void a_group_has_settings_of_its_own(void) {
        Parse own = export_request_parse_for_group;
        ExportRequest part = {0};

        g_assert_true(parse_as(own, test_message(bus, "sa{sv}", "/srv", 0)));
        g_assert_cmpuint(request.snapshots, ==, EXPORT_ONE_SNAPSHOT);
        g_assert_true(parse_as(
                        own, test_message(bus, "sa{sv}", "/srv", 1, "CopyVmStorage", "b", 0)));
        g_assert_false(request.storage);
        g_assert_true(parse_as(own, test_message(bus, "sa{sv}", "/srv", 2, "BackupIntent", "y", 2,
                                                    "CopyVmStorage", "b", 0)));
        g_assert_cmpuint(request.intent, ==, EXPORT_MERGE);
        export_request_for_part(&request, UUID, &part);
        g_assert_cmpuint(part.snapshots, ==, EXPORT_ONE_SNAPSHOT_FOR_BACKUP);
        g_assert_cmpuint(part.intent, ==, EXPORT_MERGE);
        g_assert_cmpstr(part.directory, ==, "/srv");
        g_assert_true(!part.storage && part.runtime && part.subdirectory);
        export_request_clear(&part);
        g_assert_true(parse_as(own, test_message(bus, "sa{sv}", "/srv", 1, "BackupIntent", "s",
                                                    "BackupIntentPreserveChain")));
        g_assert_cmpuint(request.intent, ==, EXPORT_PRESERVE_CHAIN);
        g_assert_false(parse_as(
                        own, test_message(bus, "sa{sv}", "/srv", 1, "BackupIntent", "y", 0)));
        g_assert_false(parse_as(
                        own, test_message(bus, "sa{sv}", "/srv", 1, "BackupIntent", "s", "")));
        g_assert_false(parse_as(own, test_message(bus, "sa{sv}", "/srv", 1,
                                                     "CreateVmExportSubdirectory", "b", 0)));
        g_assert_false(parse_as(
                        own, test_message(bus, "sa{sv}", "/srv", 1, "CaptureLiveState", "y", 0)));
}

static void a_package_has_few_settings(void) {
        Parse own = export_request_parse_for_package;
        g_autoptr(GKeyFile) file = g_key_file_new();
        ExportRequest loaded = {0};

        g_assert_true(parse_as(
                        own, test_message(bus, "sa{sv}", "/srv/a.ova", 2, "CaptureLiveState", "y",
                                             2, "ExcludedVirtualHardDisks", "as", 1, "vda")));
        g_assert_cmpstr(request.directory, ==, "/srv/a.ova");
        g_assert_true(request.package && request.storage && request.live_seen);
        g_assert_false(request.runtime || request.subdirectory);
        g_assert_cmpuint(request.live, ==, EXPORT_APPLICATION_CONSISTENT);
        g_assert_cmpuint(request.snapshots, ==, EXPORT_NO_SNAPSHOTS);
        export_request_store(&request, file);
        export_request_load(&loaded, file);
        g_assert_true(loaded.package);
        g_assert_false(loaded.subdirectory);
        export_request_clear(&loaded);
        g_assert_false(parse_as(
                        own, test_message(bus, "sa{sv}", "/a.ova", 1, "CaptureLiveState", "y", 1)));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_as(
                        own, test_message(bus, "sa{sv}", "/a.ova", 1, "CopyVmStorage", "b", 1)));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_as(own, test_message(bus, "sa{sv}", "a.ova", 0)));
        assert_error(error, BAD_PATH);
}

static void the_snapshot_is_one_of_the_machine(void) {
        const char *uuid = "e2c00000-0000-4000-8000-000000000001";
        g_autofree char *own = bus_path_snapshot(uuid, "s 1"), *id = NULL;

        g_assert_true(parse_with(
                        2, "CopySnapshotConfiguration", "y", 2, "SnapshotVirtualSystem", "o", own));
        g_assert_true(export_request_find_snapshot(&request, uuid, &id, &error));
        g_assert_cmpstr(id, ==, "s 1");
        g_clear_pointer(&id, g_free);
        g_assert_true(!export_request_find_snapshot(
                        &request, "e2c00000-0000-4000-8000-000000000002", &id, &error));
        assert_error(error, NO_SUCH_SNAPSHOT);
        g_assert_true(parse_with(0, NULL));
        g_assert_true(export_request_find_snapshot(&request, uuid, &id, &error));
        g_assert_null(id);
}

static void a_reference_point_has_settings_of_its_own(void) {
        Parse own = export_request_parse_for_point;
        g_autofree char *id = NULL;

        g_assert_true(parse_as(own, test_message(bus, "sa{sv}", "/srv", 0)));
        g_assert_cmpuint(request.snapshots, ==, EXPORT_ONE_SNAPSHOT_FOR_BACKUP);
        g_assert_true(request.storage && request.runtime && request.subdirectory);
        g_assert_null(request.base);
        g_assert_null(request.included);
        g_assert_true(parse_as(own, test_message(bus, "sa{sv}", "/srv", 3, "BaseReferencePoint",
                                                    "o", BASE, "DisksToExport", "as", 1, "vda",
                                                    "CreateVmExportSubdirectory", "b", 0)));
        g_assert_cmpstr(request.base, ==, BASE);
        g_assert_cmpstr(request.included[0], ==, "vda");
        g_assert_false(request.subdirectory);
        g_assert_true(export_request_find_base(&request, UUID, &id, NULL));
        g_assert_cmpstr(id, ==, "r");
        g_assert_false(parse_as(own, test_message(bus, "sa{sv}", "/srv", 1, "BaseReferencePoint",
                                                     "o", SNAPSHOT)));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_as(
                        own, test_message(bus, "sa{sv}", "/srv", 1, "CopyVmStorage", "b", 1)));
        assert_error(error, INVALID_ARGUMENT);
}

static void a_group_of_reference_points_has_settings_of_its_own(void) {
        Parse own = export_request_parse_for_point_group;
        const char *group = "/org/virtask1/referencepointcollection/_"
                            "00000000_0000_4000_8000_000000000009";
        ExportRequest part = {0};

        g_assert_true(parse_as(
                        own, test_message(bus, "sa{sv}", "/srv", 2, "BaseReferencePointCollection",
                                             "o", group, "VirtualMachinesToDisksToExport", "a{oas}",
                                             1, MACHINE, 2, "vda", "vdb")));
        g_assert_cmpuint(request.snapshots, ==, EXPORT_ONE_SNAPSHOT_FOR_BACKUP);
        g_assert_cmpstr(request.base, ==, group);
        export_request_for_part(&request, UUID, &part);
        g_assert_cmpuint(g_strv_length(part.included), ==, 2);
        g_assert_cmpstr(part.included[1], ==, "vdb");
        g_assert_null(part.base);
        export_request_clear(&part);
        part = (ExportRequest){0};
        export_request_for_part(&request, "00000000-0000-4000-8000-000000000002", &part);
        g_assert_null(part.included);
        export_request_clear(&part);
        g_assert_false(parse_as(own, test_message(bus, "sa{sv}", "/srv", 1,
                                                     "BaseReferencePointCollection", "o", BASE)));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(parse_as(own,
                        test_message(bus, "sa{sv}", "/srv", 1, "VirtualMachinesToDisksToExport",
                                        "a{oas}", 1, BASE, 1, "vda")));
        assert_error(error, INVALID_ARGUMENT);
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        bus = test_bus_open(NULL);
        ADD(without_settings_all_is_exported);
        ADD(all_eleven_settings_are_read);
        ADD(numbers_have_the_names_of_the_documents);
        ADD(what_the_documents_ignore_is_ignored);
        ADD(what_does_not_go_together_is_refused);
        ADD(the_directory_is_a_path);
        ADD(it_goes_through_the_ledger);
        ADD(a_snapshot_is_exported_alone);
        ADD(a_group_has_settings_of_its_own);
        ADD(a_package_has_few_settings);
        ADD(the_snapshot_is_one_of_the_machine);
        ADD(a_reference_point_has_settings_of_its_own);
        ADD(a_group_of_reference_points_has_settings_of_its_own);
        status = g_test_run();
        g_clear_error(&error);
        export_request_clear(&request);
        bus = sd_bus_flush_close_unref(bus);
        return status;
}
