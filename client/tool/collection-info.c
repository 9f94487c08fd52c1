/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Collections and their snapshots as plain structures, filled from their properties, and the words
 * for them. */

#include <stddef.h>
#include <string.h>

#include "collection-info.h"
#include "property-map.h"

/* clang-format off */
static const PropertyRow collection_rows[] = {
        {"CollectionID",        's', offsetof(CollectionInfo, uuid)},
        {"ElementName",         's', offsetof(CollectionInfo, name)},
        {"Type",                'q', offsetof(CollectionInfo, type)},
        {"Members",             'a', offsetof(CollectionInfo, members)},
        {"SnapshotCollections", 'a', offsetof(CollectionInfo, snapshots)},
};

static const PropertyRow snapshot_rows[] = {
        {"CollectionID",     's', offsetof(CollectionSnapshotInfo, uuid)},
        {"ElementName",      's', offsetof(CollectionSnapshotInfo, name)},
        {"Collection",       'o', offsetof(CollectionSnapshotInfo, collection)},
        {"Snapshots",        'a', offsetof(CollectionSnapshotInfo, snapshots)},
        {"SnapshotType",     'q', offsetof(CollectionSnapshotInfo, type)},
        {"ConsistencyLevel", 'q', offsetof(CollectionSnapshotInfo, consistency)},
        {"CreationTime",     't', offsetof(CollectionSnapshotInfo, created)},
};
/* clang-format on */

int collection_info_read(CollectionInfo *collection, sd_bus_message *m) {
        return property_map_read(m, collection_rows, ELEMENTS(collection_rows), collection);
}

void collection_info_clear(CollectionInfo *collection) {
        property_map_clear(collection_rows, ELEMENTS(collection_rows), collection);
        free(collection->path);
        *collection = (CollectionInfo){0};
}

int collection_snapshot_info_read(CollectionSnapshotInfo *snapshot, sd_bus_message *m) {
        return property_map_read(m, snapshot_rows, ELEMENTS(snapshot_rows), snapshot);
}

void collection_snapshot_info_clear(CollectionSnapshotInfo *snapshot) {
        property_map_clear(snapshot_rows, ELEMENTS(snapshot_rows), snapshot);
        free(snapshot->path);
        *snapshot = (CollectionSnapshotInfo){0};
}

static int compare_texts(const char *a, const char *b) {
        return strverscmp(a ? a : "", b ? b : "");
}

int collection_info_compare(const CollectionInfo *a, const CollectionInfo *b) {
        int order = compare_texts(a->name, b->name);

        return order != 0 ? order : compare_texts(a->uuid, b->uuid);
}

int collection_snapshot_info_compare(
                const CollectionSnapshotInfo *a, const CollectionSnapshotInfo *b) {
        if (a->created != b->created)
                return a->created < b->created ? -1 : 1;
        return compare_texts(a->uuid, b->uuid);
}

bool collection_info_is_of_collections(const CollectionInfo *collection) {
        return collection->type == COLLECTION_TYPE_COLLECTIONS;
}

const char *collection_info_type_word(const CollectionInfo *collection) {
        return collection_info_is_of_collections(collection) ? "collections" : "machines";
}

const char *collection_snapshot_info_type_word(const CollectionSnapshotInfo *snapshot) {
        return snapshot->type == COLLECTION_SNAPSHOT_RECOVERY ? "recovery" : "standard";
}

const char *collection_snapshot_info_consistency_word(const CollectionSnapshotInfo *snapshot) {
        return snapshot->consistency == CONSISTENCY_APPLICATION ? "application" : "crash";
}
