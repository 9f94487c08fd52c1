/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* VirtualMachine on the bus. Properties are read from the facts at hand; methods are the rows of
 * the operation table, all through one handler, and RequestStateChange, which is another way to
 * them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus-error.h"
#include "bus/bus-object.h"
#include "bus/bus-property.h"
#include "image/image-facts.h"
#include "service/manager.h"
#include "service/operation-call.h"
#include "service/reference-point.h"
#include "service/snapshot.h"
#include "snapshot/reference-point.h"
#include "util/log.h"

#define INTERFACE        "org.virtask1.VirtualMachine"
#define SNAPSHOT_SERVICE "org.virtask1.SnapshotService"
#define POINT_SERVICE    "org.virtask1.ReferencePointService"
#define GUEST            "org.virtask1.GuestOS"

/* Values of CIM */
#define REQUESTED_STATE_NOT_APPLICABLE 12
#define OPERATIONAL_STATUS_OK          2
#define OPERATIONAL_STATUS_IN_SERVICE  11

static int call_operation(VirtualMachine *vm,
                sd_bus_message *call,
                const Operation *operation,
                TaskReply reply,
                sd_bus_error *ret_error) {
        const CallSubject subject = {.path = vm->path, .vm = vm};

        return operation_call(vm->manager, call, operation, &subject, reply, ret_error);
}

static int method_operation(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        VirtualMachine *vm = userdata;
        const Operation *operation =
                        operation_find("VirtualMachine", sd_bus_message_get_member(call));

        return call_operation(vm, call, operation, TASK_REPLY_NOTHING, ret_error);
}

static int method_snapshot_operation(
                sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        VirtualMachine *vm = userdata;
        const Operation *operation =
                        operation_find("SnapshotService", sd_bus_message_get_member(call));

        return call_operation(vm, call, operation, TASK_REPLY_NOTHING, ret_error);
}

static int method_point_operation(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        VirtualMachine *vm = userdata;
        const Operation *operation =
                        operation_find("ReferencePointService", sd_bus_message_get_member(call));

        return call_operation(vm, call, operation, TASK_REPLY_NOTHING, ret_error);
}

static int method_guest_operation(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        VirtualMachine *vm = userdata;
        const Operation *operation = operation_find("GuestOS", sd_bus_message_get_member(call));

        return call_operation(vm, call, operation, TASK_REPLY_NOTHING, ret_error);
}

/* The options of an immediate operation, which has none. */
static int skip_options(sd_bus_message *call, GError **error) {
        Request unused = {0};

        return bus_options_read(call, NULL, NULL, &unused, error);
}

static int method_request_state_change(
                sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        VirtualMachine *vm = userdata;
        const Operation *operation;
        GError *error = NULL;
        uint16_t requested;
        int r = sd_bus_message_read(call, "q", &requested);

        if (r < 0)
                return r;
        operation = operation_find_requested(requested, machine_state_from_facts(vm->facts));
        if (!operation) {
                g_set_error(&error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "The requested state %u is not supported", requested);
                return bus_error_take(ret_error, error);
        }
        if (operation->flags & OPERATION_IMMEDIATE && !skip_options(call, &error))
                return bus_error_take(ret_error, error);
        return call_operation(vm, call, operation, TASK_REPLY_STATE_CHANGE, ret_error);
}

#define TEXT_GETTER(...)   TEXT_GETTER_OF(const VirtualMachine *vm, __VA_ARGS__)
#define NUMBER_GETTER(...) NUMBER_GETTER_OF(const VirtualMachine *vm, __VA_ARGS__)

static const Task *holder_of(const VirtualMachine *vm) {
        return task_list_holder(vm->manager->tasks, vm->path);
}

static unsigned requested_state(const VirtualMachine *vm) {
        const Task *holder = holder_of(vm);
        unsigned requested = holder ? holder->operation->requested_state : 0;

        return requested ? requested : REQUESTED_STATE_NOT_APPLICABLE;
}

TEXT_GETTER(name, 's', vm->facts->name)
TEXT_GETTER(config_id, 's', vm->facts->uuid)
NUMBER_GETTER(state, 'u', uint32_t, vm_state(vm))
TEXT_GETTER(state_name, 's', machine_state_to_string(vm_state(vm)))
NUMBER_GETTER(requested_state, 'q', uint16_t, requested_state(vm))
NUMBER_GETTER(enabled_state, 'q', uint16_t, machine_state_to_enabled_state(vm_state(vm)))
TEXT_GETTER(saved_state_file_path, 's', vm_saved_state_path(vm))
NUMBER_GETTER(has_saved_state, 'b', int, vm_has_saved_state(vm))
TEXT_GETTER(notes, 's', vm->facts->notes ?: "")
NUMBER_GETTER(undoable, 'b', int, vm->facts->undoable)
NUMBER_GETTER(undo_action, 'u', uint32_t, vm->facts->undo_action)
NUMBER_GETTER(memory, 'u', uint32_t, vm->facts->memory_mib)

NUMBER_GETTER(can_shutdown, 'b', int, vm_can_shutdown(vm))
NUMBER_GETTER(is_heartbeating, 'b', int, vm_is_heartbeating(vm))
TEXT_GETTER(os_name, 's', vm->os_name)
TEXT_GETTER(os_version, 's', vm->os_version)

GETTER(operational_status) {
        const Task *holder = holder_of(userdata);
        const uint16_t status[] = {
                        holder ? OPERATIONAL_STATUS_IN_SERVICE : OPERATIONAL_STATUS_OK,
                        holder ? (uint16_t) holder->operational_status : 0,
        };

        return sd_bus_message_append_array(
                        reply, 'q', status, status[1] ? sizeof(status) : sizeof(status[0]));
}

GETTER(active_tasks) {
        const VirtualMachine *vm = userdata;
        const GPtrArray *tasks = task_list_of_object(vm->manager->tasks, vm->path);
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && tasks && i < tasks->len; i++) {
                const Task *task = tasks->pdata[i];

                if (task->id)
                        r = sd_bus_message_append_basic(reply, 'o', task->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(snapshots) {
        const VirtualMachine *vm = userdata;
        const GPtrArray *all = vm->facts->snapshots;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && i < all->len; i++)
                r = sd_bus_message_append_basic(reply, 'o',
                                snapshot_find(vm, ((SnapshotFacts *) all->pdata[i])->id)->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const char *current_snapshot_path(const VirtualMachine *vm) {
        const SnapshotFacts *current = snapshot_facts_current(vm->facts->snapshots);

        return current ? snapshot_find(vm, current->id)->path : "/";
}

TEXT_GETTER(current_snapshot, 'o', current_snapshot_path(vm))

GETTER(hard_disks) {
        const VirtualMachine *vm = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && vm->chains && i < vm->chains->len; i++) {
                const GPtrArray *chain = vm->chains->pdata[i];
                g_autofree char *disk =
                                bus_path_hard_disk(((const ImageFacts *) chain->pdata[0])->path);

                r = sd_bus_message_append_basic(reply, 'o', disk);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(supported_snapshot_types) {
        static const uint16_t types[] = {2, 3, 32768};

        return sd_bus_message_append_array(reply, 'q', types, sizeof(types));
}

GETTER(supported_reference_point_types) {
        static const uint16_t types[] = {REFERENCE_POINT_TYPE_TRACKED};

        return sd_bus_message_append_array(reply, 'q', types, sizeof(types));
}

GETTER(reference_points) {
        const VirtualMachine *vm = userdata;
        const GPtrArray *all = vm->facts->points;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && i < all->len; i++)
                r = sd_bus_message_append_basic(reply, 'o',
                                reference_point_find(vm, ((SnapshotFacts *) all->pdata[i])->id)
                                                ->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* clang-format off */
static const sd_bus_vtable fixed_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("RequestStateChange", SD_BUS_ARGS("q", requested_state, "a{sv}", options), SD_BUS_RESULT("u", return_value, "o", task), method_request_state_change, UNPRIVILEGED),
        SD_BUS_PROPERTY("Name", "s", property_get_name, 0, EMITS),
        SD_BUS_PROPERTY("ConfigID", "s", property_get_config_id, 0, CONST),
        SD_BUS_PROPERTY("State", "u", property_get_state, 0, EMITS),
        SD_BUS_PROPERTY("StateName", "s", property_get_state_name, 0, EMITS),
        SD_BUS_PROPERTY("RequestedState", "q", property_get_requested_state, 0, EMITS),
        SD_BUS_PROPERTY("EnabledState", "q", property_get_enabled_state, 0, EMITS),
        SD_BUS_PROPERTY("OperationalStatus", "aq", property_get_operational_status, 0, EMITS),
        SD_BUS_PROPERTY("SavedStateFilePath", "s", property_get_saved_state_file_path, 0, EMITS),
        SD_BUS_PROPERTY("HasSavedState", "b", property_get_has_saved_state, 0, EMITS),
        SD_BUS_PROPERTY("Notes", "s", property_get_notes, 0, EMITS),
        SD_BUS_PROPERTY("Memory", "u", property_get_memory, 0, EMITS),
        SD_BUS_PROPERTY("ActiveTasks", "ao", property_get_active_tasks, 0, EMITS),
        SD_BUS_PROPERTY("Snapshots", "ao", property_get_snapshots, 0, EMITS),
        SD_BUS_PROPERTY("CurrentSnapshot", "o", property_get_current_snapshot, 0, EMITS),
        SD_BUS_PROPERTY("HardDisks", "ao", property_get_hard_disks, 0, INVALIDATES | EXPLICIT),
        SD_BUS_PROPERTY("Undoable", "b", property_get_undoable, 0, INVALIDATES | EXPLICIT),
        SD_BUS_PROPERTY("UndoAction", "u", property_get_undo_action, 0, INVALIDATES | EXPLICIT),
        SD_BUS_SIGNAL_WITH_ARGS("StateChanged", SD_BUS_ARGS("u", old_state, "u", new_state), 0),
        SD_BUS_SIGNAL("ResetOccurred", NULL, 0),
        SD_BUS_SIGNAL_WITH_ARGS("DiskOutOfSpace", SD_BUS_ARGS("b", critically_low), 0),
        SD_BUS_SIGNAL("GuestShutdown", NULL, 0),
        SD_BUS_SIGNAL_WITH_ARGS("GuestLogoff", SD_BUS_ARGS("u", logoff_type), 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable service_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("SupportedSnapshotTypes", "aq", property_get_supported_snapshot_types, 0, CONST | EXPLICIT),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable point_service_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("SupportedReferencePointTypes", "aq", property_get_supported_reference_point_types, 0, CONST | EXPLICIT),
        SD_BUS_PROPERTY("ReferencePoints", "ao", property_get_reference_points, 0, EMITS),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable guest_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("CanShutdown", "b", property_get_can_shutdown, 0, EMITS),
        SD_BUS_PROPERTY("IsHeartbeating", "b", property_get_is_heartbeating, 0, EMITS),
        SD_BUS_PROPERTY("OSName", "s", property_get_os_name, 0, INVALIDATES | EXPLICIT),
        SD_BUS_PROPERTY("OSVersion", "s", property_get_os_version, 0, INVALIDATES | EXPLICIT),
        SD_BUS_VTABLE_END
};
/* clang-format on */

/* The methods of the operations, which the table adds, are not needed here. */
static const BusInterface interfaces[] = {
                {INTERFACE, fixed_rows},
                {SNAPSHOT_SERVICE, service_rows},
                {POINT_SERVICE, point_service_rows},
                {GUEST, guest_rows},
                {NULL, NULL},
};

VirtualMachine *vm_at_path(Manager *manager, const char *path) {
        char uuid[UUID_STRING_SIZE];

        return bus_path_to_machine(path, uuid) ? manager_find_machine(manager, uuid) : NULL;
}

static int find_machine(sd_bus *bus,
                const char *path,
                const char *interface,
                void *userdata,
                void **ret_found,
                sd_bus_error *ret_error) {
        *ret_found = vm_at_path(userdata, path);
        return *ret_found != NULL;
}

static int enumerate_machines(sd_bus *bus,
                const char *prefix,
                void *userdata,
                char ***ret_nodes,
                sd_bus_error *ret_error) {
        const Manager *manager = userdata;
        char **nodes = calloc(g_hash_table_size(manager->machines) + 1, sizeof(char *));
        GHashTableIter iter;
        unsigned n = 0;
        void *value;

        if (!nodes)
                return -ENOMEM;
        g_hash_table_iter_init(&iter, manager->machines);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                nodes[n++] = strdup(((VirtualMachine *) value)->path);
        *ret_nodes = nodes; /* freed by sd-bus */
        return 0;
}

int vm_publish(Manager *manager) {
        const sd_bus_vtable *vtable =
                        operation_vtable("VirtualMachine", fixed_rows, method_operation);
        const sd_bus_vtable *service = operation_vtable(
                        "SnapshotService", service_rows, method_snapshot_operation);
        const sd_bus_vtable *points = operation_vtable(
                        "ReferencePointService", point_service_rows, method_point_operation);
        const sd_bus_vtable *guest =
                        operation_vtable("GuestOS", guest_rows, method_guest_operation);
        int r = sd_bus_add_fallback_vtable(
                        manager->bus, NULL, PATH_VMS, INTERFACE, vtable, find_machine, manager);

        if (r >= 0)
                r = sd_bus_add_fallback_vtable(manager->bus, NULL, PATH_VMS, SNAPSHOT_SERVICE,
                                service, find_machine, manager);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(manager->bus, NULL, PATH_VMS, POINT_SERVICE, points,
                                find_machine, manager);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(
                                manager->bus, NULL, PATH_VMS, GUEST, guest, find_machine, manager);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(
                                manager->bus, NULL, PATH_VMS, enumerate_machines, manager);
        return r;
}

static void check(const VirtualMachine *vm, int r) {
        if (r < 0)
                log_warning("Failed to send a signal of %s: %s", vm->path, g_strerror(-r));
}

int vm_append(VirtualMachine *vm, sd_bus_message *message) {
        return bus_append_object(message, vm->path, interfaces, vm);
}

/* The machine comes before its snapshots and reference points, and goes after them. */
void vm_emit_added(VirtualMachine *vm) {
        const GPtrArray *all = vm->facts->snapshots, *points = vm->facts->points;

        check(vm, bus_emit_added(vm->manager->bus, BUS_ROOT, vm->path, interfaces, vm));
        for (unsigned i = 0; i < all->len; i++)
                snapshot_emit_added(snapshot_find(vm, ((SnapshotFacts *) all->pdata[i])->id));
        for (unsigned i = 0; i < points->len; i++)
                reference_point_emit_added(
                                reference_point_find(vm, ((SnapshotFacts *) points->pdata[i])->id));
}

void vm_emit_removed(VirtualMachine *vm) {
        const GPtrArray *all = vm->facts->snapshots, *points = vm->facts->points;

        for (unsigned i = points->len; i-- > 0;)
                reference_point_emit_removed(
                                reference_point_find(vm, ((SnapshotFacts *) points->pdata[i])->id));
        for (unsigned i = all->len; i-- > 0;)
                snapshot_emit_removed(snapshot_find(vm, ((SnapshotFacts *) all->pdata[i])->id));
        check(vm, sd_bus_emit_interfaces_removed(vm->manager->bus, vm->path, INTERFACE,
                                  SNAPSHOT_SERVICE, POINT_SERVICE, GUEST, NULL));
}

void vm_emit_state_changed(VirtualMachine *vm, MachineState old_state, MachineState new_state) {
        check(vm, sd_bus_emit_signal(vm->manager->bus, vm->path, INTERFACE, "StateChanged", "uu",
                                  (unsigned) old_state, (unsigned) new_state));
        manager_emit_vm_state_change(vm->manager, vm, new_state);
}

void vm_emit(VirtualMachine *vm, const char *signal) {
        check(vm, sd_bus_emit_signal(vm->manager->bus, vm->path, INTERFACE, signal, NULL));
}

void vm_emit_disk_out_of_space(VirtualMachine *vm, bool critically_low) {
        check(vm, sd_bus_emit_signal(vm->manager->bus, vm->path, INTERFACE, "DiskOutOfSpace", "b",
                                  critically_low));
}

void vm_emit_guest_logoff(VirtualMachine *vm, unsigned logoff_type) {
        check(vm, sd_bus_emit_signal(vm->manager->bus, vm->path, INTERFACE, "GuestLogoff", "u",
                                  logoff_type));
}
