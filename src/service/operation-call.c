/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every operation begins here, in the same order: arguments, limits, permission, state, task,
 * answer. While polkit is asked the function returns, and is called again with the same message
 * (see authorizer.c); nothing has happened until then, so nothing has to be undone. */

#include "service/operation-call.h"

#include <string.h>
#include <unistd.h>

#include "bus/bus-error.h"
#include "service/collection.h"
#include "service/hard-disk.h"
#include "service/operations.h"
#include "util/log.h"

#define RETURN_VALUE_STARTED 4096U

static bool is_transitional(MachineState state) {
        return state != MACHINE_TURNED_OFF && state != MACHINE_SAVED && state != MACHINE_RUNNING &&
               state != MACHINE_PAUSED;
}

static bool check_undo(const Operation *operation, const VirtualMachine *vm, GError **error) {
        if (!vm->facts->undoable || !(operation->flags & OPERATION_CHANGES_CHAINS))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                        "The virtual machine '%s' has undo disks", vm->facts->name);
        return false;
}

bool operation_check_state(const Operation *operation,
                const Request *request,
                const VirtualMachine *vm,
                GError **error) {
        MachineState state = machine_state_from_facts(vm->facts);
        VirtaskError refusal = operation->refuse[state];

        if (refusal == VIRTASK_ERROR_NONE && is_transitional(state) &&
                        !(operation->flags & OPERATION_ANY_STATE))
                refusal = VIRTASK_ERROR_INVALID_STATE;
        if (refusal == VIRTASK_ERROR_NONE)
                return check_undo(operation, vm, error) &&
                       (!operation->admit || operation->admit(request, vm->facts, error));
        g_set_error(error, VIRTASK_ERROR, (int) refusal, "The virtual machine '%s' is %s",
                        vm->facts->name, machine_state_to_string(state));
        return false;
}

const SnapshotFacts *operation_find_snapshot(
                const Operation *operation, const VirtualMachine *vm, const char *id) {
        bool of_points = g_str_equal(operation->interface, "ReferencePoint");

        return snapshot_facts_find(of_points ? vm->facts->points : vm->facts->snapshots, id);
}

typedef struct CallContext {
        Manager *manager;
        sd_bus_message *call;
        const Operation *operation;
        const CallSubject *subject;
        uid_t owner;
        Request *request;
        TaskReply reply;
} CallContext;

static bool parse(CallContext *context, GError **error) {
        const Operation *operation = context->operation;

        context->request = g_malloc0(operation->request_size);
        if (operation->parse && !operation->parse(context->call, context->request, error))
                return false;
        if (context->subject->snapshot)
                context->request->snapshot = g_strdup(context->subject->snapshot->id);
        if (context->subject->collection)
                context->request->collection =
                                g_strdup(context->subject->collection->collection->id);
        if (context->subject->disk) {
                context->request->file = g_strdup(context->subject->disk->facts->path);
                context->request->file_format = g_strdup(context->subject->disk->facts->format);
        }
        return true;
}

/* A machine that is yet to be made has the name that the caller gives it. Rules are not told that
 * one: whoever is allowed all of "web1" could register anything under that name. But the dialog has
 * a place for a name, so polkit is told one that no machine can have; of a collection as well. */
static Verdict authorize(const CallContext *context, GError **error) {
        const VirtualMachine *vm = context->subject->vm;
        const SnapshotFacts *snapshot = context->subject->snapshot;
        const CollectionObject *collection = context->subject->collection;
        const char *of_machine[] = {"operation", context->operation->name, "uuid",
                        vm ? vm->facts->uuid : "", "vm", vm ? vm->facts->name : "",
                        snapshot ? "snapshot" : NULL, snapshot ? snapshot->name : NULL, NULL};
        const char *of_manager[] = {"operation", context->operation->name, "vm", "*new*", NULL};
        const char *name = collection ? collection->collection->name : "";
        g_autofree char *shown = g_strdup_printf("*%s*", name);
        const char *of_collection[] = {"operation", context->operation->name, "uuid",
                        collection ? collection->collection->id : "", "vm", shown, "collection",
                        name, NULL};

        return authorizer_check(context->manager->authorizer, context->call,
                        context->operation->action,
                        vm           ? of_machine
                        : collection ? of_collection
                                     : of_manager,
                        error);
}

/* A machine that is busy is reported as such, with the task that holds it, and not by the state
 * that it is passing through; only a machine that is free is asked for its state. */
static bool check_state(const CallContext *context, GError **error) {
        const VirtualMachine *vm = context->subject->vm;

        if (context->subject->disk)
                return hard_disk_admits(context->subject->disk, context->owner, error);
        if (!vm || task_list_holder(context->manager->tasks, vm->path))
                return true;
        return operation_check_state(context->operation, context->request, vm, error);
}

static Task *make_task(CallContext *context, GError **error) {
        const CallSubject *subject = context->subject;
        const Operation *operation = context->operation;
        bool immediate = operation->flags & OPERATION_IMMEDIATE;
        g_autoptr(GPtrArray) parts = NULL;
        TaskSpec spec = {
                        .operation = operation,
                        .object = subject->path,
                        .facts = subject->vm ? subject->vm->facts : NULL,
                        .name = subject->collection ? subject->collection->collection->name : NULL,
                        .owner = context->owner,
                        .call = immediate ? context->call : NULL,
                        .reply = context->reply,
        };

        if (operation->part) {
                parts = collection_make_parts(subject->collection, operation, context->request,
                                context->owner, error);
                if (!parts)
                        return NULL;
                spec.parts = parts;
        }
        spec.request = g_steal_pointer(&context->request);
        return task_list_add(context->manager->tasks, &spec, error);
}

/* The pending verdict is no error: the function is called again. */
static Verdict proceed(CallContext *context, Task **ret_task, GError **error) {
        Verdict verdict;

        if (!parse(context, error) ||
                        !peer_uid(context->manager->peers, context->call, &context->owner, error) ||
                        !task_list_admits(context->manager->tasks, context->owner, error))
                return VERDICT_DENIED;
        verdict = authorize(context, error);
        if (verdict != VERDICT_ALLOWED)
                return verdict;
        if (!check_state(context, error) || !(*ret_task = make_task(context, error)))
                return VERDICT_DENIED;
        return VERDICT_ALLOWED;
}

int operation_call(Manager *manager,
                sd_bus_message *call,
                const Operation *operation,
                const CallSubject *subject,
                TaskReply reply,
                sd_bus_error *ret_error) {
        CallContext context = {.manager = manager,
                        .call = call,
                        .operation = operation,
                        .subject = subject,
                        .reply = reply};
        GError *error = NULL;
        Task *task = NULL;
        Verdict verdict;
        int r = 1;

        verdict = proceed(&context, &task, &error);
        operation_request_free(operation, context.request);
        if (verdict == VERDICT_PENDING)
                return 1;
        if (!task)
                return bus_error_take(ret_error, error);

        if (task->id && reply == TASK_REPLY_STATE_CHANGE)
                r = sd_bus_reply_method_return(call, "uo", RETURN_VALUE_STARTED, task->path);
        else if (task->id)
                r = sd_bus_reply_method_return(call, "o", task->path);
        task_list_launch(manager->tasks, task);
        return r;
}

bool operation_begin(Manager *manager, const Operation *operation, VirtualMachine *vm) {
        const TaskSpec spec = {
                        .operation = operation,
                        .object = vm->path,
                        .facts = vm->facts,
                        .owner = getuid(),
                        .request = g_malloc0(operation->request_size),
        };
        g_autoptr(GError) error = NULL;
        Task *task = task_list_is_closed(manager->tasks)
                                     ? NULL
                                     : task_list_add(manager->tasks, &spec, &error);

        if (error)
                log_warning("'%s' was not begun: %s", operation->name, error->message);
        if (task)
                task_list_launch(manager->tasks, task);
        return task;
}

const Operation *operation_find(const char *interface, const char *member) {
        for (const Operation *const *operation = operations; *operation; operation++)
                if (g_str_equal((*operation)->interface, interface) &&
                                g_str_equal((*operation)->member, member))
                        return *operation;
        return NULL;
}

/* To start a paused machine is to let it go on (the documents' 2, "enabled", ends both in running).
 */
const Operation *operation_find_requested(unsigned requested_state, MachineState state) {
        for (const Operation *const *operation = operations; *operation; operation++) {
                if ((*operation)->requested_state != requested_state || requested_state == 0)
                        continue;
                if (requested_state == 2 && state == MACHINE_PAUSED)
                        return operation_find((*operation)->interface, "Resume");
                return *operation;
        }
        return NULL;
}

static const char *result_signature(const Operation *operation) {
        if (operation->flags & OPERATION_ANSWERS_OBJECT ||
                        !(operation->flags & OPERATION_IMMEDIATE))
                return "o";
        return "";
}

static unsigned count_rows(const sd_bus_vtable *vtable) {
        unsigned n = 0;

        while (vtable[n].type != _SD_BUS_VTABLE_END)
                n++;
        return n;
}

const sd_bus_vtable *operation_vtable(const char *interface,
                const sd_bus_vtable *fixed,
                sd_bus_message_handler_t handler) {
        static GSList *vtables; /* so that they are not lost when the bus is gone */
        const sd_bus_vtable end = SD_BUS_VTABLE_END;
        GArray *rows = g_array_new(FALSE, TRUE, sizeof(sd_bus_vtable));

        g_array_append_vals(rows, fixed, count_rows(fixed));
        for (const Operation *const *operation = operations; *operation; operation++) {
                const sd_bus_vtable row = SD_BUS_METHOD_WITH_NAMES((*operation)->member,
                                (*operation)->signature, "", result_signature(*operation), "",
                                handler, SD_BUS_VTABLE_UNPRIVILEGED);

                if (!g_str_equal((*operation)->interface, interface))
                        continue;
                g_array_append_val(rows, row);
                g_array_index(rows, sd_bus_vtable, rows->len - 1).x.method.names =
                                (*operation)->argument_names;
        }
        g_array_append_val(rows, end);
        vtables = g_slist_prepend(vtables, rows);
        return (const sd_bus_vtable *) (void *) rows->data;
}
