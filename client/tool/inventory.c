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

/* The lists of an inventory are of different types, whose elements all begin with their path. */
typedef struct Kind {
        const char *interface;
        size_t items; /* offsets in Inventory */
        size_t count;
        size_t size; /* of an element */
        int (*read)(void *element, sd_bus_message *m);
        void (*clear)(void *element);
} Kind;

/* clang-format off */
#define KIND_FUNCTIONS(name)                                                                       \
        static int read_##name(void *element, sd_bus_message *m) {                                 \
                return name##_info_read(element, m);                                               \
        }                                                                                          \
        static void clear_##name(void *element) {                                                  \
                name##_info_clear(element);                                                        \
        }

static int read_point(void *element, sd_bus_message *m) {
        return snapshot_info_read_point(element, m);
}

#define KIND(interface, name, Type, list)                                                          \
        {interface, offsetof(Inventory, list), offsetof(Inventory, n_##list), sizeof(Type),        \
                        read_##name, clear_##name}

KIND_FUNCTIONS(machine)
KIND_FUNCTIONS(task)
KIND_FUNCTIONS(snapshot)
KIND_FUNCTIONS(collection)
KIND_FUNCTIONS(collection_snapshot)

enum { KIND_MACHINE, KIND_TASK, KIND_SNAPSHOT, KIND_COLLECTION, KIND_COLLECTION_SNAPSHOT, KIND_POINT };

static const Kind kinds[] = {
        [KIND_MACHINE]  = KIND(MACHINE_INTERFACE,  machine,  MachineInfo,  machines),
        [KIND_TASK]     = KIND(TASK_INTERFACE,     task,     TaskInfo,     tasks),
        [KIND_SNAPSHOT] = KIND(SNAPSHOT_INTERFACE, snapshot, SnapshotInfo, snapshots),
        [KIND_COLLECTION] = KIND(COLLECTION_INTERFACE, collection, CollectionInfo, collections),
        [KIND_COLLECTION_SNAPSHOT] = KIND(COLLECTION_SNAPSHOT_INTERFACE, collection_snapshot, CollectionSnapshotInfo, collection_snapshots),
        [KIND_POINT] = {POINT_INTERFACE, offsetof(Inventory, snapshots), offsetof(Inventory, n_snapshots), sizeof(SnapshotInfo), read_point, clear_snapshot},
};
/* clang-format on */

/* A list as all kinds have it; we are compiled with -fno-strict-aliasing, so it may be. */
typedef struct List {
        void **items;
        size_t *count;
} List;

static List get_list(const Inventory *inventory, const Kind *kind) {
        char *begin = (char *) inventory;

        return (List){(void *) (begin + kind->items), (void *) (begin + kind->count)};
}

static void *get_element(List list, const Kind *kind, size_t index) {
        return (char *) *list.items + index * kind->size;
}

void inventory_clear(Inventory *inventory) {
        for (const Kind *kind = kinds; kind < kinds + ELEMENTS(kinds); kind++) {
                List list = get_list(inventory, kind);

                for (size_t i = 0; i < *list.count; i++)
                        kind->clear(get_element(list, kind, i));
                free(*list.items);
                *list.items = NULL; /* two kinds can share one */
                *list.count = 0;
        }
        property_map_clear(manager_rows, ELEMENTS(manager_rows), inventory);
        *inventory = (Inventory){0};
}

static void *find(const Inventory *inventory, const Kind *kind, const char *path) {
        List list = get_list(inventory, kind);

        for (size_t i = 0; i < *list.count; i++) {
                char **element = get_element(list, kind, i);

                if (strcmp(*element, path) == 0)
                        return element;
        }
        return NULL;
}

static void *add(Inventory *inventory, const Kind *kind, const char *path) {
        List list = get_list(inventory, kind);
        char **element;

        *list.items = array_grow(*list.items, *list.count, kind->size);
        element = get_element(list, kind, (*list.count)++);
        memset(element, 0, kind->size);
        *element = xstrdup(path);
        return element;
}

MachineInfo *inventory_find_machine(const Inventory *inventory, const char *path) {
        return find(inventory, kinds + KIND_MACHINE, path);
}

TaskInfo *inventory_find_task(const Inventory *inventory, const char *path) {
        return find(inventory, kinds + KIND_TASK, path);
}

SnapshotInfo *inventory_find_snapshot(const Inventory *inventory, const char *path) {
        return find(inventory, kinds + KIND_SNAPSHOT, path);
}

CollectionInfo *inventory_find_collection(const Inventory *inventory, const char *path) {
        return find(inventory, kinds + KIND_COLLECTION, path);
}

CollectionSnapshotInfo *inventory_find_collection_snapshot(
                const Inventory *inventory, const char *path) {
        return find(inventory, kinds + KIND_COLLECTION_SNAPSHOT, path);
}

char *inventory_collection_snapshot_label(
                const Inventory *inventory, const CollectionSnapshotInfo *snapshot) {
        const CollectionInfo *collection =
                        snapshot->collection
                                        ? inventory_find_collection(inventory, snapshot->collection)
                                        : NULL;
        const char *name = snapshot->name ? snapshot->name : "";

        return collection && collection->name ? xasprintf("%s/%s", collection->name, name)
                                              : xstrdup(name);
}

static int compare_snapshots(const void *a, const void *b) {
        const SnapshotInfo *const *x = a, *const *y = b;

        return snapshot_info_compare(*x, *y);
}

static SnapshotInfo **list_of(
                const Inventory *inventory, const char *machine, bool points, size_t *ret_count) {
        SnapshotInfo **list = xcalloc(inventory->n_snapshots, sizeof(*list));
        size_t count = 0;

        for (size_t i = 0; i < inventory->n_snapshots; i++) {
                SnapshotInfo *snapshot = inventory->snapshots + i;

                if (snapshot->is_point == points && snapshot->machine &&
                                strcmp(snapshot->machine, machine) == 0)
                        list[count++] = snapshot;
        }
        qsort(list, count, sizeof(SnapshotInfo *), compare_snapshots);
        *ret_count = count;
        return list;
}

SnapshotInfo **inventory_snapshots_of(
                const Inventory *inventory, const char *machine, size_t *ret_count) {
        return list_of(inventory, machine, false, ret_count);
}

SnapshotInfo **inventory_points_of(
                const Inventory *inventory, const char *machine, size_t *ret_count) {
        return list_of(inventory, machine, true, ret_count);
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
        for (const Kind *kind = kinds; kind < kinds + ELEMENTS(kinds); kind++) {
                void *found = NULL;

                if (strcmp(interface, kind->interface) != 0)
                        continue;
                if (!loading)
                        found = find(inventory, kind, path);
                return kind->read(found ? found : add(inventory, kind, path), m);
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
        for (const Kind *kind = kinds; kind < kinds + ELEMENTS(kinds); kind++) {
                List list = get_list(inventory, kind);
                void *found = find(inventory, kind, path);

                if (!found)
                        continue;
                kind->clear(found);
                memmove(found, get_element(list, kind, --*list.count), kind->size);
        }
}

static int compare_machines(const void *a, const void *b) {
        const MachineInfo *x = a, *y = b;

        return strverscmp(x->name ? x->name : "", y->name ? y->name : "");
}

static int compare_collections(const void *a, const void *b) {
        return collection_info_compare(a, b);
}

static int compare_collection_snapshots(const void *a, const void *b) {
        return collection_snapshot_info_compare(a, b);
}

static int compare_tasks(const void *a, const void *b) {
        const TaskInfo *x = a, *y = b;

        return (x->id > y->id) - (x->id < y->id);
}

/* Collections are few, so they are searched one by one. */
char *inventory_collection_name(const Inventory *inventory, const char *path) {
        const CollectionInfo *collection = inventory_find_collection(inventory, path);
        const CollectionSnapshotInfo *snapshot =
                        inventory_find_collection_snapshot(inventory, path);

        if (collection && collection->name)
                return xstrdup(collection->name);
        return snapshot ? inventory_collection_snapshot_label(inventory, snapshot) : NULL;
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
                        string_replace(&t->subject_name, (*found)->name);
                else if (t->subject)
                        t->subject_name = inventory_collection_name(inventory, t->subject);
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

static void
sort(void *items, size_t count, size_t size, int (*compare)(const void *, const void *)) {
        /* An empty list is NULL, and qsort() takes none. */
        if (count > 0)
                qsort(items, count, size, compare);
}

static void sort_all(Inventory *inventory) {
        sort(inventory->machines, inventory->n_machines, sizeof(*inventory->machines),
                        compare_machines);
        sort(inventory->tasks, inventory->n_tasks, sizeof(*inventory->tasks), compare_tasks);
        sort(inventory->collections, inventory->n_collections, sizeof(*inventory->collections),
                        compare_collections);
        sort(inventory->collection_snapshots, inventory->n_collection_snapshots,
                        sizeof(*inventory->collection_snapshots), compare_collection_snapshots);
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
        sort_all(inventory);
        name_tasks(inventory);
        return EXIT_CODE_OK;
}
