/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Snapshot on the bus. Properties are read from the facts at hand; all methods are rows of the
 * operation table. */

#include "bus/bus-property.h"
#include "service/collection.h"
#include "service/machine-children.h"
#include "service/manager.h"
#include "service/operation-call.h"
#include "service/snapshot.h"

#define INTERFACE "org.virtask1.Snapshot"

/* VirtualSystemType of Hyper-V */
#define SYSTEM_TYPE_REALIZED "Microsoft:Hyper-V:Snapshot:Realized"
#define SYSTEM_TYPE_RECOVERY "Microsoft:Hyper-V:Snapshot:Recovery"
#define TYPE_RECOVERY        32768

static int method_operation(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        const Snapshot *snapshot = userdata;
        const CallSubject subject = {.path = snapshot->vm->path,
                        .vm = snapshot->vm,
                        .snapshot = snapshot->facts};
        const Operation *operation = operation_find("Snapshot", sd_bus_message_get_member(call));

        return operation_call(snapshot->vm->manager, call, operation, &subject, TASK_REPLY_NOTHING,
                        ret_error);
}

#define TEXT_GETTER(...)   TEXT_GETTER_OF(const Snapshot *snapshot, __VA_ARGS__)
#define NUMBER_GETTER(...) NUMBER_GETTER_OF(const Snapshot *snapshot, __VA_ARGS__)

static const char *virtual_system_type(const Snapshot *snapshot) {
        return snapshot->facts->type == TYPE_RECOVERY ? SYSTEM_TYPE_RECOVERY : SYSTEM_TYPE_REALIZED;
}

TEXT_GETTER(name, 's', snapshot->facts->name)
TEXT_GETTER(virtual_machine, 'o', snapshot->vm->path)
TEXT_GETTER(parent, 'o', snapshot->parent ? snapshot->parent->path : "/")
NUMBER_GETTER(creation_time, 't', uint64_t, snapshot->facts->created)
NUMBER_GETTER(snapshot_type, 'q', uint16_t, snapshot->facts->type)
TEXT_GETTER(virtual_system_type, 's', virtual_system_type(snapshot))
NUMBER_GETTER(consistency_level, 'q', uint16_t, snapshot->facts->consistency)
NUMBER_GETTER(has_saved_state, 'b', int, snapshot->facts->has_memory)
NUMBER_GETTER(is_current, 'b', int, snapshot->facts->current)
TEXT_GETTER(snapshot_collection,
                'o',
                collection_of_snapshot(snapshot->vm->manager, snapshot->vm->uuid, snapshot->id)
                                ?: "/")
TEXT_GETTER(notes, 's', snapshot->facts->notes ?: "")

GETTER(children) {
        const Snapshot *snapshot = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && i < snapshot->children->len; i++) {
                const Snapshot *child = snapshot->children->pdata[i];

                r = sd_bus_message_append_basic(reply, 'o', child->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* clang-format off */
static const sd_bus_vtable fixed_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", property_get_name, 0, EMITS),
        SD_BUS_PROPERTY("ID", "s", NULL, offsetof(Snapshot, id), CONST),
        SD_BUS_PROPERTY("VirtualMachine", "o", property_get_virtual_machine, 0, CONST),
        SD_BUS_PROPERTY("Parent", "o", property_get_parent, 0, EMITS),
        SD_BUS_PROPERTY("Children", "ao", property_get_children, 0, EMITS),
        SD_BUS_PROPERTY("CreationTime", "t", property_get_creation_time, 0, CONST),
        SD_BUS_PROPERTY("SnapshotType", "q", property_get_snapshot_type, 0, CONST),
        SD_BUS_PROPERTY("VirtualSystemType", "s", property_get_virtual_system_type, 0, CONST),
        SD_BUS_PROPERTY("ConsistencyLevel", "q", property_get_consistency_level, 0, CONST),
        SD_BUS_PROPERTY("HasSavedState", "b", property_get_has_saved_state, 0, EMITS),
        SD_BUS_PROPERTY("SnapshotCollection", "o", property_get_snapshot_collection, 0, EMITS),
        SD_BUS_PROPERTY("IsCurrent", "b", property_get_is_current, 0, EMITS),
        SD_BUS_PROPERTY("Notes", "s", property_get_notes, 0, EMITS),
        SD_BUS_VTABLE_END
};
/* clang-format on */

/* The methods of the operations, which the table adds, are not needed here. */
static const BusInterface interfaces[] = {{INTERFACE, fixed_rows}, {NULL, NULL}};

static int find_snapshot(sd_bus *bus,
                const char *path,
                const char *interface,
                void *userdata,
                void **ret_found,
                sd_bus_error *ret_error) {
        char uuid[UUID_STRING_SIZE];
        g_autofree char *id = NULL;
        VirtualMachine *vm;

        if (!bus_path_to_snapshot(path, uuid, &id))
                return 0;
        vm = manager_find_machine(userdata, uuid);
        *ret_found = vm ? snapshot_find(vm, id) : NULL;
        return *ret_found != NULL;
}

static const GPtrArray *get_facts(const VirtualMachine *vm) {
        return vm->facts->snapshots;
}

static void *find(const VirtualMachine *vm, const char *id) {
        return snapshot_find(vm, id);
}

static const char *get_path(const void *object) {
        return ((const Snapshot *) object)->path;
}

static const ChildKind snapshots = {PATH_OF_SNAPSHOTS, interfaces, get_facts, find, get_path};

static int enumerate_snapshots(sd_bus *bus,
                const char *prefix,
                void *userdata,
                char ***ret_nodes,
                sd_bus_error *ret_error) {
        return machine_children_enumerate(&snapshots, userdata, prefix, ret_nodes);
}

int snapshot_publish(Manager *manager) {
        const sd_bus_vtable *vtable = operation_vtable("Snapshot", fixed_rows, method_operation);
        int r = sd_bus_add_fallback_vtable(
                        manager->bus, NULL, PATH_VMS, INTERFACE, vtable, find_snapshot, manager);

        if (r < 0)
                return r;
        return sd_bus_add_node_enumerator(
                        manager->bus, NULL, PATH_VMS, enumerate_snapshots, manager);
}

int snapshot_append_all(const VirtualMachine *vm, sd_bus_message *message) {
        return machine_children_append(&snapshots, vm, message);
}

void snapshot_emit_added(Snapshot *snapshot) {
        machine_child_emit_added(&snapshots, snapshot->vm, snapshot);
}

void snapshot_emit_removed(Snapshot *snapshot) {
        machine_child_emit_removed(&snapshots, snapshot->vm, snapshot);
}
