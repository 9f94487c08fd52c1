/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All collections, in memory and as a file each in the state directory. Any thread. */

#include "collection/collection.h"

typedef struct CollectionStore CollectionStore;

/* Opens (or makes) "collections" in the state directory, and reads what is there. NULL and "error"
 * on failure. */
CollectionStore *collection_store_new(const char *state_directory, GError **error);
CollectionStore *collection_store_free(CollectionStore *store);

/* All collections, the oldest of snapshots first. Owned references. */
GPtrArray *collection_store_list(CollectionStore *store);

/* A reference; NULL and NO_SUCH_COLLECTION if there is none. */
Collection *collection_store_find(CollectionStore *store, const char *id, GError **error);

/* Puts in a new collection, or another instead of the one with its ID. It survives a power cut once
 * this returns; on failure nothing has changed. */
bool collection_store_put(CollectionStore *store, Collection *collection, GError **error);

/* Removes it, and also from those that have it as a member. Succeeds if it is not there. */
bool collection_store_remove(CollectionStore *store, const char *id, GError **error);
