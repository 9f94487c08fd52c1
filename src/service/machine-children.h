/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects that belong to a machine and stand below its path: snapshots and reference points. Loop.
 */

#include "bus/bus-object.h"
#include "service/virtual-machine.h"

typedef struct ChildKind {
        const char *node;               /* between the machine and the objects: "/snapshot" */
        const BusInterface *interfaces; /* the first one is what they are */
        const GPtrArray *(*facts)(const VirtualMachine *vm); /* of SnapshotFacts */
        void *(*find)(const VirtualMachine *vm, const char *id);
        const char *(*path)(const void *object);
} ChildKind;

/* For sd-bus' node enumerators: what lies directly below "prefix", if that is a machine, or the
 * node. */
int machine_children_enumerate(
                const ChildKind *kind, Manager *manager, const char *prefix, char ***ret_nodes);

/* Entries a{oa{sa{sv}}}. */
int machine_children_append(
                const ChildKind *kind, const VirtualMachine *vm, sd_bus_message *message);

/* The signals of the object manager. */
void machine_child_emit_added(const ChildKind *kind, const VirtualMachine *vm, void *object);
void machine_child_emit_removed(
                const ChildKind *kind, const VirtualMachine *vm, const void *object);
