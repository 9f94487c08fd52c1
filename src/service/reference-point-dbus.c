/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ReferencePoint on the bus. Properties are read from the facts at hand; all methods are rows of
 * the operation table. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus-object.h"
#include "bus/bus-property.h"
#include "service/manager.h"
#include "service/operation-call.h"
#include "service/reference-point.h"
#include "snapshot/reference-point.h"
#include "util/log.h"

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

/* As with snapshots, between a machine and its points there is a node that is no object. Freed by
 * sd-bus. */
static char **list_node(const VirtualMachine *vm) {
        char **nodes = calloc(2, sizeof(char *));

        if (nodes && vm->points && asprintf(&nodes[0], "%s" PATH_OF_REFERENCE_POINTS, vm->path) < 0)
                nodes[0] = NULL;
        return nodes;
}

static char **list_points(const VirtualMachine *vm) {
        const GPtrArray *all = vm->facts->points;
        char **nodes = calloc(all->len + 1, sizeof(char *));

        for (unsigned i = 0; nodes && i < all->len; i++)
                nodes[i] = strdup(reference_point_find(vm, ((SnapshotFacts *) all->pdata[i])->id)
                                                  ->path);
        return nodes;
}

static int enumerate_points(sd_bus *bus,
                const char *prefix,
                void *userdata,
                char ***ret_nodes,
                sd_bus_error *ret_error) {
        bool inner = g_str_has_suffix(prefix, PATH_OF_REFERENCE_POINTS);
        g_autofree char *path =
                        inner ? g_strndup(prefix, strlen(prefix) - strlen(PATH_OF_REFERENCE_POINTS))
                              : g_strdup(prefix);
        const VirtualMachine *vm = vm_at_path(userdata, path);

        if (!vm)
                return 0;
        *ret_nodes = inner ? list_points(vm) : list_node(vm);
        return *ret_nodes ? 0 : -ENOMEM;
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
        const GPtrArray *all = vm->facts->points;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < all->len; i++) {
                ReferencePoint *point =
                                reference_point_find(vm, ((SnapshotFacts *) all->pdata[i])->id);

                r = sd_bus_message_open_container(message, 'e', "oa{sa{sv}}");
                if (r >= 0)
                        r = bus_append_object(message, point->path, interfaces, point);
                if (r >= 0)
                        r = sd_bus_message_close_container(message);
        }
        return r;
}

static void check(const ReferencePoint *point, int r) {
        if (r < 0)
                log_warning("Failed to send a signal of %s: %s", point->path, g_strerror(-r));
}

void reference_point_emit_added(ReferencePoint *point) {
        check(point, bus_emit_added(point->vm->manager->bus, BUS_ROOT, point->path, interfaces,
                                     point));
}

void reference_point_emit_removed(ReferencePoint *point) {
        check(point, sd_bus_emit_interfaces_removed(
                                     point->vm->manager->bus, point->path, INTERFACE, NULL));
}
