/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Everything that the service publishes, read with one call. */

#include "bus-client.h"
#include "collection-info.h"
#include "machine-info.h"
#include "snapshot-info.h"
#include "task-info.h"

typedef struct Inventory {
        MachineInfo *machines; /* by name */
        size_t n_machines;
        TaskInfo *tasks; /* by number */
        size_t n_tasks;
        SnapshotInfo *snapshots; /* and reference points */
        size_t n_snapshots;
        CollectionInfo *collections; /* by name */
        size_t n_collections;
        CollectionSnapshotInfo *collection_snapshots; /* the oldest first */
        size_t n_collection_snapshots;
        char *version;
        char *uri;
        bool connected;
        uint64_t retention_usec;
} Inventory;

ExitCode inventory_load(Inventory *inventory, Session *s);
void inventory_clear(Inventory *inventory);

MachineInfo *inventory_find_machine(const Inventory *inventory, const char *path);
TaskInfo *inventory_find_task(const Inventory *inventory, const char *path);
SnapshotInfo *inventory_find_snapshot(const Inventory *inventory, const char *path);
CollectionInfo *inventory_find_collection(const Inventory *inventory, const char *path);
CollectionSnapshotInfo *inventory_find_collection_snapshot(
                const Inventory *inventory, const char *path);

/* "COLLECTION/NAME", or the name alone if the collection is gone. */
char *inventory_collection_snapshot_label(
                const Inventory *inventory, const CollectionSnapshotInfo *snapshot);

/* The name of the collection, or the label of the snapshot of one, at @path; NULL if it is neither.
 */
char *inventory_collection_name(const Inventory *inventory, const char *path);

/* The snapshots of the machine at @machine, the oldest first. Freed by the caller, its elements
 * belong to the inventory. */
SnapshotInfo **inventory_snapshots_of(
                const Inventory *inventory, const char *machine, size_t *ret_count);

/* Its reference points, in the same way. */
SnapshotInfo **inventory_points_of(
                const Inventory *inventory, const char *machine, size_t *ret_count);

/* The unfinished task of @vm that began first, or NULL; and how many there are. */
const TaskInfo *inventory_find_active(
                const Inventory *inventory, const MachineInfo *vm, size_t *ret_count);

/* For PropertiesChanged of the manager: reads the a{sv} that is next in @m. */
int inventory_read_manager(Inventory *inventory, sd_bus_message *m);

/* For InterfacesAdded and -Removed: reads the a{sa{sv}} that is next in @m into the object at
 * @path. */
int inventory_read_object(Inventory *inventory, const char *path, sd_bus_message *m);
void inventory_forget(Inventory *inventory, const char *path);
