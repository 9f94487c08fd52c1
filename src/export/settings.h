/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Msvm_VirtualSystemExportSettingData: what an export holds. docs/decisions/0011 says what the
 * documents leave open. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "jobs/operation.h"

/* CopySnapshotConfiguration */
typedef enum ExportSnapshots {
        EXPORT_ALL_SNAPSHOTS,
        EXPORT_NO_SNAPSHOTS,
        EXPORT_ONE_SNAPSHOT,            /* as a machine of its own, its disks merged */
        EXPORT_ONE_SNAPSHOT_FOR_BACKUP, /* the same with the UUID of the machine */
} ExportSnapshots;

/* CaptureLiveState */
typedef enum ExportLiveState {
        EXPORT_CRASH_CONSISTENT,
        EXPORT_SAVED_STATE,
        EXPORT_APPLICATION_CONSISTENT,
} ExportLiveState;

/* BackupIntent */
typedef enum ExportIntent {
        EXPORT_PRESERVE_CHAIN,
        EXPORT_MERGE,
} ExportIntent;

typedef struct ExportRequest {
        Request common;
        char *directory;         /* of a package: the file */
        uint32_t snapshots;      /* ExportSnapshots */
        uint32_t live;           /* ExportLiveState */
        uint32_t intent;         /* ExportIntent */
        char *snapshot;          /* object path; NULL: none */
        char *base;              /* object path; NULL: a full export */
        char **excluded;         /* targets of disks; NULL: none */
        char **included;         /* the same of the only ones; NULL: all */
        GHashTable *included_of; /* of a group, by machine (path): the same; NULL: all of all */
        bool snapshots_seen, intent_seen;
        bool live_seen;    /* a running machine may be exported */
        bool storage;      /* its disks are copied */
        bool runtime;      /* saved state and memory are copied */
        bool subdirectory; /* the bundle is made in the directory, named like the machine */
        bool package;      /* not a bundle: a file for other products */
        bool for_migration;
        bool without_overlays; /* what is not copied is named itself */
} ExportRequest;

/* An operation's parse(): a directory and the settings. INVALID_ARGUMENT, and the errors of
 * path_check(). */
bool export_request_parse(sd_bus_message *call, void *request, GError **error);

/* The same for a snapshot: CopySnapshotConfiguration is 2, or 3 with BackupIntent or
 * DifferentialBackupBase, and says so if it is given. */
bool export_request_parse_for_snapshot(sd_bus_message *call, void *request, GError **error);

/* The same for a reference point, as one snapshot for a backup, with the settings of
 * Msvm_VirtualSystemReferencePointExportSettingData. */
bool export_request_parse_for_point(sd_bus_message *call, void *request, GError **error);

/* The same for a package: a file, and of the settings CaptureLiveState, without memory, and
 * ExcludedVirtualHardDisks. */
bool export_request_parse_for_package(sd_bus_message *call, void *request, GError **error);

/* The same for snapshots of several machines, with the settings of
 * Msvm_CollectionSnapshotExportSettingData; their numbers of BackupIntent are 1 and 2. */
bool export_request_parse_for_group(sd_bus_message *call, void *request, GError **error);

/* The same for reference points of several machines, with the settings of
 * Msvm_CollectionReferencePointExportSettingData. */
bool export_request_parse_for_point_group(sd_bus_message *call, void *request, GError **error);

/* The request of one of these machines, from that of all, without the base: it has one of its own.
 */
void export_request_for_part(const ExportRequest *whole, const char *uuid, ExportRequest *ret);

/* The id of the snapshot that is exported; NULL: the machine's present. "uuid" is the machine's:
 * NO_SUCH_SNAPSHOT for another machine's snapshot, and what is none. */
bool export_request_find_snapshot(
                const ExportRequest *request, const char *uuid, char **ret_id, GError **error);

/* The same of what DifferentialBackupBase names, unless it is to be merged anyway; NULL: all is
 * exported. */
bool export_request_find_base(
                const ExportRequest *request, const char *uuid, char **ret_id, GError **error);

/* Whether one snapshot is exported, and whether the images of its chains become one. */
bool export_request_is_of_one(const ExportRequest *request);
bool export_request_merges(const ExportRequest *request);

void export_request_store(const void *request, GKeyFile *file);
void export_request_load(void *request, GKeyFile *file);
void export_request_clear(void *request);
