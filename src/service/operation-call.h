/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The life of a call that starts an operation; see docs/ARCHITECTURE.md. Loop. */

#include <systemd/sd-bus.h>

#include "service/manager.h"

/* Whether the state of the machine allows what is requested; else the error that the documents give
 * for it. */
bool operation_check_state(const Operation *operation,
                const Request *request,
                const VirtualMachine *vm,
                GError **error);

/* The snapshot of the machine, or the reference point if it is an operation of those; NULL if it is
 * gone. */
const SnapshotFacts *operation_find_snapshot(
                const Operation *operation, const VirtualMachine *vm, const char *id);

typedef struct CollectionObject CollectionObject;
typedef struct HardDisk HardDisk;

/* What an operation is called on. */
typedef struct CallSubject {
        const char *path; /* of the task's Subject: of a snapshot that of its machine */
        const VirtualMachine *vm;
        const SnapshotFacts *snapshot; /* of vm, also a reference point; NULL: on neither */
        const CollectionObject *collection;
        const HardDisk *disk;
} CallSubject;

/* Handles the call from its arguments to its answer. The message stands at the operation's own
 * arguments. "reply" says how an immediate operation is answered; others
 * answer with the task, and with 4096 before it for TASK_REPLY_STATE_CHANGE. What a vtable handler
 * returns. */
int operation_call(Manager *manager,
                sd_bus_message *call,
                const Operation *operation,
                const CallSubject *subject,
                TaskReply reply,
                sd_bus_error *ret_error);

/* Begins an operation of the daemon's own on the machine, as the user that the daemon runs as, with
 * an empty request. False if the machine is held, or no task may begin any more. */
bool operation_begin(Manager *manager, const Operation *operation, VirtualMachine *vm);

/* The vtable of an interface: its fixed rows ("start" to END), then one method per operation that
 * belongs to it, all with the same handler. Lives as long as the process. */
const sd_bus_vtable *operation_vtable(const char *interface,
                const sd_bus_vtable *fixed,
                sd_bus_message_handler_t handler);

/* The operation behind a method of the interface; NULL if there is none. */
const Operation *operation_find(const char *interface, const char *member);

/* The operation that a RequestedState of CIM means in a state; NULL if there is none. */
const Operation *operation_find_requested(unsigned requested_state, MachineState state);
