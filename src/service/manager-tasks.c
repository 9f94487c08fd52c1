/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a task means for machines and collections: whether it may still start, what they show of it,
 * and what has become of them when it ends. */

#include "guest/operations.h"
#include "service/collection.h"
#include "service/hard-disk.h"
#include "service/manager.h"
#include "service/operation-call.h"

/* VMLogoffType: caused by Logoff. */
#define LOGOFF_EXTERNAL 2

static bool admit_collection(Manager *manager, const Task *task, GError **error) {
        if (collection_at_path(manager, task->object))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_COLLECTION,
                        "The collection is gone");
        return false;
}

static bool on_task_admit(Task *task, void *userdata, GError **error) {
        Manager *manager = userdata;
        VirtualMachine *vm = vm_at_path(manager, task->object);
        const Request *request = task->job->request;
        const char *snapshot = request ? request->snapshot : NULL;

        if (request && request->collection)
                return admit_collection(manager, task, error);
        if (g_str_equal(task->object, PATH_MANAGER) || (request && request->file))
                return true;
        if (!vm) {
                g_set_error(error, VIRTASK_ERROR,
                                manager->connected ? VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE
                                                   : VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE,
                                "The virtual machine is gone");
                return false;
        }
        if (snapshot && !operation_find_snapshot(task->operation, vm, snapshot)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                                "The snapshot is gone");
                return false;
        }
        task->restores = machine_state_from_facts(vm->facts) == MACHINE_SAVED;
        return operation_check_state(task->operation, task->job->request, vm, error);
}

static void on_task_reserved(const char *object, void *userdata) {
        VirtualMachine *vm = vm_at_path(userdata, object);

        if (vm)
                vm_tasks_changed(vm);
}

/* The facts that the worker read last, unless the machine has moved on since. */
static void take_outcome(Manager *manager, const Task *task) {
        Job *job = task->job;
        VirtualMachine *vm = manager_find_machine(manager, job->uuid);
        bool made = job->succeeded && task->operation->flags & OPERATION_ANSWERS_OBJECT;

        if (!manager->connected || (!job->after && !job->gone))
                return;
        if (vm ? vm->facts->read_at > job->read_at : !made)
                manager_refresh(manager, job->uuid);
        else
                manager_apply_facts(manager, job->uuid, g_steal_pointer(&job->after));
}

static void on_task_settled(Task *task, void *userdata) {
        Manager *manager = userdata;
        VirtualMachine *vm = vm_at_path(manager, task->object);
        HardDisk *disk;

        /* What the machine shows of the task and the new facts leave in one signal, before those of
         * the task. */
        if (vm)
                vm_touch_tasks(vm);
        take_outcome(manager, task);
        if (task->job->images)
                (void) hard_disk_hold(manager, task->job->images, task->owner, NULL, NULL);
        disk = hard_disk_at_path(manager, task->object);
        if (disk)
                hard_disk_drop_unused(disk);
        vm = vm_at_path(manager, task->object);
        if (vm)
                vm_announce(vm);
        if (vm && task->job->succeeded && task->operation == &operation_guest_logoff)
                vm_emit_guest_logoff(vm, LOGOFF_EXTERNAL);
        if (!vm)
                collection_refresh(manager);
}

static void on_task_completed(Task *task, void *userdata) {
        manager_emit_task_completed(userdata, task);
}

static void on_task_list_changed(void *userdata) {
        manager_touch(userdata, MANAGER_PROPERTY_TASKS);
}

static void on_task_inhibit(bool needed, void *userdata) {
        inhibitor_set(((Manager *) userdata)->inhibitor, needed);
}

const TaskHooks manager_task_hooks = {
                .admit = on_task_admit,
                .reserved = on_task_reserved,
                .settled = on_task_settled,
                .completed = on_task_completed,
                .list_changed = on_task_list_changed,
                .inhibit = on_task_inhibit,
};
