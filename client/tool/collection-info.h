/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the bus says about one collection, and about one snapshot of a collection. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "path-list.h"

typedef struct CollectionInfo {
        char *path;
        char *uuid;
        char *name;
        uint32_t type;
        PathList members;
        PathList snapshots; /* of the collection, the oldest first */
} CollectionInfo;

typedef struct CollectionSnapshotInfo {
        char *path;
        char *uuid;
        char *name;
        char *collection;   /* path, "/" for none */
        PathList snapshots; /* of the machines */
        uint32_t type;
        uint32_t consistency;
        uint64_t created;
} CollectionSnapshotInfo;

int collection_info_read(CollectionInfo *collection, sd_bus_message *m);
void collection_info_clear(CollectionInfo *collection);

int collection_snapshot_info_read(CollectionSnapshotInfo *snapshot, sd_bus_message *m);
void collection_snapshot_info_clear(CollectionSnapshotInfo *snapshot);

/* By name; the oldest first. Of equals by UUID. */
int collection_info_compare(const CollectionInfo *a, const CollectionInfo *b);
int collection_snapshot_info_compare(
                const CollectionSnapshotInfo *a, const CollectionSnapshotInfo *b);

/* Whether its members are collections and not machines. */
bool collection_info_is_of_collections(const CollectionInfo *collection);

/* What its members are: machines, collections. */
const char *collection_info_type_word(const CollectionInfo *collection);

/* standard, recovery; application, crash. */
const char *collection_snapshot_info_type_word(const CollectionSnapshotInfo *snapshot);
const char *collection_snapshot_info_consistency_word(const CollectionSnapshotInfo *snapshot);
