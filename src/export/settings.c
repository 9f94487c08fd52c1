/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/settings.h"

#include <string.h>

#include "bus/bus-path.h"
#include "util/path.h"

#define GROUP "Request"

static const char *const snapshot_names[] = {"ExportAllSnapshots", "ExportNoSnapshots",
                "ExportOneSnapshot", "ExportOneSnapshotForBackup", NULL};
static const char *const live_names[] = {"CaptureCrashConsistentState", "CaptureSavedState",
                "CaptureAppConsistentState", NULL};
static const char *const intent_names[] = {"BackupIntentPreserveChain", "BackupIntentMerge", NULL};

static const char *const group_intent_names[] = {
                "", "BackupIntentPreserveChain", "BackupIntentMerge", NULL};

#define FIELD(member) offsetof(ExportRequest, member)

/* clang-format off */
static const OptionSpec settings[] = {
        {"CopySnapshotConfiguration",           OPTION_ENUM,    FIELD(snapshots),        FIELD(snapshots_seen), snapshot_names},
        {"SnapshotVirtualSystem",               OPTION_OBJECT,  FIELD(snapshot),         NO_SEEN, NULL},
        {"CopyVmStorage",                       OPTION_BOOLEAN, FIELD(storage),          NO_SEEN, NULL},
        {"CopyVmRuntimeInformation",            OPTION_BOOLEAN, FIELD(runtime),          NO_SEEN, NULL},
        {"CreateVmExportSubdirectory",          OPTION_BOOLEAN, FIELD(subdirectory),     NO_SEEN, NULL},
        {"CaptureLiveState",                    OPTION_ENUM,    FIELD(live),             FIELD(live_seen), live_names},
        {"BackupIntent",                        OPTION_ENUM,    FIELD(intent),           FIELD(intent_seen), intent_names},
        {"DifferentialBackupBase",              OPTION_OBJECT,  FIELD(base),             NO_SEEN, NULL},
        {"ExcludedVirtualHardDisks",            OPTION_STRINGS, FIELD(excluded),         NO_SEEN, NULL},
        {"ExportForLiveMigration",              OPTION_BOOLEAN, FIELD(for_migration),    NO_SEEN, NULL},
        {"DisableDifferentialOfIgnoredStorage", OPTION_BOOLEAN, FIELD(without_overlays), NO_SEEN, NULL},
        {NULL,                                  0,              0,                       NO_SEEN, NULL},
};

static const OptionSpec package_settings[] = {
        {"CaptureLiveState",         OPTION_ENUM,    FIELD(live),     FIELD(live_seen), live_names},
        {"ExcludedVirtualHardDisks", OPTION_STRINGS, FIELD(excluded), NO_SEEN,          NULL},
        {NULL,                       0,              0,               NO_SEEN,          NULL},
};

static const OptionSpec group_settings[] = {
        {"CopyVmStorage",              OPTION_BOOLEAN, FIELD(storage),      NO_SEEN,            NULL},
        {"CreateVmExportSubdirectory", OPTION_BOOLEAN, FIELD(subdirectory), NO_SEEN,            NULL},
        {"BackupIntent",               OPTION_ENUM,    FIELD(intent),       FIELD(intent_seen), group_intent_names},
        {"DifferentialBackupBase",     OPTION_OBJECT,  FIELD(base),         NO_SEEN,            NULL},
        {NULL,                         0,              0,                   NO_SEEN,            NULL},
};

static const OptionSpec point_settings[] = {
        {"BaseReferencePoint",         OPTION_OBJECT,  FIELD(base),         NO_SEEN, NULL},
        {"DisksToExport",              OPTION_STRINGS, FIELD(included),     NO_SEEN, NULL},
        {"CreateVmExportSubdirectory", OPTION_BOOLEAN, FIELD(subdirectory), NO_SEEN, NULL},
        {NULL,                         0,              0,                   NO_SEEN, NULL},
};

static const OptionSpec point_group_settings[] = {
        {"BaseReferencePointCollection",   OPTION_OBJECT,             FIELD(base),        NO_SEEN, NULL},
        {"VirtualMachinesToDisksToExport", OPTION_STRINGS_OF_OBJECTS, FIELD(included_of), NO_SEEN, NULL},
        {NULL,                             0,                         0,                  NO_SEEN, NULL},
};
/* clang-format on */

static bool fail(GError **error, const char *text) {
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT, text);
        return false;
}

bool export_request_is_of_one(const ExportRequest *request) {
        return request->snapshots == EXPORT_ONE_SNAPSHOT ||
               request->snapshots == EXPORT_ONE_SNAPSHOT_FOR_BACKUP;
}

static bool check(const ExportRequest *request, GError **error) {
        bool excludes = request->excluded && *request->excluded;

        if (excludes && request->snapshots == EXPORT_ALL_SNAPSHOTS)
                return fail(error, "ExcludedVirtualHardDisks does not go together with "
                                   "CopySnapshotConfiguration 0");
        if (request->base && !request->storage)
                return fail(error, "DifferentialBackupBase does not go together with "
                                   "CopyVmStorage false");
        if (request->for_migration && request->storage)
                return fail(error,
                                "ExportForLiveMigration does not go together with CopyVmStorage");
        return true;
}

/* What the documents say is ignored with other settings. */
static void drop_ignored(ExportRequest *request) {
        if (!export_request_is_of_one(request))
                g_clear_pointer(&request->snapshot, g_free);
        if (request->snapshots != EXPORT_ONE_SNAPSHOT_FOR_BACKUP)
                g_clear_pointer(&request->base, g_free);
        if (request->snapshots == EXPORT_ONE_SNAPSHOT)
                request->storage = request->runtime = true;
        if (export_request_merges(request))
                g_clear_pointer(&request->base, g_free);
}

/* "/a/b/" is "/a/b": its last component is "b". */
static char *without_slashes_at_end(const char *path) {
        size_t length = strlen(path);

        while (length > 1 && path[length - 1] == '/')
                length--;
        return g_strndup(path, length);
}

static bool read_request(sd_bus_message *call,
                const OptionSpec *specs,
                ExportRequest *request,
                GError **error) {
        const char *directory;

        if (sd_bus_message_read(call, "s", &directory) < 0)
                return fail(error, "The path can not be read");
        request->directory = without_slashes_at_end(directory);
        request->storage = request->runtime = request->subdirectory = true;
        return path_check(directory, error) &&
               bus_options_read(call, operation_common_options, specs, request, error);
}

bool export_request_parse(sd_bus_message *call, void *request, GError **error) {
        ExportRequest *own = request;

        if (!read_request(call, settings, own, error))
                return false;
        drop_ignored(own);
        if (export_request_is_of_one(own) && !own->snapshot)
                return fail(error, "CopySnapshotConfiguration 2 and 3 need SnapshotVirtualSystem");
        return check(own, error);
}

bool export_request_parse_for_snapshot(sd_bus_message *call, void *request, GError **error) {
        ExportRequest *own = request;

        if (!read_request(call, settings, own, error))
                return false;
        if (own->snapshot)
                return fail(error, "SnapshotVirtualSystem is the snapshot that is called");
        if (!own->snapshots_seen)
                own->snapshots = own->intent_seen || own->base ? EXPORT_ONE_SNAPSHOT_FOR_BACKUP
                                                               : EXPORT_ONE_SNAPSHOT;
        if (!export_request_is_of_one(own))
                return fail(error, "CopySnapshotConfiguration must be 2 or 3 for a snapshot");
        drop_ignored(own);
        return check(own, error);
}

static bool is_point(const char *path) {
        char uuid[UUID_STRING_SIZE];
        g_autofree char *id = NULL;

        return bus_path_to_reference_point(path, uuid, &id);
}

bool export_request_parse_for_point(sd_bus_message *call, void *request, GError **error) {
        ExportRequest *own = request;

        own->snapshots = EXPORT_ONE_SNAPSHOT_FOR_BACKUP;
        return read_request(call, point_settings, own, error) &&
               (!own->base || is_point(own->base) ||
                               fail(error, "BaseReferencePoint must be a reference point"));
}

bool export_request_parse_for_package(sd_bus_message *call, void *request, GError **error) {
        ExportRequest *own = request;

        if (!read_request(call, package_settings, own, error))
                return false;
        if (own->live == EXPORT_SAVED_STATE)
                return fail(error, "CaptureLiveState must be 0 or 2: a package holds no memory");
        own->package = true;
        own->snapshots = EXPORT_NO_SNAPSHOTS;
        own->runtime = own->subdirectory = false;
        return true;
}

/* Several machines can't become one directory. */
bool export_request_parse_for_group(sd_bus_message *call, void *request, GError **error) {
        ExportRequest *own = request;
        bool storage;

        if (!read_request(call, group_settings, own, error))
                return false;
        if (!own->subdirectory)
                return fail(error, "CreateVmExportSubdirectory false is for one machine");
        if (own->intent_seen && own->intent == 0)
                return fail(error, "BackupIntent must be 1 (preserve the chain) or 2 (merge)");
        own->intent = own->intent == 2 ? EXPORT_MERGE : EXPORT_PRESERVE_CHAIN;
        own->snapshots = own->intent_seen || own->base ? EXPORT_ONE_SNAPSHOT_FOR_BACKUP
                                                       : EXPORT_ONE_SNAPSHOT;
        storage = own->storage;
        drop_ignored(own);
        own->storage = storage; /* this class does not ignore it */
        return check(own, error);
}

static bool are_machines(GHashTable *table) {
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, table);
        while (g_hash_table_iter_next(&iter, &path, NULL)) {
                char uuid[UUID_STRING_SIZE];

                if (!bus_path_to_machine(path, uuid))
                        return false;
        }
        return true;
}

bool export_request_parse_for_point_group(sd_bus_message *call, void *request, GError **error) {
        ExportRequest *own = request;
        char id[UUID_STRING_SIZE];

        own->snapshots = EXPORT_ONE_SNAPSHOT_FOR_BACKUP;
        if (!read_request(call, point_group_settings, own, error))
                return false;
        if (own->base && !bus_path_to_reference_point_collection(own->base, id))
                return fail(error, "BaseReferencePointCollection must be a collection of reference "
                                   "points");
        return !own->included_of || are_machines(own->included_of) ||
               fail(error, "The keys of VirtualMachinesToDisksToExport must be virtual machines");
}

void export_request_for_part(const ExportRequest *whole, const char *uuid, ExportRequest *ret) {
        g_autofree char *path = bus_path_machine(uuid);

        if (whole->included_of)
                ret->included = g_strdupv(g_hash_table_lookup(whole->included_of, path));
        ret->directory = g_strdup(whole->directory);
        ret->snapshots = whole->snapshots;
        ret->intent = whole->intent;
        ret->storage = whole->storage;
        ret->runtime = ret->subdirectory = true;
}

bool export_request_merges(const ExportRequest *request) {
        return request->snapshots == EXPORT_ONE_SNAPSHOT ||
               (request->snapshots == EXPORT_ONE_SNAPSHOT_FOR_BACKUP &&
                               request->intent == EXPORT_MERGE);
}

static bool find_id(const char *path, const char *uuid, char **ret_id, GError **error) {
        char own[UUID_STRING_SIZE];
        g_autofree char *id = NULL;

        if (bus_path_to_snapshot(path, own, &id) && g_str_equal(own, uuid)) {
                *ret_id = g_steal_pointer(&id);
                return true;
        }
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                        "'%s' is no snapshot of the machine", path);
        return false;
}

bool export_request_find_snapshot(
                const ExportRequest *request, const char *uuid, char **ret_id, GError **error) {
        if (!request->common.snapshot && request->snapshot)
                return find_id(request->snapshot, uuid, ret_id, error);
        *ret_id = g_strdup(request->common.snapshot);
        return true;
}

bool export_request_find_base(
                const ExportRequest *request, const char *uuid, char **ret_id, GError **error) {
        char own[UUID_STRING_SIZE];
        g_autofree char *id = NULL;

        if (!request->base || (bus_path_to_reference_point(request->base, own, &id) &&
                                              g_str_equal(own, uuid))) {
                *ret_id = g_steal_pointer(&id);
                return true;
        }
        return find_id(request->base, uuid, ret_id, error);
}

void export_request_store(const void *request, GKeyFile *file) {
        const ExportRequest *own = request;

        g_key_file_set_string(file, GROUP, "Directory", own->directory);
        g_key_file_set_uint64(file, GROUP, "Snapshots", own->snapshots);
        g_key_file_set_uint64(file, GROUP, "Live", own->live);
        g_key_file_set_boolean(file, GROUP, "Subdirectory", own->subdirectory);
        g_key_file_set_boolean(file, GROUP, "Package", own->package);
}

/* What it takes to settle it; it is never run again. */
void export_request_load(void *request, GKeyFile *file) {
        ExportRequest *own = request;

        own->directory = g_key_file_get_string(file, GROUP, "Directory", NULL);
        own->snapshots = (uint32_t) g_key_file_get_uint64(file, GROUP, "Snapshots", NULL);
        own->live = (uint32_t) g_key_file_get_uint64(file, GROUP, "Live", NULL);
        own->subdirectory = g_key_file_get_boolean(file, GROUP, "Subdirectory", NULL);
        own->package = g_key_file_get_boolean(file, GROUP, "Package", NULL);
}

void export_request_clear(void *request) {
        ExportRequest *own = request;

        g_free(own->directory);
        g_free(own->snapshot);
        g_free(own->base);
        g_strfreev(own->excluded);
        g_strfreev(own->included);
        g_clear_pointer(&own->included_of, g_hash_table_unref);
}
