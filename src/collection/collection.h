/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What belongs together: machines, collections, or snapshots or reference points that were taken at
 * one moment. A
 * collection never changes; a change is another one with the same ID. Any thread. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus/bus-path.h"

typedef enum CollectionKind { /* the first two are the documents' numbers */
        COLLECTION_OF_MACHINES = 0,
        COLLECTION_OF_COLLECTIONS = 1,
        COLLECTION_OF_SNAPSHOTS = 2,
        COLLECTION_OF_POINTS = 3, /* reference points; otherwise as of snapshots */
} CollectionKind;

#define COLLECTION_MEMBERS_MAX 64U

typedef struct CollectionMember {
        char uuid[UUID_STRING_SIZE]; /* of a machine; of a collection in one of collections */
        char *snapshot;              /* id; NULL but in a group */
} CollectionMember;

typedef struct Collection {
        char id[UUID_STRING_SIZE];
        CollectionKind kind;
        char *name;
        GPtrArray *members; /* of CollectionMember, in the order of their coming */

        /* Of a group only: */
        char origin[UUID_STRING_SIZE]; /* the collection that they were taken of */
        uint16_t type, consistency;    /* of all its snapshots, or reference points */
        uint64_t created;              /* microseconds of CLOCK_REALTIME */
} Collection;

/* One reference for the caller. An ID of NULL is made up. */
Collection *collection_new(CollectionKind kind, const char *id, const char *name);
Collection *collection_copy(const Collection *collection);
Collection *collection_ref(Collection *collection);
void collection_unref(Collection *collection); /* accepts NULL */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Collection, collection_unref)

/* Whether it is one of snapshots or of reference points. */
bool collection_is_group(const Collection *collection);

/* While nobody else has the collection. */
void collection_add(Collection *collection, const char *uuid, const char *snapshot);
void collection_remove(Collection *collection, const char *uuid);
void collection_rename(Collection *collection, const char *name);

bool collection_has(const Collection *collection, const char *uuid);

/* The snapshot, or reference point, of that machine; NULL: none. Belongs to the collection. */
const char *collection_snapshot_of(const Collection *collection, const char *uuid);

/* Whether it is a UUID as we write them: lower case, with dashes. */
bool collection_id_check(const char *id, GError **error);

/* To and from the file of the store. collection_load() answers NULL for a file that makes no
 * sense. */
GKeyFile *collection_store(const Collection *collection);
Collection *collection_load(const char *id, GKeyFile *file);
