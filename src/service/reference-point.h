/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A reference point on the bus. It belongs to its machine, lives as long as the machine's facts
 * have it, and never changes. Loop. */

#include "service/virtual-machine.h"

typedef struct ReferencePoint {
        VirtualMachine *vm;
        char *id;
        char *path;
        const SnapshotFacts *facts; /* of vm->facts, and replaced with them */
} ReferencePoint;

/* NULL if the machine has no such reference point. */
ReferencePoint *reference_point_find(const VirtualMachine *vm, const char *id);

/* For the machine, whose facts are new: makes and removes its reference points, and announces it
 * ("old" NULL: the machine is new, and nothing is announced). Answers which properties of the
 * machine are different. */
uint64_t reference_point_apply_facts(VirtualMachine *vm, const MachineFacts *old);

/* The end of all reference points of a machine. */
void reference_point_free_all(VirtualMachine *vm);

/* reference-point-dbus.c */
int reference_point_publish(Manager *manager);
int reference_point_append_all(
                const VirtualMachine *vm, sd_bus_message *message); /* entries a{oa{sa{sv}}} */
void reference_point_emit_added(ReferencePoint *point);
void reference_point_emit_removed(ReferencePoint *point);
