/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Builds the house, and connects what comes from below (libvirt's events, tasks that end) with the
 * machines.
 *
 *     connect ── facts of all ── own the name ── events ── refresh one ──┐
 *        ↑                                          ↑                    │
 *        └── back off ── withdraw all machines ── lost                   └── apply
 *
 * The name is owned after the first look at the hypervisor, whatever it showed, so that the first
 * caller after an activation finds the machines. */

#include "service/manager.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "bus/bus-error.h"
#include "bus/bus-options.h"
#include "collection/store.h"
#include "disk/image-directories.h"
#include "service/collection.h"
#include "service/guest-query.h"
#include "service/hard-disk-reader.h"
#include "service/hard-disk.h"
#include "service/operation-call.h"
#include "service/operations.h"
#include "service/reference-point.h"
#include "service/snapshot.h"
#include "undo/operations.h"
#include "util/log.h"

#define RECONNECT_FIRST_USEC (G_USEC_PER_SEC / 10)
#define RECONNECT_MAX_USEC   G_USEC_PER_SEC

#define NAME_PRIMARY_OWNER 1 /* reply of RequestName */

#define SECOND_LOOK_USEC G_USEC_PER_SEC

#define PATIENCE_USEC (10 * G_USEC_PER_SEC) /* with the first look at the hypervisor */

#define THREADS_SHORT  4
#define THREADS_URGENT 2
#define THREADS_GUEST  64 /* one that waits for a guest costs nothing else */
#define THREADS_QUERY  24 /* a question may hang, but no more than one for each task */

static void begin_connect(Manager *manager);

/* Machines */

VirtualMachine *manager_find_machine(Manager *manager, const char *uuid) {
        return g_hash_table_lookup(manager->machines, uuid);
}

VirtualMachine *manager_find_machine_by_name(Manager *manager, const char *name_or_uuid) {
        g_autofree char *folded = g_utf8_casefold(name_or_uuid, -1);
        VirtualMachine *without_case = NULL;
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, manager->machines);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                VirtualMachine *vm = value;
                g_autofree char *other = NULL;

                if (g_str_equal(vm->facts->name, name_or_uuid))
                        return vm;
                other = g_utf8_casefold(vm->facts->name, -1);
                if (g_str_equal(other, folded))
                        without_case = vm;
        }
        return without_case ?: manager_find_machine(manager, folded);
}

static int compare_names(const void *a, const void *b) {
        const VirtualMachine *x = *(VirtualMachine *const *) a, *y = *(VirtualMachine *const *) b;

        return strcmp(x->facts->name, y->facts->name);
}

GPtrArray *manager_list_machines(Manager *manager) {
        GPtrArray *all = g_ptr_array_sized_new(g_hash_table_size(manager->machines));
        GHashTableIter iter;
        void *vm;

        g_hash_table_iter_init(&iter, manager->machines);
        while (g_hash_table_iter_next(&iter, NULL, &vm))
                g_ptr_array_add(all, vm);
        g_ptr_array_sort(all, compare_names);
        return all;
}

static void add_machine(Manager *manager, MachineFacts *facts) {
        VirtualMachine *vm = vm_new(manager, facts);

        g_hash_table_insert(manager->machines, vm->uuid, vm);
        if (manager->announced)
                vm_emit_added(vm);
        collection_snapshots_changed(manager, vm->uuid);
        manager_touch(manager, MANAGER_PROPERTY_VIRTUAL_MACHINES);
}

static void remove_machine(Manager *manager, VirtualMachine *vm) {
        g_hash_table_steal(manager->machines, vm->uuid);
        hard_disk_reader_forget(manager->disk_reader, vm->uuid);
        hard_disk_apply_machine(vm, NULL);
        vm_emit_removed(vm);
        collection_snapshots_changed(manager, vm->uuid);
        vm_free(vm);
        manager_touch(manager, MANAGER_PROPERTY_VIRTUAL_MACHINES);
}

/* However the machine went off, and whoever was there to see it. */
static void look_after_undo_disks(Manager *manager, VirtualMachine *vm) {
        if (!vm->facts->undo_pending)
                vm->undo_tried = false;
        else if (!vm->undo_tried && !task_list_holder(manager->tasks, vm->path))
                vm->undo_tried = operation_begin(manager, &operation_apply_undo_action, vm);
}

void manager_apply_facts(Manager *manager, const char *uuid, MachineFacts *facts) {
        VirtualMachine *vm = manager_find_machine(manager, uuid);

        if (!facts && vm)
                remove_machine(manager, vm);
        else if (facts && !vm)
                add_machine(manager, facts);
        else if (facts)
                vm_apply_facts(vm, facts);
        vm = manager_find_machine(manager, uuid);
        if (!vm)
                return;
        look_after_undo_disks(manager, vm);
        guest_query_follow(vm);
        hard_disk_reader_ask(manager->disk_reader, vm->uuid);
}

/* Refresh: the facts of one machine */

typedef struct Refresh {
        PoolWork work;
        Manager *manager;
        char uuid[UUID_STRING_SIZE];
        gint64 begun; /* as MachineFacts.read_at */
        bool again;   /* something changed meanwhile; loop only */
        MachineFacts *facts;
        bool gone;
} Refresh;

/* Worker. */
static void refresh_run(void *data) {
        Refresh *refresh = data;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GError) error = NULL;

        refresh->begun = g_get_monotonic_time();
        if (backend_open_domain(
                            refresh->manager->backend, BACKEND_QUERY, refresh->uuid, &loan, &error))
                refresh->facts = facts_read(loan.domain, &error);
        if (error)
                log_debug("The facts of %s can not be read: %s", refresh->uuid, error->message);
        refresh->gone = g_error_matches(
                        error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE);
}

static void refresh_done(void *data) {
        g_autofree Refresh *refresh = data;
        Manager *manager = refresh->manager;
        VirtualMachine *vm = manager_find_machine(manager, refresh->uuid);
        bool overtaken = vm && refresh->gone && vm->facts->read_at > refresh->begun;

        g_hash_table_remove(manager->refreshes, refresh->uuid);
        if (manager->connected && (refresh->facts || refresh->gone) && !overtaken)
                manager_apply_facts(manager, refresh->uuid, g_steal_pointer(&refresh->facts));
        facts_free(refresh->facts);
        if (refresh->again || overtaken)
                manager_refresh(manager, refresh->uuid);
}

/* One reading of a machine at a time: what changes meanwhile is read afterwards. */
void manager_refresh(Manager *manager, const char *uuid) {
        Refresh *refresh = g_hash_table_lookup(manager->refreshes, uuid);

        if (refresh) {
                refresh->again = true;
                return;
        }
        refresh = g_new0(Refresh, 1);
        refresh->manager = manager;
        g_strlcpy(refresh->uuid, uuid, sizeof(refresh->uuid));
        refresh->work = (PoolWork){.run = refresh_run, .done = refresh_done, .data = refresh};
        g_hash_table_insert(manager->refreshes, refresh->uuid, refresh);
        pool_submit(manager->pool, LANE_QUERY, &refresh->work);
}

static void on_backend_event(BackendEventKind kind, const char *uuid, void *userdata) {
        Manager *manager = userdata;
        VirtualMachine *vm = manager_find_machine(manager, uuid);

        switch (kind) {
        case BACKEND_EVENT_CHANGED:
                if (manager->connected)
                        manager_refresh(manager, uuid);
                else
                        g_hash_table_add(manager->missed, g_strdup(uuid));
                break;
        case BACKEND_EVENT_RESET:
                if (vm)
                        vm_reset_occurred(vm);
                break;
        case BACKEND_EVENT_GUEST_SHUTDOWN:
                if (vm)
                        vm_emit(vm, "GuestShutdown");
                break;
        case BACKEND_EVENT_DISK_FULL:
        case BACKEND_EVENT_DISK_FULL_PAUSED:
                if (vm)
                        vm_emit_disk_out_of_space(vm, kind == BACKEND_EVENT_DISK_FULL_PAUSED);
                break;
        case BACKEND_EVENT_AGENT_CONNECTED:
                if (vm)
                        guest_query_renew(vm);
                break;
        }
}

/* Connection */

typedef struct Connect {
        PoolWork work;
        Manager *manager;
        GPtrArray *all;
        GError *error;
} Connect;

/* Worker. */
static void connect_run(void *data) {
        Connect *attempt = data;

        backend_disconnect(attempt->manager->backend);
        attempt->all = backend_connect(attempt->manager->backend, &attempt->error);
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Manager *manager = userdata;
        uint32_t result = 0;

        if (sd_bus_message_is_method_error(reply, NULL) ||
                        sd_bus_message_read(reply, "u", &result) < 0 ||
                        result != NAME_PRIMARY_OWNER) {
                log_error("The bus does not give us the name " BUS_NAME);
                return sd_event_exit(manager->event, EXIT_FAILURE);
        }
        (void) sd_notify(false, "READY=1");
        return 0;
}

static void own_name(Manager *manager) {
        int r;

        if (manager->announced)
                return;
        manager->announced = true;
        manager->patience = sd_event_source_disable_unref(manager->patience);
        r = sd_bus_request_name_async(manager->bus, NULL, BUS_NAME, 0, on_name, manager);
        if (r < 0)
                g_error("Failed to ask for the bus name: %s", g_strerror(-r));
}

/* Their disks are there when the machines are. */
static void on_disks_read(Manager *manager) {
        if (manager->connected)
                own_name(manager);
}

/* A hypervisor that does not even refuse must not keep the service from its callers. */
static int on_out_of_patience(sd_event_source *source, uint64_t usec, void *userdata) {
        own_name(userdata);
        return 0;
}

static int on_reconnect_time(sd_event_source *source, uint64_t usec, void *userdata) {
        begin_connect(userdata);
        return 0;
}

static void back_off(Manager *manager, const GError *error) {
        uint64_t delay = RECONNECT_FIRST_USEC << MIN(manager->failed_connects, 10);

        if (manager->failed_connects++ == 0)
                log_warning("%s; trying again until it works", error->message);
        manager->reconnect = sd_event_source_disable_unref(manager->reconnect);
        (void) sd_event_add_time_relative(manager->event, &manager->reconnect, CLOCK_MONOTONIC,
                        MIN(delay, RECONNECT_MAX_USEC), RECONNECT_FIRST_USEC / 10,
                        on_reconnect_time, manager);
}

static void take_machines(Manager *manager, GPtrArray *all) {
        g_ptr_array_set_free_func(all, NULL);
        for (unsigned i = 0; i < all->len; i++) {
                MachineFacts *facts = all->pdata[i];

                manager_apply_facts(manager, facts->uuid, facts);
        }
        g_ptr_array_unref(all);
}

/* What changed while the machines were being read. */
static void refresh_missed(Manager *manager) {
        GHashTableIter iter;
        void *uuid;

        g_hash_table_iter_init(&iter, manager->missed);
        while (g_hash_table_iter_next(&iter, &uuid, NULL)) {
                manager_refresh(manager, uuid);
                g_hash_table_iter_remove(&iter);
        }
}

/* libvirt's files are named like the machines, to the letter. */
static void on_file_change(const char *name, void *userdata) {
        Manager *manager = userdata;
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, manager->machines);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const VirtualMachine *vm = value;

                if (g_str_equal(vm->facts->name, name))
                        manager_refresh(manager, vm->uuid);
        }
}

/* Of a guest that ended while libvirt was away, libvirt says that it runs until it has missed its
 * process, and tells nobody when it has. */
static int on_second_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, manager->machines);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const VirtualMachine *vm = value;

                if (vm->facts->active)
                        manager_refresh(manager, vm->uuid);
        }
        return 0;
}

static void look_again(Manager *manager) {
        manager->second_look = sd_event_source_disable_unref(manager->second_look);
        (void) sd_event_add_time_relative(manager->event, &manager->second_look, CLOCK_MONOTONIC,
                        SECOND_LOOK_USEC, SECOND_LOOK_USEC / 10, on_second_look, manager);
}

static void connect_done(void *data) {
        g_autofree Connect *attempt = data;
        g_autoptr(GError) error = attempt->error;
        Manager *manager = attempt->manager;

        if (attempt->all && !backend_is_connected(manager->backend)) {
                /* Lost again before we heard of it. */
                g_clear_pointer(&attempt->all, g_ptr_array_unref);
                error = g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE,
                                "The hypervisor went away");
        }
        if (!attempt->all)
                back_off(manager, error);
        else {
                if (manager->failed_connects > 0 || manager->announced)
                        log_info("Connected to %s", manager->uri);
                manager->failed_connects = 0;
                manager->connected = true;
                manager_touch(manager, MANAGER_PROPERTY_CONNECTED);
                take_machines(manager, attempt->all);
                refresh_missed(manager);
                look_again(manager);
                file_watch_free(manager->file_watch);
                manager->file_watch = file_watch_new(
                                manager->event, manager->uri, on_file_change, manager);
        }
        if (!manager->connected || hard_disk_reader_is_idle(manager->disk_reader))
                own_name(manager);
}

static void begin_connect(Manager *manager) {
        Connect *attempt = g_new0(Connect, 1);

        manager->reconnect = sd_event_source_disable_unref(manager->reconnect);
        attempt->manager = manager;
        attempt->work = (PoolWork){.run = connect_run, .done = connect_done, .data = attempt};
        pool_submit(manager->pool, LANE_QUERY, &attempt->work);
}

/* What is known of the machines is not true any more. Their tasks stay and end with the truth. */
static void on_backend_lost(void *userdata) {
        Manager *manager = userdata;
        g_autoptr(GPtrArray) all = manager_list_machines(manager);

        if (!manager->connected)
                return;
        log_warning("The connection to %s is lost", manager->uri);
        manager->connected = false;
        manager_touch(manager, MANAGER_PROPERTY_CONNECTED);
        for (unsigned i = 0; i < all->len; i++)
                remove_machine(manager, all->pdata[i]);
        begin_connect(manager);
}

/* Building */

/* Everything a caller sends passes here first. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Manager *manager = userdata;
        g_autoptr(GError) error = NULL;

        if (!sd_bus_message_is_method_call(message, NULL, NULL) ||
                        bus_message_check(message, manager->config.string_bytes, &error))
                return 0;
        (void) bus_reply_error(message, error);
        return 1; /* also for a call that wants no reply: 0 would let it through */
}

static bool fail(GError **error, const char *what, int r) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "Failed to %s: %s", what,
                        g_strerror(-r));
        return false;
}

static bool open_bus(Manager *manager, const ManagerOptions *options, GError **error) {
        int r;

        if (options->bus == BUS_SYSTEM)
                r = sd_bus_open_system(&manager->bus);
        else if (options->bus == BUS_USER)
                r = sd_bus_open_user(&manager->bus);
        else {
                r = sd_bus_new(&manager->bus);
                if (r >= 0)
                        r = sd_bus_set_address(manager->bus, options->address);
                if (r >= 0)
                        r = sd_bus_set_bus_client(manager->bus, true);
                if (r >= 0)
                        r = sd_bus_start(manager->bus);
        }
        if (r >= 0)
                r = sd_bus_attach_event(manager->bus, manager->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(manager->bus, true);
        return r >= 0 || fail(error, "connect to the bus", r);
}

static bool build_tasks(Manager *manager, const ManagerOptions *options, GError **error) {
        const Config *config = &manager->config;
        const TaskListContext context = {
                        .bus = manager->bus,
                        .mailbox = manager->mailbox,
                        .pool = manager->pool,
                        .backend = manager->backend,
                        .collections = manager->store,
                        .publisher = manager->publisher,
                        .peers = manager->peers,
                        .authorizer = manager->authorizer,
                        .hooks = &manager_task_hooks,
                        .userdata = manager,
                        .limits = {.per_user = config->tasks_per_user,
                                        .per_root = config->tasks_root,
                                        .finished = config->finished_tasks,
                                        .retention_usec = (uint64_t) config->task_retention_sec *
                                                          G_USEC_PER_SEC,
                                        .waiters = config->waiters_per_task,
                                        .sample_usec = G_USEC_PER_SEC /
                                                       config->progress_signals_per_second},
        };

        manager->tasks = task_list_new(&context, options->state_directory, error);
        return manager->tasks;
}

static bool publish(Manager *manager, GError **error) {
        int r = sd_bus_add_filter(manager->bus, NULL, on_message, manager);

        if (r >= 0)
                r = sd_bus_add_object_manager(manager->bus, NULL, BUS_ROOT);
        if (r >= 0)
                r = manager_publish(manager);
        if (r >= 0)
                r = vm_publish(manager);
        if (r >= 0)
                r = snapshot_publish(manager);
        if (r >= 0)
                r = reference_point_publish(manager);
        if (r >= 0)
                r = hard_disk_publish(manager);
        if (r >= 0)
                r = collection_publish(manager);
        if (r >= 0)
                r = task_list_publish(manager->tasks);
        return r >= 0 || fail(error, "publish the objects", r);
}

static bool build(Manager *manager, const ManagerOptions *options, GError **error) {
        static const BackendHooks hooks = {on_backend_event, on_backend_lost};
        const unsigned threads[LANE_COUNT] = {
                        [LANE_LONG] = manager->config.blocking_calls,
                        [LANE_DISK] = manager->config.disk_tasks,
                        [LANE_SHORT] = THREADS_SHORT,
                        [LANE_URGENT] = THREADS_URGENT,
                        [LANE_GUEST] = THREADS_GUEST,
                        [LANE_QUERY] = THREADS_QUERY,
        };

        if (!open_bus(manager, options, error))
                return false;
        manager->mailbox = mailbox_new(manager->event);
        manager->pool = pool_new(manager->mailbox, threads);
        manager->backend = backend_new(options->uri, manager->mailbox, &hooks, manager);
        manager->publisher = publisher_new(manager->bus);
        publication_init(&manager->publication, manager->publisher, PATH_MANAGER,
                        manager_properties);
        manager->peers = peer_list_new(manager->bus);
        manager->authorizer = authorizer_new(manager->bus, options->authorizer, manager->peers,
                        manager->config.dialogs_per_user, manager->config.dialogs);
        manager->inhibitor = inhibitor_new(manager->bus);
        manager->store = collection_store_new(options->state_directory, error);
        if (!manager->store)
                return false;
        collection_load_all(manager);
        if (!build_tasks(manager, options, error) || !publish(manager, error))
                return false;
        manager->disk_reader = hard_disk_reader_new(manager, on_disks_read);
        task_list_restore(manager->tasks, operations);
        begin_connect(manager);
        (void) sd_event_add_time_relative(manager->event, &manager->patience, CLOCK_MONOTONIC,
                        PATIENCE_USEC, PATIENCE_USEC / 10, on_out_of_patience, manager);
        return true;
}

static void free_machine(void *vm) {
        vm_free(vm);
}

Manager *manager_new(sd_event *event, const ManagerOptions *options, GError **error) {
        Manager *manager = g_new0(Manager, 1);

        manager->event = sd_event_ref(event);
        manager->config = options->config;
        image_directories_set((const char *const *) options->config.image_directories);
        manager->uri = g_strdup(options->uri);
        manager->hard_disks = hard_disk_table_new();
        g_queue_init(&manager->disk_holds);
        g_queue_init(&manager->disk_lookups);
        manager->missed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        manager->refreshes = g_hash_table_new(g_str_hash, g_str_equal);
        manager->guest_queries = g_hash_table_new(g_str_hash, g_str_equal);
        manager->machines = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_machine);
        if (build(manager, options, error))
                return manager;
        return NULL;
}

Manager *manager_free(Manager *manager) {
        if (!manager)
                return NULL;
        sd_event_source_disable_unref(manager->reconnect);
        sd_event_source_disable_unref(manager->second_look);
        file_watch_free(manager->file_watch);
        publication_clear(&manager->publication);
        hard_disk_reader_free(manager->disk_reader);
        hard_disk_free_all(manager);
        g_hash_table_destroy(manager->machines);
        g_hash_table_destroy(manager->refreshes);
        g_hash_table_destroy(manager->guest_queries);
        g_hash_table_destroy(manager->missed);
        sd_event_source_disable_unref(manager->patience);
        task_list_free(manager->tasks);
        collection_free_all(manager);
        collection_store_free(manager->store);
        inhibitor_free(manager->inhibitor);
        authorizer_free(manager->authorizer);
        peer_list_free(manager->peers);
        publisher_free(manager->publisher);
        sd_bus_flush_close_unref(manager->bus);
        sd_event_unref(manager->event);
        g_free(manager->uri);
        g_free(manager);
        return NULL;
}
