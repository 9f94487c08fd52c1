/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine on the bus: its last known facts, and what follows from them. Loop. */

#include "backend/facts.h"
#include "backend/machine-state.h"
#include "bus/bus-path.h"
#include "bus/publisher.h"

typedef struct Manager Manager;

/* Entries of machine_properties, in its order. */
enum {
        MACHINE_PROPERTY_NAME = 1 << 0,
        MACHINE_PROPERTY_STATE = 1 << 1,
        MACHINE_PROPERTY_STATE_NAME = 1 << 2,
        MACHINE_PROPERTY_REQUESTED_STATE = 1 << 3,
        MACHINE_PROPERTY_ENABLED_STATE = 1 << 4,
        MACHINE_PROPERTY_OPERATIONAL_STATUS = 1 << 5,
        MACHINE_PROPERTY_SAVED_STATE_FILE_PATH = 1 << 6,
        MACHINE_PROPERTY_HAS_SAVED_STATE = 1 << 7,
        MACHINE_PROPERTY_NOTES = 1 << 8,
        MACHINE_PROPERTY_MEMORY = 1 << 9,
        MACHINE_PROPERTY_ACTIVE_TASKS = 1 << 10,
        MACHINE_PROPERTY_SNAPSHOTS = 1 << 11,
        MACHINE_PROPERTY_CURRENT_SNAPSHOT = 1 << 12,
        MACHINE_PROPERTY_HARD_DISKS = 1 << 13,
        MACHINE_PROPERTY_UNDOABLE = 1 << 14,
        MACHINE_PROPERTY_UNDO_ACTION = 1 << 15,
        MACHINE_PROPERTY_REFERENCE_POINTS = 1 << 16,
        MACHINE_PROPERTY_CAN_SHUTDOWN = 1 << 17,
        MACHINE_PROPERTY_IS_HEARTBEATING = 1 << 18,
        MACHINE_PROPERTY_OS_NAME = 1 << 19,
        MACHINE_PROPERTY_OS_VERSION = 1 << 20,
};

typedef struct VirtualMachine {
        Manager *manager;
        char uuid[UUID_STRING_SIZE];
        char *path;
        MachineFacts *facts;   /* replaced as a whole by vm_apply_facts(), nowhere else */
        GHashTable *snapshots; /* id -> Snapshot, owned; NULL without. As the facts say: snapshot.c
                                */
        GHashTable *points;    /* the same with ReferencePoint: reference-point.c */
        GPtrArray *chains;     /* of its hard disks, see machine_images_read(); NULL: not read yet.
                                  hard-disk.c */
        MachineState shown;    /* the state that was last announced */
        gint64 last_reset;     /* CLOCK_MONOTONIC */
        bool undo_tried;       /* since it has gone off: its undo action was begun */
        char *os_name;         /* what the agent has said, "": nothing; guest-query.c */
        char *os_version;
        bool asked_guest; /* since the agent has come */
        Publication publication;
} VirtualMachine;

/* Takes "facts". Does not announce anything. */
VirtualMachine *vm_new(Manager *manager, MachineFacts *facts);
VirtualMachine *vm_free(VirtualMachine *vm);

/* Takes "facts" and announces what is different; facts that are older than those at hand are
 * dropped. The one door for changes of a machine. */
void vm_apply_facts(VirtualMachine *vm, MachineFacts *facts);

/* The tasks of the machine are different: announces what follows. */
void vm_tasks_changed(VirtualMachine *vm);

/* The same in two steps, so that a change of the facts in between leaves in the same signal. */
void vm_touch_tasks(VirtualMachine *vm);
void vm_announce(VirtualMachine *vm);

/* libvirt tells of one reset two or three times. */
void vm_reset_occurred(VirtualMachine *vm);

/* What the agent in the guest says that it is; "" for nothing. */
void vm_set_system(VirtualMachine *vm, const char *name, const char *version);

/* What clients see. */
MachineState vm_state(const VirtualMachine *vm);
bool vm_has_saved_state(const VirtualMachine *vm);
const char *vm_saved_state_path(const VirtualMachine *vm); /* "" for none */
bool vm_can_shutdown(const VirtualMachine *vm);
bool vm_is_heartbeating(const VirtualMachine *vm);

/* virtual-machine-dbus.c */
int vm_publish(Manager *manager);
int vm_append(VirtualMachine *vm, sd_bus_message *message);     /* as bus_append_object() */
VirtualMachine *vm_at_path(Manager *manager, const char *path); /* NULL if there is none */
void vm_emit_added(VirtualMachine *vm);
void vm_emit_removed(VirtualMachine *vm);
void vm_emit_state_changed(VirtualMachine *vm, MachineState old_state, MachineState new_state);
void vm_emit(VirtualMachine *vm, const char *signal);
void vm_emit_disk_out_of_space(VirtualMachine *vm, bool critically_low);
void vm_emit_guest_logoff(VirtualMachine *vm, unsigned logoff_type);
