/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A snapshot on the bus. It belongs to its machine and lives as long as the machine's facts have
 * it. Loop. */

#include "service/virtual-machine.h"

/* Entries of snapshot_properties, in its order. */
enum {
        SNAPSHOT_PROPERTY_NAME = 1 << 0,
        SNAPSHOT_PROPERTY_PARENT = 1 << 1,
        SNAPSHOT_PROPERTY_CHILDREN = 1 << 2,
        SNAPSHOT_PROPERTY_HAS_SAVED_STATE = 1 << 3,
        SNAPSHOT_PROPERTY_IS_CURRENT = 1 << 4,
        SNAPSHOT_PROPERTY_NOTES = 1 << 5,
        SNAPSHOT_PROPERTY_SNAPSHOT_COLLECTION = 1 << 6,
};

typedef struct Snapshot {
        VirtualMachine *vm;
        char *id;
        char *path;
        const SnapshotFacts *facts; /* of vm->facts, and replaced with them */
        struct Snapshot *parent;    /* NULL without */
        GPtrArray *children;        /* of Snapshot, not owned, the oldest first */
        Publication publication;
} Snapshot;

/* NULL if the machine has no such snapshot; "id" may be NULL. */
Snapshot *snapshot_find(const VirtualMachine *vm, const char *id);

/* For the machine, whose facts are new: makes, changes and removes its snapshots, and announces it
 * ("old" NULL: the machine is new, and nothing is announced). Answers which properties of the
 * machine are different. */
uint64_t snapshot_apply_facts(VirtualMachine *vm, const MachineFacts *old);

/* The end of all snapshots of a machine. */
void snapshot_free_all(VirtualMachine *vm);

/* Announces at once what is to be announced of the machine's snapshots. */
void snapshot_flush_all(VirtualMachine *vm);

/* snapshot-dbus.c */
int snapshot_publish(Manager *manager);
int snapshot_append_all(
                const VirtualMachine *vm, sd_bus_message *message); /* entries a{oa{sa{sv}}} */
void snapshot_emit_added(Snapshot *snapshot);
void snapshot_emit_removed(Snapshot *snapshot);
