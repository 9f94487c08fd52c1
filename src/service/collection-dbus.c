/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Collection, SnapshotCollection and ReferencePointCollection on the bus. All methods are rows of
 * the operation table. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus-object.h"
#include "bus/bus-path.h"
#include "bus/bus-property.h"
#include "service/collection.h"
#include "service/manager.h"
#include "service/reference-point.h"
#include "util/log.h"

#define COLLECTION "org.virtask1.Collection"
#define GROUP      "org.virtask1.SnapshotCollection"
#define POINTS     "org.virtask1.ReferencePointCollection"

/* Where the objects of each kind are, and what they are. */
static const struct {
        const char *prefix;
        const char *interface;
} faces[] = {
                [COLLECTION_OF_MACHINES] = {PATH_COLLECTIONS, COLLECTION},
                [COLLECTION_OF_COLLECTIONS] = {PATH_COLLECTIONS, COLLECTION},
                [COLLECTION_OF_SNAPSHOTS] = {PATH_SNAPSHOT_COLLECTIONS, GROUP},
                [COLLECTION_OF_POINTS] = {PATH_REFERENCE_POINT_COLLECTIONS, POINTS},
};

static int method_operation(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        CollectionObject *object = userdata;
        const CallSubject subject = {.path = object->path, .collection = object};
        const char *interface = faces[object->collection->kind].interface;
        const Operation *operation = operation_find(
                        interface + strlen("org.virtask1."), sd_bus_message_get_member(call));

        return operation_call(
                        object->manager, call, operation, &subject, TASK_REPLY_NOTHING, ret_error);
}

#define TEXT_GETTER(...)   TEXT_GETTER_OF(const CollectionObject *object, __VA_ARGS__)
#define NUMBER_GETTER(...) NUMBER_GETTER_OF(const CollectionObject *object, __VA_ARGS__)

TEXT_GETTER(id, 's', object->collection->id)
TEXT_GETTER(name, 's', object->collection->name)
NUMBER_GETTER(type, 'q', uint16_t, object->collection->kind)
NUMBER_GETTER(group_type, 'q', uint16_t, object->collection->type)
NUMBER_GETTER(consistency_level, 'q', uint16_t, object->collection->consistency)
NUMBER_GETTER(creation_time, 't', uint64_t, object->collection->created)

GETTER(members) {
        const Collection *collection = ((CollectionObject *) userdata)->collection;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && i < collection->members->len; i++) {
                const CollectionMember *member = collection->members->pdata[i];
                g_autofree char *object = collection->kind == COLLECTION_OF_COLLECTIONS
                                                          ? bus_path_collection(member->uuid)
                                                          : bus_path_machine(member->uuid);

                r = sd_bus_message_append_basic(reply, 'o', object);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int compare_created(const void *a, const void *b) {
        const CollectionObject *x = *(CollectionObject *const *) a;
        const CollectionObject *y = *(CollectionObject *const *) b;

        if (x->collection->created != y->collection->created)
                return x->collection->created < y->collection->created ? -1 : 1;
        return strcmp(x->path, y->path);
}

/* Those of a kind that were taken of the collection. */
static int append_groups(
                sd_bus_message *reply, const CollectionObject *object, CollectionKind kind) {
        g_autoptr(GPtrArray) groups = g_ptr_array_new();
        GHashTableIter iter;
        void *value;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        g_hash_table_iter_init(&iter, object->manager->collections);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const CollectionObject *other = value;

                if (other->collection->kind == kind &&
                                g_str_equal(other->collection->origin, object->collection->id))
                        g_ptr_array_add(groups, value);
        }
        g_ptr_array_sort(groups, compare_created);
        for (unsigned i = 0; r >= 0 && i < groups->len; i++)
                r = sd_bus_message_append_basic(
                                reply, 'o', ((CollectionObject *) groups->pdata[i])->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(snapshot_collections) {
        return append_groups(reply, userdata, COLLECTION_OF_SNAPSHOTS);
}

GETTER(reference_point_collections) {
        return append_groups(reply, userdata, COLLECTION_OF_POINTS);
}

GETTER(collection) {
        const CollectionObject *object = userdata;
        const CollectionObject *origin = g_hash_table_lookup(
                        object->manager->collections, object->collection->origin);

        return sd_bus_message_append_basic(reply, 'o', origin ? origin->path : "/");
}

static const char *path_of_point(const VirtualMachine *vm, const char *id) {
        const ReferencePoint *point = reference_point_find(vm, id);

        return point ? point->path : NULL;
}

static const char *path_of_snapshot(const VirtualMachine *vm, const char *id) {
        const Snapshot *snapshot = snapshot_find(vm, id);

        return snapshot ? snapshot->path : NULL;
}

/* NULL if it is not there. */
static const char *path_of_member(const CollectionObject *object, const CollectionMember *member) {
        const VirtualMachine *vm = manager_find_machine(object->manager, member->uuid);

        if (!vm)
                return NULL;
        return object->collection->kind == COLLECTION_OF_POINTS
                               ? path_of_point(vm, member->snapshot)
                               : path_of_snapshot(vm, member->snapshot);
}

/* Snapshots, or reference points. */
GETTER(group_members) {
        const CollectionObject *object = userdata;
        const GPtrArray *members = object->collection->members;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && i < members->len; i++) {
                const char *member = path_of_member(object, members->pdata[i]);

                if (member)
                        r = sd_bus_message_append_basic(reply, 'o', member);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Only log based reference points have one. */
GETTER(has_associated_log) {
        const int no = 0;

        return sd_bus_message_append_basic(reply, 'b', &no);
}

/* clang-format off */
static const sd_bus_vtable collection_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("CollectionID", "s", property_get_id, 0, CONST),
        SD_BUS_PROPERTY("ElementName", "s", property_get_name, 0, EMITS),
        SD_BUS_PROPERTY("Type", "q", property_get_type, 0, CONST),
        SD_BUS_PROPERTY("Members", "ao", property_get_members, 0, EMITS),
        SD_BUS_PROPERTY("SnapshotCollections", "ao", property_get_snapshot_collections, 0, EMITS),
        SD_BUS_PROPERTY("ReferencePointCollections", "ao", property_get_reference_point_collections, 0, EMITS),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable group_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("CollectionID", "s", property_get_id, 0, CONST),
        SD_BUS_PROPERTY("ElementName", "s", property_get_name, 0, EMITS),
        SD_BUS_PROPERTY("Collection", "o", property_get_collection, 0, EMITS),
        SD_BUS_PROPERTY("Snapshots", "ao", property_get_group_members, 0, EMITS),
        SD_BUS_PROPERTY("SnapshotType", "q", property_get_group_type, 0, CONST),
        SD_BUS_PROPERTY("ConsistencyLevel", "q", property_get_consistency_level, 0, CONST),
        SD_BUS_PROPERTY("CreationTime", "t", property_get_creation_time, 0, CONST),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable point_group_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("CollectionID", "s", property_get_id, 0, CONST),
        SD_BUS_PROPERTY("ElementName", "s", property_get_name, 0, EMITS),
        SD_BUS_PROPERTY("Collection", "o", property_get_collection, 0, EMITS),
        SD_BUS_PROPERTY("ReferencePoints", "ao", property_get_group_members, 0, EMITS),
        SD_BUS_PROPERTY("ReferencePointType", "q", property_get_group_type, 0, CONST),
        SD_BUS_PROPERTY("ConsistencyLevel", "q", property_get_consistency_level, 0, CONST),
        SD_BUS_PROPERTY("HasAssociatedLog", "b", property_get_has_associated_log, 0, CONST),
        SD_BUS_PROPERTY("CreationTime", "t", property_get_creation_time, 0, CONST),
        SD_BUS_VTABLE_END
};
/* clang-format on */

static const BusInterface collection_interfaces[] = {{COLLECTION, collection_rows}, {NULL, NULL}};
static const BusInterface group_interfaces[] = {{GROUP, group_rows}, {NULL, NULL}};
static const BusInterface point_group_interfaces[] = {{POINTS, point_group_rows}, {NULL, NULL}};

static const BusInterface *interfaces_of(const CollectionObject *object) {
        if (object->collection->kind == COLLECTION_OF_POINTS)
                return point_group_interfaces;
        return collection_is_group(object->collection) ? group_interfaces : collection_interfaces;
}

static int find_object(sd_bus *bus,
                const char *path,
                const char *interface,
                void *userdata,
                void **ret_found,
                sd_bus_error *ret_error) {
        *ret_found = collection_at_path(userdata, path);
        return *ret_found != NULL;
}

static int enumerate_objects(sd_bus *bus,
                const char *prefix,
                void *userdata,
                char ***ret_nodes,
                sd_bus_error *ret_error) {
        Manager *manager = userdata;
        char **nodes = calloc(g_hash_table_size(manager->collections) + 1, sizeof(char *));
        GHashTableIter iter;
        void *value;
        unsigned n = 0;

        g_hash_table_iter_init(&iter, manager->collections);
        while (nodes && g_hash_table_iter_next(&iter, NULL, &value)) {
                const CollectionObject *object = value;

                if (g_str_equal(prefix, faces[object->collection->kind].prefix))
                        nodes[n++] = strdup(object->path);
        }
        *ret_nodes = nodes;
        return nodes ? 0 : -ENOMEM;
}

static int
publish(Manager *manager, const char *prefix, const char *interface, const sd_bus_vtable *vtable) {
        int r = sd_bus_add_fallback_vtable(
                        manager->bus, NULL, prefix, interface, vtable, find_object, manager);

        if (r < 0)
                return r;
        return sd_bus_add_node_enumerator(manager->bus, NULL, prefix, enumerate_objects, manager);
}

int collection_publish(Manager *manager) {
        int r = publish(manager, PATH_COLLECTIONS, COLLECTION,
                        operation_vtable("Collection", collection_rows, method_operation));

        if (r >= 0)
                r = publish(manager, PATH_SNAPSHOT_COLLECTIONS, GROUP,
                                operation_vtable("SnapshotCollection", group_rows,
                                                method_operation));
        if (r >= 0)
                r = publish(manager, PATH_REFERENCE_POINT_COLLECTIONS, POINTS,
                                operation_vtable("ReferencePointCollection", point_group_rows,
                                                method_operation));
        return r;
}

int collection_append_all(Manager *manager, sd_bus_message *message) {
        GHashTableIter iter;
        void *value;
        int r = 0;

        g_hash_table_iter_init(&iter, manager->collections);
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, &value)) {
                CollectionObject *object = value;

                r = sd_bus_message_open_container(message, 'e', "oa{sa{sv}}");
                if (r >= 0)
                        r = bus_append_object(message, object->path, interfaces_of(object), object);
                if (r >= 0)
                        r = sd_bus_message_close_container(message);
        }
        return r;
}

static void check(const CollectionObject *object, int r) {
        if (r < 0)
                log_warning("Failed to send a signal of %s: %s", object->path, g_strerror(-r));
}

void collection_emit_added(CollectionObject *object) {
        check(object, bus_emit_added(object->manager->bus, BUS_ROOT, object->path,
                                      interfaces_of(object), object));
}

void collection_emit_removed(CollectionObject *object) {
        check(object, sd_bus_emit_interfaces_removed(object->manager->bus, object->path,
                                      faces[object->collection->kind].interface, NULL));
}
