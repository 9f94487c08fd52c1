/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ReferencePoint on the bus. Properties are read from the facts at hand; all methods are rows of
 * the operation table. */

#include "bus/bus-property.h"
#include "service/machine-children.h"
#include "service/manager.h"
#include "service/operation-call.h"
#include "service/reference-point.h"
#include "snapshot/reference-point.h"

#define INTERFACE "org.virtask1.ReferencePoint"

static int method_operation(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        const ReferencePoint *point = userdata;
        const CallSubject subject = {
                        .path = point->vm->path, .vm = point->vm, .snapshot = point->facts};
        const Operation *operation =
                        operation_find("ReferencePoint", sd_bus_message_get_member(call));

        return operation_call(point->vm->manager, call, operation, &subject, TASK_REPLY_NOTHING,
                        ret_error);
}

#define TEXT_GETTER(...)   TEXT_GETTER_OF(const ReferencePoint *point, __VA_ARGS__)
#define NUMBER_GETTER(...) NUMBER_GETTER_OF(const ReferencePoint *point, __VA_ARGS__)

TEXT_GETTER(element_name, 's', point->facts->name)
TEXT_GETTER(virtual_machine, 'o', point->vm->path)
NUMBER_GETTER(consistency_level, 'q', uint16_t, point->facts->consistency)
NUMBER_GETTER(creation_time, 't', uint64_t, point->facts->created)

/* The same for all. */
GETTER(reference_point_type) {
        const uint16_t type = REFERENCE_POINT_TYPE_TRACKED;

        return sd_bus_message_append_basic(reply, 'q', &type);
}

GETTER(has_associated_data) {
        const int no = 0;

        return sd_bus_message_append_basic(reply, 'b', &no);
}

GETTER(instance_id) {
        const ReferencePoint *point = userdata;
        g_autofree char *text = g_strconcat(point->vm->uuid, "/", point->id, NULL);

        return sd_bus_message_append_basic(reply, 's', text);
}

/* The targets of its disks, each behind the prefix. */
static int append_disks(sd_bus_message *reply, const ReferencePoint *point, const char *prefix) {
        char **targets = point->facts->targets;
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (unsigned i = 0; r >= 0 && targets && targets[i]; i++) {
                g_autofree char *text = g_strconcat(prefix, targets[i], NULL);

                r = sd_bus_message_append_basic(reply, 's', text);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(virtual_disk_identifiers) {
        return append_disks(reply, userdata, "");
}

/* Of a disk at this point: it stays what it is as long as the point is there. */
GETTER(resilient_change_tracking_identifiers) {
        const ReferencePoint *point = userdata;
        g_autofree char *prefix = g_strconcat(point->id, "/", NULL);

        return append_disks(reply, point, prefix);
}

/* clang-format off */
static const sd_bus_vtable fixed_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("InstanceID", "s", property_get_instance_id, 0, CONST),
        SD_BUS_PROPERTY("ElementName", "s", property_get_element_name, 0, CONST),
        SD_BUS_PROPERTY("VirtualMachine", "o", property_get_virtual_machine, 0, CONST),
        SD_BUS_PROPERTY("ReferencePointType", "q", property_get_reference_point_type, 0, CONST),
        SD_BUS_PROPERTY("ConsistencyLevel", "q", property_get_consistency_level, 0, CONST),
        SD_BUS_PROPERTY("HasAssociatedData", "b", property_get_has_associated_data, 0, CONST),
        SD_BUS_PROPERTY("VirtualDiskIdentifiers", "as", property_get_virtual_disk_identifiers, 0, CONST),
        SD_BUS_PROPERTY("ResilientChangeTrackingIdentifiers", "as", property_get_resilient_change_tracking_identifiers, 0, CONST),
        SD_BUS_PROPERTY("CreationTime", "t", property_get_creation_time, 0, CONST),
        SD_BUS_VTABLE_END
};
/* clang-format on */

/* The methods of the operations, which the table adds, are not needed here. */
static const BusInterface interfaces[] = {{INTERFACE, fixed_rows}, {NULL, NULL}};

static int find_point(sd_bus *bus,
                const char *path,
                const char *interface,
                void *userdata,
                void **ret_found,
                sd_bus_error *ret_error) {
        char uuid[UUID_STRING_SIZE];
        g_autofree char *id = NULL;
        VirtualMachine *vm;

        if (!bus_path_to_reference_point(path, uuid, &id))
                return 0;
        vm = manager_find_machine(userdata, uuid);
        *ret_found = vm ? reference_point_find(vm, id) : NULL;
        return *ret_found != NULL;
}

static const GPtrArray *get_facts(const VirtualMachine *vm) {
        return vm->facts->points;
}

static void *find(const VirtualMachine *vm, const char *id) {
        return reference_point_find(vm, id);
}

static const char *get_path(const void *object) {
        return ((const ReferencePoint *) object)->path;
}

static const ChildKind points = {PATH_OF_REFERENCE_POINTS, interfaces, get_facts, find, get_path};

static int enumerate_points(sd_bus *bus,
                const char *prefix,
                void *userdata,
                char ***ret_nodes,
                sd_bus_error *ret_error) {
        return machine_children_enumerate(&points, userdata, prefix, ret_nodes);
}

int reference_point_publish(Manager *manager) {
        const sd_bus_vtable *vtable =
                        operation_vtable("ReferencePoint", fixed_rows, method_operation);
        int r = sd_bus_add_fallback_vtable(
                        manager->bus, NULL, PATH_VMS, INTERFACE, vtable, find_point, manager);

        if (r < 0)
                return r;
        return sd_bus_add_node_enumerator(manager->bus, NULL, PATH_VMS, enumerate_points, manager);
}

int reference_point_append_all(const VirtualMachine *vm, sd_bus_message *message) {
        return machine_children_append(&points, vm, message);
}

void reference_point_emit_added(ReferencePoint *point) {
        machine_child_emit_added(&points, point->vm, point);
}

void reference_point_emit_removed(ReferencePoint *point) {
        machine_child_emit_removed(&points, point->vm, point);
}
