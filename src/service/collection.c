/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Objects follow the store: after each task that may have changed it, what it has is compared with
 * what is shown. */

#include "service/collection.h"

#include <string.h>

#include "bus/bus-path.h"
#include "collection/store.h"
#include "service/manager.h"

#define COLLECTION "org.virtask1.Collection"
#define GROUP      "org.virtask1.SnapshotCollection"
#define POINTS     "org.virtask1.ReferencePointCollection"

static const PublishedProperty collection_properties[] = {
                {COLLECTION, "ElementName"},
                {COLLECTION, "Members"},
                {COLLECTION, "SnapshotCollections"},
                {COLLECTION, "ReferencePointCollections"},
                {NULL, NULL},
};

static const PublishedProperty group_properties[] = {
                {GROUP, "ElementName"},
                {GROUP, "Collection"},
                {GROUP, "Snapshots"},
                {NULL, NULL},
};

static const PublishedProperty point_group_properties[] = {
                {POINTS, "ElementName"},
                {POINTS, "Collection"},
                {POINTS, "ReferencePoints"},
                {NULL, NULL},
};

static const PublishedProperty *const properties_of[] = {
                [COLLECTION_OF_MACHINES] = collection_properties,
                [COLLECTION_OF_COLLECTIONS] = collection_properties,
                [COLLECTION_OF_SNAPSHOTS] = group_properties,
                [COLLECTION_OF_POINTS] = point_group_properties,
};

static CollectionObject *find(Manager *manager, const char *id) {
        return g_hash_table_lookup(manager->collections, id);
}

static bool is_group(const CollectionObject *object) {
        return collection_is_group(object->collection);
}

static char *path_of(const Collection *collection) {
        if (collection->kind == COLLECTION_OF_POINTS)
                return bus_path_reference_point_collection(collection->id);
        if (collection->kind == COLLECTION_OF_SNAPSHOTS)
                return bus_path_snapshot_collection(collection->id);
        return bus_path_collection(collection->id);
}

CollectionObject *collection_at_path(Manager *manager, const char *path) {
        char id[UUID_STRING_SIZE];
        CollectionObject *object;

        if (!bus_path_to_collection(path, id) && !bus_path_to_snapshot_collection(path, id) &&
                        !bus_path_to_reference_point_collection(path, id))
                return NULL;
        object = find(manager, id);
        return object && g_str_equal(object->path, path) ? object : NULL;
}

static CollectionObject *object_new(Manager *manager, Collection *collection) {
        CollectionObject *object = g_new0(CollectionObject, 1);

        object->manager = manager;
        object->collection = collection_ref(collection);
        object->path = path_of(collection);
        publication_init(&object->publication, manager->publisher, object->path,
                        properties_of[collection->kind]);
        g_hash_table_insert(manager->collections, object->collection->id, object);
        return object;
}

static void object_free(void *data) {
        CollectionObject *object = data;

        publication_clear(&object->publication);
        collection_unref(object->collection);
        g_free(object->path);
        g_free(object);
}

/* Which collection a snapshot is part of */

static char *key_of(const char *uuid, const char *snapshot) {
        return g_strconcat(uuid, "/", snapshot, NULL);
}

const char *collection_of_snapshot(Manager *manager, const char *uuid, const char *id) {
        g_autofree char *key = NULL;

        if (g_hash_table_size(manager->grouped) == 0)
                return NULL;
        key = key_of(uuid, id);
        return g_hash_table_lookup(manager->grouped, key);
}

static void touch_snapshot(Manager *manager, const CollectionMember *member) {
        VirtualMachine *vm = manager_find_machine(manager, member->uuid);
        Snapshot *snapshot = vm ? snapshot_find(vm, member->snapshot) : NULL;

        if (snapshot)
                publication_touch(&snapshot->publication, SNAPSHOT_PROPERTY_SNAPSHOT_COLLECTION);
}

static void index_group(Manager *manager, const CollectionObject *object, bool come) {
        const GPtrArray *members = object->collection->members;

        if (object->collection->kind != COLLECTION_OF_SNAPSHOTS)
                return;
        for (unsigned i = 0; i < members->len; i++) {
                const CollectionMember *member = members->pdata[i];
                g_autofree char *key = key_of(member->uuid, member->snapshot);

                if (come)
                        g_hash_table_replace(manager->grouped, g_steal_pointer(&key),
                                        g_strdup(object->path));
                else
                        g_hash_table_remove(manager->grouped, key);
                touch_snapshot(manager, member);
        }
}

/* From what is shown to what there is */

static void touch_origin(Manager *manager, const CollectionObject *group) {
        CollectionObject *origin = find(manager, group->collection->origin);

        if (origin)
                publication_touch(&origin->publication,
                                group->collection->kind == COLLECTION_OF_POINTS
                                                ? COLLECTION_PROPERTY_REFERENCE_POINT_COLLECTIONS
                                                : COLLECTION_PROPERTY_SNAPSHOT_COLLECTIONS);
}

/* Those whose Collection has come or gone. */
static void touch_groups_of(Manager *manager, const char *id) {
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, manager->collections);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                CollectionObject *object = value;

                if (is_group(object) && g_str_equal(object->collection->origin, id))
                        publication_touch(&object->publication, GROUP_PROPERTY_COLLECTION);
        }
}

static void connect(Manager *manager, const CollectionObject *object, bool come) {
        if (!is_group(object)) {
                touch_groups_of(manager, object->collection->id);
                return;
        }
        index_group(manager, object, come);
        touch_origin(manager, object);
}

static void take_away(Manager *manager, CollectionObject *object) {
        g_hash_table_steal(manager->collections, object->collection->id);
        connect(manager, object, false);
        collection_emit_removed(object);
        object_free(object);
}

static void replace(Manager *manager, CollectionObject *object, Collection *collection) {
        bool renamed = !g_str_equal(object->collection->name, collection->name);

        /* The key of the table is part of the collection. */
        g_hash_table_steal(manager->collections, object->collection->id);
        collection_unref(object->collection);
        object->collection = collection_ref(collection);
        g_hash_table_insert(manager->collections, object->collection->id, object);
        /* In all tables the first is the name; what a group holds does not change. */
        publication_touch(&object->publication, renamed ? COLLECTION_PROPERTY_NAME : 0);
        if (!is_group(object))
                publication_touch(&object->publication, COLLECTION_PROPERTY_MEMBERS);
}

/* One of another kind with the same ID is another one. */
static void take_away_gone(Manager *manager, const GPtrArray *all) {
        g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GList) objects = g_hash_table_get_values(manager->collections);

        for (unsigned i = 0; i < all->len; i++)
                g_hash_table_insert(there, ((Collection *) all->pdata[i])->id, all->pdata[i]);
        for (GList *link = objects; link; link = link->next) {
                CollectionObject *object = link->data;

                const Collection *now = g_hash_table_lookup(there, object->collection->id);

                if (!now || now->kind != object->collection->kind)
                        take_away(manager, object);
        }
}

void collection_refresh(Manager *manager) {
        g_autoptr(GPtrArray) all = collection_store_list(manager->store);

        take_away_gone(manager, all);
        for (unsigned i = 0; i < all->len; i++) {
                Collection *collection = all->pdata[i];
                CollectionObject *object = find(manager, collection->id);

                if (!object) {
                        object = object_new(manager, collection);
                        connect(manager, object, true);
                        collection_emit_added(object);
                } else if (object->collection != collection)
                        replace(manager, object, collection);
        }
}

void collection_load_all(Manager *manager) {
        g_autoptr(GPtrArray) all = collection_store_list(manager->store);

        manager->collections = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, object_free);
        manager->grouped = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        for (unsigned i = 0; i < all->len; i++) {
                const CollectionObject *object = object_new(manager, all->pdata[i]);

                if (is_group(object))
                        index_group(manager, object, true);
        }
}

void collection_free_all(Manager *manager) {
        g_hash_table_destroy(manager->collections);
        g_hash_table_destroy(manager->grouped);
}

void collection_snapshots_changed(Manager *manager, const char *uuid) {
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, manager->collections);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                CollectionObject *object = value;

                if (is_group(object) && collection_has(object->collection, uuid))
                        publication_touch(&object->publication, GROUP_PROPERTY_SNAPSHOTS);
        }
}

/* The sub-tasks of an operation */

typedef struct Parts {
        const CollectionObject *object;
        const Operation *operation;
        const Request *request;
        uid_t owner;
        GHashTable *seen; /* UUIDs; a machine may be in several collections of one */
        GPtrArray *specs;
} Parts;

static void spec_free(void *spec) {
        g_free(spec);
}

static bool add_part(Parts *parts, const VirtualMachine *vm, const char *snapshot, GError **error) {
        const Operation *operation = parts->operation->part;
        Request *request = g_malloc0(operation->request_size);
        TaskSpec *spec;

        if (parts->operation->part_request)
                parts->operation->part_request(parts->request, vm->facts, request);
        request->queue = parts->request->queue;
        request->snapshot = g_strdup(snapshot);
        /* A busy machine is reported as such, by whoever looks for the holders. */
        if (!task_list_holder(vm->manager->tasks, vm->path) &&
                        !operation_check_state(operation, request, vm, error)) {
                operation_request_free(operation, request);
                return false;
        }
        spec = g_new0(TaskSpec, 1);
        *spec = (TaskSpec){.operation = operation,
                        .object = vm->path,
                        .facts = vm->facts,
                        .owner = parts->owner,
                        .request = request};
        g_ptr_array_add(parts->specs, spec);
        if (parts->specs->len <= COLLECTION_MEMBERS_MAX)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_LIMITS_EXCEEDED,
                        "At most %u virtual machines at once", COLLECTION_MEMBERS_MAX);
        return false;
}

static bool add_machine(Parts *parts, const CollectionMember *member, GError **error) {
        VirtualMachine *vm = manager_find_machine(parts->object->manager, member->uuid);
        bool may_miss = parts->operation->flags & OPERATION_SKIPS_MISSING;

        if (!g_hash_table_add(parts->seen, (void *) member->uuid))
                return true;
        if (vm && (!member->snapshot || operation_find_snapshot(parts->operation->part, vm,
                                                        member->snapshot)))
                return add_part(parts, vm, member->snapshot, error);
        if (may_miss && parts->object->manager->connected)
                return true;
        if (!parts->object->manager->connected)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE,
                                "There is no connection to the hypervisor");
        else if (vm)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                                "The snapshot of '%s' is gone", vm->facts->name);
        else
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE,
                                "The member %s is gone", member->uuid);
        return false;
}

/* A collection can't contain itself: see AddMember. */
static bool add_members(Parts *parts, const Collection *collection, GError **error) {
        for (unsigned i = 0; i < collection->members->len; i++) {
                const CollectionMember *member = collection->members->pdata[i];
                const CollectionObject *inner;

                if (collection->kind != COLLECTION_OF_COLLECTIONS) {
                        if (!add_machine(parts, member, error))
                                return false;
                        continue;
                }
                inner = find(parts->object->manager, member->uuid);
                if (inner && !add_members(parts, inner->collection, error))
                        return false;
        }
        return true;
}

static void free_requests(const GPtrArray *specs) {
        for (unsigned i = 0; i < specs->len; i++) {
                const TaskSpec *spec = specs->pdata[i];

                operation_request_free(spec->operation, spec->request);
        }
}

GPtrArray *collection_make_parts(const CollectionObject *object,
                const Operation *operation,
                const Request *request,
                uid_t owner,
                GError **error) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func(spec_free);
        Parts parts = {object, operation, request, owner, seen, specs};
        bool ok;

        if (!operation->part)
                return NULL;
        ok = add_members(&parts, object->collection, error);
        if (ok && specs->len == 0 && !(operation->flags & OPERATION_SKIPS_MISSING)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                                "There are no virtual machines in '%s'", object->collection->name);
                ok = false;
        }
        if (ok)
                return g_steal_pointer(&specs);
        free_requests(specs);
        return NULL;
}
