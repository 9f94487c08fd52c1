/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Manager on the bus: looking up and listing, and the operations that belong to no machine. */

#include "bus/bus-error.h"
#include "bus/bus-object.h"
#include "bus/bus-options.h"
#include "bus/bus-property.h"
#include "service/collection.h"
#include "service/hard-disk.h"
#include "service/manager.h"
#include "service/operation-call.h"
#include "service/reference-point.h"
#include "service/snapshot.h"
#include "util/log.h"

#define INTERFACE "org.virtask1.Manager"

const PublishedProperty manager_properties[] = {
                {INTERFACE, "Connected"},
                {INTERFACE, "Tasks"},
                {INTERFACE, "VirtualMachines"},
                {NULL, NULL},
};

static int method_operation(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        const Operation *operation = operation_find("Manager", sd_bus_message_get_member(call));

        const CallSubject subject = {.path = PATH_MANAGER};

        return operation_call(userdata, call, operation, &subject, TASK_REPLY_OBJECT, ret_error);
}

static int method_find_virtual_machine(
                sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        GError *error = NULL;
        VirtualMachine *vm;
        const char *name;
        int r = sd_bus_message_read(call, "s", &name);

        if (r < 0)
                return r;
        vm = manager_find_machine_by_name(userdata, name);
        if (vm)
                return sd_bus_reply_method_return(call, "o", vm->path);
        g_set_error(&error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE,
                        "There is no virtual machine '%.80s'", name);
        return bus_error_take(ret_error, error);
}

static int method_get_task(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        Manager *manager = userdata;
        GError *error = NULL;
        uint32_t id;
        Task *task;
        int r = sd_bus_message_read(call, "u", &id);

        if (r < 0)
                return r;
        task = task_list_find(manager->tasks, id);
        if (task)
                return sd_bus_reply_method_return(call, "o", task->path);
        g_set_error(&error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_TASK, "There is no task %u", id);
        return bus_error_take(ret_error, error);
}

typedef struct TaskFilter {
        uint32_t owner;
        bool has_owner;
        char *machine;
        bool unfinished;
} TaskFilter;

static void task_filter_clear(TaskFilter *filter) {
        g_free(filter->machine);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TaskFilter, task_filter_clear)

static bool filter_matches(const TaskFilter *filter, const Task *task) {
        return (!filter->has_owner || task->owner == filter->owner) &&
               (!filter->machine || g_str_equal(filter->machine, task->object)) &&
               (!filter->unfinished || !task_is_complete(task));
}

static int append_tasks(sd_bus_message *reply, Manager *manager, const TaskFilter *filter) {
        g_autoptr(GList) tasks = task_list_all(manager->tasks);
        int r = sd_bus_message_open_container(reply, 'a', "(usosuubo)");

        for (GList *link = tasks; r >= 0 && link; link = link->next) {
                const Task *task = link->data;

                if (filter_matches(filter, task))
                        r = sd_bus_message_append(reply, "(usosuubo)", task->id,
                                        task->operation->name, task->object, task_result_name(task),
                                        task->percent, (uint32_t) task->owner,
                                        task_is_complete(task), task->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_list_tasks(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        static const OptionSpec keys[] = {
                        {"OwnerUid", OPTION_UINT32, offsetof(TaskFilter, owner),
                                        offsetof(TaskFilter, has_owner)},
                        {"Machine", OPTION_OBJECT, offsetof(TaskFilter, machine), NO_SEEN},
                        {"Unfinished", OPTION_BOOLEAN, offsetof(TaskFilter, unfinished), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        g_auto(TaskFilter) filter = {0, false, NULL, false};
        GError *error = NULL;
        int r;

        if (!bus_options_read(call, NULL, keys, &filter, &error))
                return bus_error_take(ret_error, error);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = append_tasks(reply, userdata, &filter);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int append_machines(sd_bus_message *reply, Manager *manager) {
        g_autoptr(GPtrArray) machines = manager_list_machines(manager);
        int r = sd_bus_message_open_container(reply, 'a', "(ssuso)");

        for (unsigned i = 0; r >= 0 && i < machines->len; i++) {
                const VirtualMachine *vm = machines->pdata[i];
                MachineState state = vm_state(vm);

                r = sd_bus_message_append(reply, "(ssuso)", vm->facts->name, vm->facts->uuid,
                                (unsigned) state, machine_state_to_string(state), vm->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_list_virtual_machines(
                sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = append_machines(reply, userdata);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_describe_error(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        GError *error = NULL;
        const ErrorInfo *info;
        const char *name;
        int r = sd_bus_message_read(call, "s", &name);

        if (r < 0)
                return r;
        if (error_find(name) == VIRTASK_ERROR_NONE) {
                g_set_error(&error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "There is no error '%.80s'", name);
                return bus_error_take(ret_error, error);
        }
        info = error_info(error_find(name));
        return sd_bus_reply_method_return(call, "uuuss", info->hresult, info->cim_a, info->cim_b,
                        info->symbol, info->meaning);
}

GETTER(version) {
        return sd_bus_message_append(reply, "s", VIRTASK_VERSION);
}

GETTER(connected) {
        const Manager *manager = userdata;

        return sd_bus_message_append(reply, "b", manager->connected);
}

GETTER(task_retention) {
        const Manager *manager = userdata;

        return sd_bus_message_append(
                        reply, "t", (uint64_t) manager->config.task_retention_sec * G_USEC_PER_SEC);
}

GETTER(tasks) {
        const Manager *manager = userdata;
        g_autoptr(GList) all = task_list_all(manager->tasks);
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (GList *link = all; r >= 0 && link; link = link->next)
                r = sd_bus_message_append_basic(reply, 'o', ((const Task *) link->data)->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(virtual_machines) {
        g_autoptr(GPtrArray) all = manager_list_machines(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && i < all->len; i++)
                r = sd_bus_message_append_basic(
                                reply, 'o', ((const VirtualMachine *) all->pdata[i])->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* clang-format off */
static const sd_bus_vtable fixed_rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("FindVirtualMachine", SD_BUS_ARGS("s", name_or_uuid), SD_BUS_RESULT("o", machine), method_find_virtual_machine, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetTask", SD_BUS_ARGS("u", id), SD_BUS_RESULT("o", task), method_get_task, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListTasks", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("a(usosuubo)", tasks), method_list_tasks, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListVirtualMachines", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssuso)", machines), method_list_virtual_machines, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetHardDisk", SD_BUS_ARGS("s", image_path), SD_BUS_RESULT("o", disk), hard_disk_method_get, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DescribeError", SD_BUS_ARGS("s", error_name), SD_BUS_RESULT("u", hresult, "u", cim_code_a, "u", cim_code_b, "s", symbol, "s", description), method_describe_error, UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", property_get_version, 0, CONST),
        SD_BUS_PROPERTY("HypervisorUri", "s", NULL, offsetof(Manager, uri), CONST),
        SD_BUS_PROPERTY("Connected", "b", property_get_connected, 0, EMITS),
        SD_BUS_PROPERTY("Tasks", "ao", property_get_tasks, 0, INVALIDATES),
        SD_BUS_PROPERTY("VirtualMachines", "ao", property_get_virtual_machines, 0, INVALIDATES),
        SD_BUS_PROPERTY("TaskRetentionUSec", "t", property_get_task_retention, 0, CONST),
        SD_BUS_SIGNAL_WITH_ARGS("TaskCompleted", SD_BUS_ARGS("u", id, "o", task, "u", result, "u", error, "s", error_name, "s", message), 0),
        SD_BUS_SIGNAL_WITH_ARGS("VMStateChange", SD_BUS_ARGS("o", machine, "s", name, "u", state), 0),
        SD_BUS_VTABLE_END
};
/* clang-format on */

/* The object manager */

static const BusInterface interfaces[] = {{INTERFACE, fixed_rows}, {NULL, NULL}};

static int append_machine_objects(sd_bus_message *reply, Manager *manager) {
        GHashTableIter iter;
        void *vm;
        int r = 0;

        g_hash_table_iter_init(&iter, manager->machines);
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, &vm)) {
                r = sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}");
                if (r >= 0)
                        r = vm_append(vm, reply);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
                if (r >= 0)
                        r = snapshot_append_all(vm, reply);
                if (r >= 0)
                        r = reference_point_append_all(vm, reply);
        }
        return r;
}

static int append_task_objects(sd_bus_message *reply, Manager *manager) {
        g_autoptr(GList) tasks = task_list_all(manager->tasks);
        int r = 0;

        for (GList *link = tasks; r >= 0 && link; link = link->next) {
                r = sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}");
                if (r >= 0)
                        r = task_append(link->data, reply);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        return r;
}

static int append_manager_object(sd_bus_message *reply, Manager *manager) {
        int r = sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}");

        if (r >= 0)
                r = bus_append_object(reply, PATH_MANAGER, interfaces, manager);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* sd-bus would answer too (see bus-object.c); everything else at this path is left to it. */
static int on_root_call(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r;

        if (!sd_bus_message_is_method_call(
                            call, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects") ||
                        !sd_bus_message_has_signature(call, ""))
                return 0;
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{oa{sa{sv}}}");
        if (r >= 0)
                r = append_manager_object(reply, userdata);
        if (r >= 0)
                r = append_machine_objects(reply, userdata);
        if (r >= 0)
                r = hard_disk_append_all(userdata, reply);
        if (r >= 0)
                r = collection_append_all(userdata, reply);
        if (r >= 0)
                r = append_task_objects(reply, userdata);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int manager_publish(Manager *manager) {
        const sd_bus_vtable *vtable = operation_vtable("Manager", fixed_rows, method_operation);

        int r = sd_bus_add_object_vtable(
                        manager->bus, NULL, PATH_MANAGER, INTERFACE, vtable, manager);

        if (r < 0)
                return r;
        return sd_bus_add_object(manager->bus, NULL, BUS_ROOT, on_root_call, manager);
}

static void check(int r) {
        if (r < 0)
                log_warning("Failed to send a signal of the manager: %s", g_strerror(-r));
}

void manager_emit_task_completed(Manager *manager, const Task *task) {
        check(sd_bus_emit_signal(manager->bus, PATH_MANAGER, INTERFACE, "TaskCompleted", "uouuss",
                        task->id, task->path, task_result(task),
                        task->error ? error_info_of(task->error)->hresult : 0,
                        task->error ? error_info_of(task->error)->name : "",
                        task->error ? task->error->message : ""));
}

void manager_emit_vm_state_change(Manager *manager, const VirtualMachine *vm, MachineState state) {
        check(sd_bus_emit_signal(manager->bus, PATH_MANAGER, INTERFACE, "VMStateChange", "osu",
                        vm->path, vm->facts->name, (unsigned) state));
}

void manager_touch(Manager *manager, uint64_t mask) {
        publication_touch(&manager->publication, mask);
}
