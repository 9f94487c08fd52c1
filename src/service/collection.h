/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A collection on the bus, also one of snapshots or reference points. Loop. */

#include "bus/publisher.h"
#include "collection/collection.h"
#include "service/operation-call.h"
#include "service/snapshot.h"

/* Entries of the tables of properties, in their order. */
enum {
        COLLECTION_PROPERTY_NAME = 1 << 0,
        COLLECTION_PROPERTY_MEMBERS = 1 << 1,
        COLLECTION_PROPERTY_SNAPSHOT_COLLECTIONS = 1 << 2,
        COLLECTION_PROPERTY_REFERENCE_POINT_COLLECTIONS = 1 << 3,
};

enum {
        GROUP_PROPERTY_NAME = 1 << 0,
        GROUP_PROPERTY_COLLECTION = 1 << 1,
        GROUP_PROPERTY_SNAPSHOTS = 1 << 2, /* or ReferencePoints */
};

struct CollectionObject {
        Manager *manager;
        Collection *collection; /* replaced as a whole when it changes */
        char *path;
        Publication publication;
};

/* The objects, as the store has them; before the first signal leaves. */
void collection_load_all(Manager *manager);

/* Somebody may have changed what the store has: makes, changes and removes objects, and announces
 * it. */
void collection_refresh(Manager *manager);
void collection_free_all(Manager *manager);

/* The snapshots or reference points of a machine have come or gone. */
void collection_snapshots_changed(Manager *manager, const char *uuid);

/* NULL if there is none. */
CollectionObject *collection_at_path(Manager *manager, const char *path);

/* The path of the collection that the snapshot is part of, or NULL. */
const char *collection_of_snapshot(Manager *manager, const char *uuid, const char *id);

/* What the sub-tasks of an operation on the collection are made of: TaskSpec, whose requests are
 * owned by whoever takes them. An error if a machine or snapshot is missing that the operation
 * needs, or a machine is not in the right state. NULL and no error: the operation has none. */
GPtrArray *collection_make_parts(const CollectionObject *object,
                const Operation *operation,
                const Request *request,
                uid_t owner,
                GError **error);

/* collection-dbus.c */
int collection_publish(Manager *manager);
int collection_append_all(Manager *manager, sd_bus_message *message); /* entries a{oa{sa{sv}}} */
void collection_emit_added(CollectionObject *object);
void collection_emit_removed(CollectionObject *object);
