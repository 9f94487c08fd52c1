/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The state that clients see is computed: from the task that holds the machine, else from the
 * facts. There is no "set busy" and "set idle", so none can be forgotten. Whenever one of the two
 * changes, what was announced last is compared with what is true now. */

#include "service/virtual-machine.h"

#include "jobs/task-list.h"
#include "service/collection.h"
#include "service/manager.h"
#include "service/reference-point.h"
#include "service/snapshot.h"

#define INTERFACE     "org.virtask1.VirtualMachine"
#define POINT_SERVICE "org.virtask1.ReferencePointService"
#define GUEST         "org.virtask1.GuestOS"

#define RESET_USEC (G_USEC_PER_SEC / 4) /* within which resets are one */

#define STATE_PROPERTIES                                                                           \
        (MACHINE_PROPERTY_STATE | MACHINE_PROPERTY_STATE_NAME | MACHINE_PROPERTY_ENABLED_STATE)
#define TASK_PROPERTIES                                                                            \
        (MACHINE_PROPERTY_ACTIVE_TASKS | MACHINE_PROPERTY_REQUESTED_STATE |                        \
                        MACHINE_PROPERTY_OPERATIONAL_STATUS)

static const PublishedProperty machine_properties[] = {
                {INTERFACE, "Name"},
                {INTERFACE, "State"},
                {INTERFACE, "StateName"},
                {INTERFACE, "RequestedState"},
                {INTERFACE, "EnabledState"},
                {INTERFACE, "OperationalStatus"},
                {INTERFACE, "SavedStateFilePath"},
                {INTERFACE, "HasSavedState"},
                {INTERFACE, "Notes"},
                {INTERFACE, "Memory"},
                {INTERFACE, "ActiveTasks"},
                {INTERFACE, "Snapshots"},
                {INTERFACE, "CurrentSnapshot"},
                {INTERFACE, "HardDisks"},
                {INTERFACE, "Undoable"},
                {INTERFACE, "UndoAction"},
                {POINT_SERVICE, "ReferencePoints"},
                {GUEST, "CanShutdown"},
                {GUEST, "IsHeartbeating"},
                {GUEST, "OSName"},
                {GUEST, "OSVersion"},
                {NULL, NULL},
};

VirtualMachine *vm_new(Manager *manager, MachineFacts *facts) {
        VirtualMachine *vm = g_new0(VirtualMachine, 1);

        vm->manager = manager;
        g_strlcpy(vm->uuid, facts->uuid, sizeof(vm->uuid));
        vm->path = bus_path_machine(vm->uuid);
        vm->facts = facts;
        vm->os_name = g_strdup("");
        vm->os_version = g_strdup("");
        publication_init(&vm->publication, manager->publisher, vm->path, machine_properties);
        vm->shown = vm_state(vm);
        (void) snapshot_apply_facts(vm, NULL);
        (void) reference_point_apply_facts(vm, NULL);
        return vm;
}

VirtualMachine *vm_free(VirtualMachine *vm) {
        if (!vm)
                return NULL;
        snapshot_free_all(vm);
        reference_point_free_all(vm);
        publication_clear(&vm->publication);
        g_clear_pointer(&vm->chains, g_ptr_array_unref);
        facts_free(vm->facts);
        g_free(vm->os_name);
        g_free(vm->os_version);
        g_free(vm->path);
        g_free(vm);
        return NULL;
}

MachineState vm_state(const VirtualMachine *vm) {
        const Task *holder = task_list_holder(vm->manager->tasks, vm->path);
        MachineState during = holder ? task_machine_state(holder) : MACHINE_INVALID;

        return during != MACHINE_INVALID ? during : machine_state_from_facts(vm->facts);
}

bool vm_has_saved_state(const VirtualMachine *vm) {
        return vm->facts->has_image && !vm->facts->active;
}

/* A change of state is announced at once and not with the rest of the turn: states that last for a
 * moment shall be seen too, and a task must not end before its machine has its final state. */
static void announce(VirtualMachine *vm, uint64_t mask) {
        MachineState old_state = vm->shown, new_state = vm_state(vm);

        publication_touch(&vm->publication, mask);
        if (old_state == new_state)
                return;
        vm->shown = new_state;
        publication_touch(&vm->publication, STATE_PROPERTIES);
        publication_flush(&vm->publication);
        vm_emit_state_changed(vm, old_state, new_state);
}

void vm_apply_facts(VirtualMachine *vm, MachineFacts *facts) {
        g_autoptr(MachineFacts) old = NULL;
        bool had_saved_state = vm_has_saved_state(vm), could_shutdown = vm_can_shutdown(vm);
        bool was_heartbeating = vm_is_heartbeating(vm);
        g_autofree char *old_path = g_strdup(vm_saved_state_path(vm));
        uint64_t mask = 0;

        if (facts->read_at < vm->facts->read_at) {
                facts_free(facts);
                return;
        }
        old = vm->facts;
        vm->facts = facts;
        if (!g_str_equal(old->name, facts->name))
                mask |= MACHINE_PROPERTY_NAME;
        if (g_strcmp0(old->notes, facts->notes) != 0)
                mask |= MACHINE_PROPERTY_NOTES;
        if (old->memory_mib != facts->memory_mib)
                mask |= MACHINE_PROPERTY_MEMORY;
        if (old->undoable != facts->undoable)
                mask |= MACHINE_PROPERTY_UNDOABLE;
        if (old->undo_action != facts->undo_action)
                mask |= MACHINE_PROPERTY_UNDO_ACTION;
        if (!g_str_equal(old_path, vm_saved_state_path(vm)))
                mask |= MACHINE_PROPERTY_SAVED_STATE_FILE_PATH;
        if (had_saved_state != vm_has_saved_state(vm))
                mask |= MACHINE_PROPERTY_HAS_SAVED_STATE;
        if (could_shutdown != vm_can_shutdown(vm))
                mask |= MACHINE_PROPERTY_CAN_SHUTDOWN;
        if (was_heartbeating != vm_is_heartbeating(vm))
                mask |= MACHINE_PROPERTY_IS_HEARTBEATING;
        mask |= snapshot_apply_facts(vm, old);
        mask |= reference_point_apply_facts(vm, old);
        if (mask & (MACHINE_PROPERTY_SNAPSHOTS | MACHINE_PROPERTY_REFERENCE_POINTS))
                collection_snapshots_changed(vm->manager, vm->uuid);
        announce(vm, mask);
}

const char *vm_saved_state_path(const VirtualMachine *vm) {
        return vm_has_saved_state(vm) && vm->facts->image_path ? vm->facts->image_path : "";
}

/* A guest that is paused, or on its way up or down, listens to nobody. */
static bool guest_runs(const VirtualMachine *vm) {
        return machine_state_from_facts(vm->facts) == MACHINE_RUNNING;
}

bool vm_is_heartbeating(const VirtualMachine *vm) {
        return guest_runs(vm) && vm->facts->guest.agent == AGENT_CONNECTED;
}

bool vm_can_shutdown(const VirtualMachine *vm) {
        return vm_is_heartbeating(vm) || (guest_runs(vm) && vm->facts->guest.has_button);
}

static void set_text(VirtualMachine *vm, char **field, const char *text, uint64_t property) {
        if (g_str_equal(*field, text))
                return;
        g_free(*field);
        *field = g_strdup(text);
        publication_touch(&vm->publication, property);
}

void vm_set_system(VirtualMachine *vm, const char *name, const char *version) {
        set_text(vm, &vm->os_name, name, MACHINE_PROPERTY_OS_NAME);
        set_text(vm, &vm->os_version, version, MACHINE_PROPERTY_OS_VERSION);
}

void vm_touch_tasks(VirtualMachine *vm) {
        publication_touch(&vm->publication, TASK_PROPERTIES);
}

void vm_tasks_changed(VirtualMachine *vm) {
        announce(vm, TASK_PROPERTIES);
}

void vm_announce(VirtualMachine *vm) {
        announce(vm, 0);
        publication_flush(&vm->publication);
        snapshot_flush_all(vm);
}

void vm_reset_occurred(VirtualMachine *vm) {
        gint64 now = g_get_monotonic_time();

        if (!vm->last_reset || now - vm->last_reset > RESET_USEC)
                vm_emit(vm, "ResetOccurred");
        vm->last_reset = now;
}
