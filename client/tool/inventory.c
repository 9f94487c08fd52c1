/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One GetManagedObjects call gives all machines, snapshots and tasks with all their properties, so
 * that list, tasks, status and monitor work on one consistent moment. monitor keeps the copy up to
 * date from signals. */

#include <stddef.h>
#include <string.h>

#include "inventory.h"
#include "property-map.h"

/* clang-format off */
static const PropertyRow manager_rows[] = {
        {"Version",           's', offsetof(Inventory, version)},
        {"HypervisorUri",     's', offsetof(Inventory, uri)},
        {"Connected",         'b', offsetof(Inventory, connected)},
        {"TaskRetentionUSec", 't', offsetof(Inventory, retention_usec)},
};
/* clang-format on */

void inventory_clear(Inventory *inventory) {
        for (size_t i = 0; i < inventory->n_machines; i++)
                machine_info_clear(inventory->machines + i);
        for (size_t i = 0; i < inventory->n_tasks; i++)
                task_info_clear(inventory->tasks + i);
        for (size_t i = 0; i < inventory->n_snapshots; i++)
                snapshot_info_clear(inventory->snapshots + i);
        free(inventory->machines);
        free(inventory->tasks);
        free(inventory->snapshots);
        property_map_clear(manager_rows, ELEMENTS(manager_rows), inventory);
        *inventory = (Inventory){0};
}

MachineInfo *inventory_find_machine(const Inventory *inventory, const char *path) {
        for (size_t i = 0; i < inventory->n_machines; i++)
                if (strcmp(inventory->machines[i].path, path) == 0)
                        return inventory->machines + i;
        return NULL;
}

TaskInfo *inventory_find_task(const Inventory *inventory, const char *path) {
        for (size_t i = 0; i < inventory->n_tasks; i++)
                if (strcmp(inventory->tasks[i].path, path) == 0)
                        return inventory->tasks + i;
        return NULL;
}

SnapshotInfo *inventory_find_snapshot(const Inventory *inventory, const char *path) {
        for (size_t i = 0; i < inventory->n_snapshots; i++)
                if (strcmp(inventory->snapshots[i].path, path) == 0)
                        return inventory->snapshots + i;
        return NULL;
}

static int compare_snapshots(const void *a, const void *b) {
        const SnapshotInfo *const *x = a, *const *y = b;

        return snapshot_info_compare(*x, *y);
}

SnapshotInfo **inventory_snapshots_of(
                const Inventory *inventory, const char *machine, size_t *ret_count) {
        SnapshotInfo **list = xcalloc(inventory->n_snapshots, sizeof(*list));
        size_t count = 0;

        for (size_t i = 0; i < inventory->n_snapshots; i++) {
                SnapshotInfo *snapshot = inventory->snapshots + i;

                if (snapshot->machine && strcmp(snapshot->machine, machine) == 0)
                        list[count++] = snapshot;
        }
        qsort(list, count, sizeof(SnapshotInfo *), compare_snapshots);
        *ret_count = count;
        return list;
}

const TaskInfo *inventory_find_active(
                const Inventory *inventory, const MachineInfo *vm, size_t *ret_count) {
        const TaskInfo *first = NULL;
        size_t count = 0;

        for (size_t i = 0; i < inventory->n_tasks; i++) {
                const TaskInfo *t = inventory->tasks + i;

                if (t->is_complete || !t->subject || strcmp(t->subject, vm->path) != 0)
                        continue;
                if (!first)
                        first = t;
                count++;
        }
        *ret_count = count;
        return first;
}

static MachineInfo *add_machine(Inventory *inventory, const char *path) {
        MachineInfo *vm;

        inventory->machines = array_grow(inventory->machines, inventory->n_machines, sizeof(*vm));
        vm = inventory->machines + inventory->n_machines++;
        *vm = (MachineInfo){.path = xstrdup(path)};
        return vm;
}

static TaskInfo *add_task(Inventory *inventory, const char *path) {
        TaskInfo *t;

        inventory->tasks = array_grow(inventory->tasks, inventory->n_tasks, sizeof(*t));
        t = inventory->tasks + inventory->n_tasks++;
        *t = (TaskInfo){.path = xstrdup(path)};
        return t;
}

static SnapshotInfo *add_snapshot(Inventory *inventory, const char *path) {
        SnapshotInfo *snapshot;

        inventory->snapshots =
                        array_grow(inventory->snapshots, inventory->n_snapshots, sizeof(*snapshot));
        snapshot = inventory->snapshots + inventory->n_snapshots++;
        *snapshot = (SnapshotInfo){.path = xstrdup(path)};
        return snapshot;
}

int inventory_read_manager(Inventory *inventory, sd_bus_message *m) {
        return property_map_read(m, manager_rows, ELEMENTS(manager_rows), inventory);
}

/* During the first load every path is new, so nothing is searched: the search would be quadratic.
 */
static int read_interface(Inventory *inventory,
                const char *path,
                const char *interface,
                bool loading,
                sd_bus_message *m) {
        if (strcmp(interface, MACHINE_INTERFACE) == 0) {
                MachineInfo *vm = loading ? NULL : inventory_find_machine(inventory, path);

                return machine_info_read(vm ? vm : add_machine(inventory, path), m);
        }
        if (strcmp(interface, TASK_INTERFACE) == 0) {
                TaskInfo *t = loading ? NULL : inventory_find_task(inventory, path);

                return task_info_read(t ? t : add_task(inventory, path), m);
        }
        if (strcmp(interface, SNAPSHOT_INTERFACE) == 0) {
                SnapshotInfo *found = loading ? NULL : inventory_find_snapshot(inventory, path);

                return snapshot_info_read(found ? found : add_snapshot(inventory, path), m);
        }
        if (strcmp(interface, MANAGER_INTERFACE) == 0)
                return inventory_read_manager(inventory, m);
        return sd_bus_message_skip(m, "a{sv}");
}

static int read_object(Inventory *inventory, const char *path, bool loading, sd_bus_message *m) {
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sa{sv}}");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sa{sv}")) > 0) {
                const char *interface = NULL;

                r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &interface);
                if (r < 0)
                        return r;
                r = read_interface(inventory, path, interface, loading, m);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int inventory_read_object(Inventory *inventory, const char *path, sd_bus_message *m) {
        return read_object(inventory, path, false, m);
}

void inventory_forget(Inventory *inventory, const char *path) {
        MachineInfo *vm = inventory_find_machine(inventory, path);
        TaskInfo *t = inventory_find_task(inventory, path);
        SnapshotInfo *snapshot = inventory_find_snapshot(inventory, path);

        if (vm) {
                machine_info_clear(vm);
                *vm = inventory->machines[--inventory->n_machines];
        }
        if (t) {
                task_info_clear(t);
                *t = inventory->tasks[--inventory->n_tasks];
        }
        if (snapshot) {
                snapshot_info_clear(snapshot);
                *snapshot = inventory->snapshots[--inventory->n_snapshots];
        }
}

static int compare_machines(const void *a, const void *b) {
        const MachineInfo *x = a, *y = b;

        return strverscmp(x->name ? x->name : "", y->name ? y->name : "");
}

static int compare_tasks(const void *a, const void *b) {
        const TaskInfo *x = a, *y = b;

        return (x->id > y->id) - (x->id < y->id);
}

static int compare_paths(const void *key, const void *element) {
        const MachineInfo *const *vm = element;

        return strcmp(key, (*vm)->path);
}

static int compare_machine_paths(const void *a, const void *b) {
        const MachineInfo *const *x = a, *const *y = b;

        return strcmp((*x)->path, (*y)->path);
}

static void name_tasks(Inventory *inventory) {
        _cleanup_free_ MachineInfo **by_path = xcalloc(inventory->n_machines, sizeof(*by_path));

        for (size_t i = 0; i < inventory->n_machines; i++)
                by_path[i] = inventory->machines + i;
        qsort(by_path, inventory->n_machines, sizeof(*by_path), compare_machine_paths);
        for (size_t i = 0; i < inventory->n_tasks; i++) {
                TaskInfo *t = inventory->tasks + i;
                MachineInfo **found =
                                !t->subject ? NULL
                                            : bsearch(t->subject, by_path, inventory->n_machines,
                                                              sizeof(*by_path), compare_paths);

                if (found)
                        string_replace(&t->machine, (*found)->name);
        }
}

static int read_all(Inventory *inventory, sd_bus_message *m) {
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{oa{sa{sv}}}");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "oa{sa{sv}}")) > 0) {
                const char *path = NULL;

                r = sd_bus_message_read_basic(m, SD_BUS_TYPE_OBJECT_PATH, &path);
                if (r < 0)
                        return r;
                r = read_object(inventory, path, true, m);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r;
}

ExitCode inventory_load(Inventory *inventory, Session *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = bus_client_new_call(
                        s, SERVICE_PATH, OBJECTS_INTERFACE, "GetManagedObjects");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        ExitCode code = bus_client_call(s, m, "list the machines", &reply);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        r = read_all(inventory, reply);
        if (r < 0)
                return bus_client_report_reply(r);
        /* An empty list is NULL, and qsort() takes none. */
        if (inventory->n_machines > 0)
                qsort(inventory->machines, inventory->n_machines, sizeof(*inventory->machines),
                                compare_machines);
        if (inventory->n_tasks > 0)
                qsort(inventory->tasks, inventory->n_tasks, sizeof(*inventory->tasks),
                                compare_tasks);
        name_tasks(inventory);
        return EXIT_CODE_OK;
}
