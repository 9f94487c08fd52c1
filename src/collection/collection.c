/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "collection/collection.h"

#include <string.h>

#include "util/error.h"
#include "util/name.h"

#define GROUP "Collection"

static const char *const kinds[] = {"machines", "collections", "snapshots", "reference-points"};

static void member_free(void *data) {
        CollectionMember *member = data;

        g_free(member->snapshot);
        g_free(member);
}

Collection *collection_new(CollectionKind kind, const char *id, const char *name) {
        Collection *collection = g_atomic_rc_box_new0(Collection);
        g_autofree char *random = id ? NULL : g_uuid_string_random();

        g_strlcpy(collection->id, id ?: random, sizeof(collection->id));
        collection->kind = kind;
        collection->name = g_strdup(name);
        collection->members = g_ptr_array_new_with_free_func(member_free);
        return collection;
}

Collection *collection_copy(const Collection *collection) {
        Collection *copy = collection_new(collection->kind, collection->id, collection->name);

        for (unsigned i = 0; i < collection->members->len; i++) {
                const CollectionMember *member = collection->members->pdata[i];

                collection_add(copy, member->uuid, member->snapshot);
        }
        g_strlcpy(copy->origin, collection->origin, sizeof(copy->origin));
        copy->type = collection->type;
        copy->consistency = collection->consistency;
        copy->created = collection->created;
        return copy;
}

bool collection_is_group(const Collection *collection) {
        return collection->kind == COLLECTION_OF_SNAPSHOTS ||
               collection->kind == COLLECTION_OF_POINTS;
}

Collection *collection_ref(Collection *collection) {
        return g_atomic_rc_box_acquire(collection);
}

static void clear(void *data) {
        Collection *collection = data;

        g_free(collection->name);
        g_ptr_array_unref(collection->members);
}

void collection_unref(Collection *collection) {
        if (collection)
                g_atomic_rc_box_release_full(collection, clear);
}

void collection_add(Collection *collection, const char *uuid, const char *snapshot) {
        CollectionMember *member = g_new0(CollectionMember, 1);

        g_strlcpy(member->uuid, uuid, sizeof(member->uuid));
        member->snapshot = g_strdup(snapshot);
        g_ptr_array_add(collection->members, member);
}

static CollectionMember *find(const Collection *collection, const char *uuid) {
        for (unsigned i = 0; i < collection->members->len; i++) {
                CollectionMember *member = collection->members->pdata[i];

                if (g_str_equal(member->uuid, uuid))
                        return member;
        }
        return NULL;
}

void collection_remove(Collection *collection, const char *uuid) {
        CollectionMember *member = find(collection, uuid);

        if (member)
                g_ptr_array_remove(collection->members, member);
}

void collection_rename(Collection *collection, const char *name) {
        g_free(collection->name);
        collection->name = g_strdup(name);
}

bool collection_has(const Collection *collection, const char *uuid) {
        return find(collection, uuid);
}

const char *collection_snapshot_of(const Collection *collection, const char *uuid) {
        const CollectionMember *member = find(collection, uuid);

        return member ? member->snapshot : NULL;
}

static bool is_uuid(const char *text) {
        g_autofree char *lower = g_ascii_strdown(text, -1);

        return g_uuid_string_is_valid(text) && g_str_equal(text, lower);
}

bool collection_id_check(const char *id, GError **error) {
        if (is_uuid(id))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "The ID of a collection is a UUID in lower case, or empty");
        return false;
}

/* The file */

static void store_members(const Collection *collection, GKeyFile *file) {
        g_autoptr(GPtrArray) uuids = g_ptr_array_new(), snapshots = g_ptr_array_new();

        for (unsigned i = 0; i < collection->members->len; i++) {
                CollectionMember *member = collection->members->pdata[i];

                g_ptr_array_add(uuids, member->uuid);
                g_ptr_array_add(snapshots, member->snapshot);
        }
        g_key_file_set_string_list(
                        file, GROUP, "Members", (const char *const *) uuids->pdata, uuids->len);
        if (collection_is_group(collection))
                g_key_file_set_string_list(file, GROUP, "Snapshots",
                                (const char *const *) snapshots->pdata, snapshots->len);
}

GKeyFile *collection_store(const Collection *collection) {
        GKeyFile *file = g_key_file_new();

        g_key_file_set_string(file, GROUP, "Kind", kinds[collection->kind]);
        g_key_file_set_string(file, GROUP, "Name", collection->name);
        store_members(collection, file);
        if (!collection_is_group(collection))
                return file;
        g_key_file_set_string(file, GROUP, "Origin", collection->origin);
        g_key_file_set_uint64(file, GROUP, "Type", collection->type);
        g_key_file_set_uint64(file, GROUP, "Consistency", collection->consistency);
        g_key_file_set_uint64(file, GROUP, "Created", collection->created);
        return file;
}

static bool load_kind(GKeyFile *file, CollectionKind *ret) {
        g_autofree char *kind = g_key_file_get_string(file, GROUP, "Kind", NULL);

        for (unsigned i = 0; kind && i < G_N_ELEMENTS(kinds); i++)
                if (g_str_equal(kind, kinds[i])) {
                        *ret = (CollectionKind) i;
                        return true;
                }
        return false;
}

static bool load_members(Collection *collection, GKeyFile *file) {
        bool with_snapshots = collection_is_group(collection);
        gsize n_uuids = 0, n_snapshots = 0;
        g_auto(GStrv) uuids = g_key_file_get_string_list(file, GROUP, "Members", &n_uuids, NULL);
        g_auto(GStrv) snapshots =
                        g_key_file_get_string_list(file, GROUP, "Snapshots", &n_snapshots, NULL);

        if (!uuids || (with_snapshots && n_uuids != n_snapshots))
                return false;
        for (unsigned i = 0; i < n_uuids; i++) {
                if (!is_uuid(uuids[i]))
                        return false;
                collection_add(collection, uuids[i], with_snapshots ? snapshots[i] : NULL);
        }
        return true;
}

Collection *collection_load(const char *id, GKeyFile *file) {
        g_autofree char *name = g_key_file_get_string(file, GROUP, "Name", NULL);
        g_autofree char *origin = g_key_file_get_string(file, GROUP, "Origin", NULL);
        g_autoptr(Collection) collection = NULL;
        CollectionKind kind;

        if (!is_uuid(id) || !load_kind(file, &kind) || !name || !name_check(name, NULL))
                return NULL;
        collection = collection_new(kind, id, name);
        if (!load_members(collection, file))
                return NULL;
        if (!collection_is_group(collection))
                return g_steal_pointer(&collection);
        if (!origin || !is_uuid(origin))
                return NULL;
        g_strlcpy(collection->origin, origin, sizeof(collection->origin));
        collection->type = (uint16_t) g_key_file_get_uint64(file, GROUP, "Type", NULL);
        collection->consistency =
                        (uint16_t) g_key_file_get_uint64(file, GROUP, "Consistency", NULL);
        collection->created = g_key_file_get_uint64(file, GROUP, "Created", NULL);
        return g_steal_pointer(&collection);
}
