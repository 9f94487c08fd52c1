/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* monitor: every event of the service as a line, until Ctrl-C. With --json a line is the signal
 * itself, completely and as an object; for people it is a sentence with names in place of paths.
 * The names come from an inventory that the signals keep up to date. ConcreteJob repeats what Task
 * says and is left out for people. */

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "event-loop.h"
#include "inventory.h"
#include "message.h"
#include "progress.h"
#include "text.h"
#include "verbs.h"

typedef struct Monitor {
        Session *session;
        sd_event *event;
        Inventory inventory;
        char *owner;
        ExitCode code;
} Monitor;

/* What a person reads about a signal: appends to @line, or nothing. @m stands at its first
 * argument. */
typedef void (*DescribeFunction)(Monitor *monitor, sd_bus_message *m, Buffer *line);

static const char *or_unknown(const char *text) {
        return text && *text ? text : "?";
}

static const char *machine_name(const Monitor *monitor, const char *path) {
        const MachineInfo *vm = path ? inventory_find_machine(&monitor->inventory, path) : NULL;

        return vm && vm->name ? vm->name : or_unknown(path);
}

/* "collection web", "snapshot web/before"; NULL for neither. */
static char *collection_label(const Monitor *monitor, const char *path) {
        _cleanup_free_ char *name = inventory_collection_name(&monitor->inventory, path);

        if (!name)
                return NULL;
        return xasprintf("%s %s",
                        inventory_find_collection(&monitor->inventory, path) ? "collection"
                                                                             : "snapshot",
                        name);
}

static void add_task(Buffer *line, const Monitor *monitor, const TaskInfo *t) {
        _cleanup_free_ char *name =
                        t->subject ? inventory_collection_name(&monitor->inventory, t->subject)
                                   : NULL;

        buffer_add_format(line, "task #%u %s %s", t->id, task_info_verb(t),
                        name ? name : machine_name(monitor, t->subject));
}

static void add_snapshot(Buffer *line, const Monitor *monitor, const SnapshotInfo *snapshot) {
        _cleanup_free_ char *label = snapshot_info_label(snapshot);

        buffer_add_format(line, "%s %s of %s", snapshot_info_kind_word(snapshot), label,
                        machine_name(monitor, snapshot->machine));
}

static void add_collection(
                Buffer *line, const Monitor *monitor, const char *path, const char *event) {
        _cleanup_free_ char *label = collection_label(monitor, path);

        if (label)
                buffer_add_format(line, "%s %s", label, event);
}

static void describe_added(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        const char *path = NULL;
        const MachineInfo *vm;
        const TaskInfo *t;
        const SnapshotInfo *snapshot;

        if (sd_bus_message_read(m, "o", &path) < 0 ||
                        inventory_read_object(&monitor->inventory, path, m) < 0)
                return;
        vm = inventory_find_machine(&monitor->inventory, path);
        t = inventory_find_task(&monitor->inventory, path);
        snapshot = inventory_find_snapshot(&monitor->inventory, path);
        if (vm)
                buffer_add_format(line, "vm %s added (%s)", or_unknown(vm->name),
                                machine_info_state_word(vm));
        else if (t) {
                add_task(line, monitor, t);
                buffer_add_format(line, " begun by %s", or_unknown(t->owner));
        } else if (snapshot) {
                add_snapshot(line, monitor, snapshot);
                buffer_add(line, " added");
                if (!snapshot->is_point)
                        buffer_add_format(line, " (%s)", snapshot_info_type_word(snapshot));
        } else
                add_collection(line, monitor, path, "added");
}

static void describe_removed(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        const char *path = NULL;
        const MachineInfo *vm;
        const TaskInfo *t;
        const SnapshotInfo *snapshot;

        if (sd_bus_message_read(m, "o", &path) < 0)
                return;
        vm = inventory_find_machine(&monitor->inventory, path);
        t = inventory_find_task(&monitor->inventory, path);
        snapshot = inventory_find_snapshot(&monitor->inventory, path);
        if (vm)
                buffer_add_format(line, "vm %s removed", or_unknown(vm->name));
        else if (t) {
                add_task(line, monitor, t);
                buffer_add(line, " forgotten");
        } else if (snapshot) {
                add_snapshot(line, monitor, snapshot);
                buffer_add(line, " removed");
        } else
                add_collection(line, monitor, path, "removed");
        inventory_forget(&monitor->inventory, path);
}

static void describe_task_change(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        TaskInfo *t = inventory_find_task(&monitor->inventory, sd_bus_message_get_path(m));
        _cleanup_buffer_ Buffer details = {0};

        if (!t || task_info_read(t, m) < 0 || t->is_complete)
                return;
        progress_add_details(&details, t, SIZE_MAX);
        add_task(line, monitor, t);
        buffer_add_format(line, "  %s", buffer_text(&details));
}

/* The state has a signal of its own; here are the other changes that people care about. */
static void describe_machine_change(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        MachineInfo *vm = inventory_find_machine(&monitor->inventory, sd_bus_message_get_path(m));
        _cleanup_free_ char *name = vm && vm->name ? xstrdup(vm->name) : NULL;
        _cleanup_free_ char *notes = vm && vm->notes ? xstrdup(vm->notes) : NULL;
        uint32_t memory = vm ? vm->memory : 0;

        if (!vm || machine_info_read(vm, m) < 0)
                return;
        if (name && strcmp(name, vm->name) != 0)
                buffer_add_format(line, "vm %s renamed to %s", name, vm->name);
        else if (memory != vm->memory)
                buffer_add_format(line, "vm %s has %u MiB of memory", or_unknown(vm->name),
                                vm->memory);
        else if (notes && strcmp(notes, vm->notes) != 0)
                buffer_add_format(line, "vm %s has new notes", or_unknown(vm->name));
}

static void describe_snapshot_change(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        SnapshotInfo *snapshot =
                        inventory_find_snapshot(&monitor->inventory, sd_bus_message_get_path(m));
        _cleanup_free_ char *label = snapshot ? snapshot_info_label(snapshot) : NULL;
        _cleanup_free_ char *name = snapshot && snapshot->name ? xstrdup(snapshot->name) : NULL;
        bool had_memory = snapshot && snapshot->has_memory;
        bool was_current = snapshot && snapshot->is_current;

        if (!snapshot || snapshot_info_read(snapshot, m) < 0)
                return;
        buffer_add_format(
                        line, "snapshot %s of %s", label, machine_name(monitor, snapshot->machine));
        if (name && strcmp(name, snapshot->name) != 0)
                buffer_add_format(line, " renamed to %s", snapshot->name);
        else if (snapshot->is_current && !was_current)
                buffer_add(line, " is the current one");
        else if (had_memory && !snapshot->has_memory)
                buffer_add(line, " has no memory any more");
        else
                buffer_clear(line);
}

static void add_renamed(Buffer *line, const char *what, const char *before, const char *name) {
        if (before && name && strcmp(before, name) != 0)
                buffer_add_format(line, "%s renamed to %s", what, name);
}

static void describe_collection_change(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        const char *path = sd_bus_message_get_path(m);
        CollectionInfo *collection = inventory_find_collection(&monitor->inventory, path);
        _cleanup_free_ char *label = collection_label(monitor, path);
        _cleanup_free_ char *name =
                        collection && collection->name ? xstrdup(collection->name) : NULL;
        size_t members = collection ? collection->members.count : 0;

        if (!collection || collection_info_read(collection, m) < 0)
                return;
        add_renamed(line, label, name, collection->name);
        if (line->length == 0 && members != collection->members.count)
                buffer_add_format(line, "%s has %zu member%s", label, collection->members.count,
                                collection->members.count == 1 ? "" : "s");
}

static void describe_collection_snapshot_change(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        const char *path = sd_bus_message_get_path(m);
        CollectionSnapshotInfo *snapshot =
                        inventory_find_collection_snapshot(&monitor->inventory, path);
        _cleanup_free_ char *label = collection_label(monitor, path);
        _cleanup_free_ char *name = snapshot && snapshot->name ? xstrdup(snapshot->name) : NULL;

        if (snapshot && collection_snapshot_info_read(snapshot, m) >= 0)
                add_renamed(line, label, name, snapshot->name);
}

static void describe_manager_change(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        Inventory *inventory = &monitor->inventory;
        bool connected = inventory->connected;

        if (inventory_read_manager(inventory, m) >= 0 && connected != inventory->connected)
                buffer_add_format(
                                line, "hypervisor %s", inventory->connected ? "connected" : "lost");
}

/* clang-format off */
static const struct {
        const char *interface;
        DescribeFunction describe;
} changes[] = {
        {TASK_INTERFACE,                describe_task_change},
        {MACHINE_INTERFACE,             describe_machine_change},
        {SNAPSHOT_INTERFACE,            describe_snapshot_change},
        {COLLECTION_INTERFACE,          describe_collection_change},
        {COLLECTION_SNAPSHOT_INTERFACE, describe_collection_snapshot_change},
        {MANAGER_INTERFACE,             describe_manager_change},
};
/* clang-format on */

static void describe_change(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        const char *interface = NULL;

        if (sd_bus_message_read(m, "s", &interface) < 0)
                return;
        for (size_t i = 0; i < ELEMENTS(changes); i++)
                if (strcmp(changes[i].interface, interface) == 0)
                        changes[i].describe(monitor, m, line);
}

static void describe_completed(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        const char *path = NULL, *message = NULL;
        const TaskInfo *t;

        if (sd_bus_message_read(m, "uouuss", NULL, &path, NULL, NULL, NULL, &message) < 0)
                return;
        t = inventory_find_task(&monitor->inventory, path);
        if (!t)
                return;
        add_task(line, monitor, t);
        buffer_add_format(line, " %s", task_info_state(t));
        if (message && *message && task_info_exit_code(t) != EXIT_CODE_OK)
                buffer_add_format(line, ": %s", message);
}

static void describe_state(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        const char *name = NULL;
        uint32_t state = 0;

        if (sd_bus_message_read(m, "osu", NULL, &name, &state) >= 0)
                buffer_add_format(line, "vm %s is %s", name, machine_info_number_word(state));
}

static void add_machine_event(
                Monitor *monitor, sd_bus_message *m, Buffer *line, const char *event) {
        buffer_add_format(
                        line, "vm %s %s", machine_name(monitor, sd_bus_message_get_path(m)), event);
}

static void describe_reset(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        add_machine_event(monitor, m, line, "was reset");
}

static void describe_shutdown(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        add_machine_event(monitor, m, line, "has shut itself down");
}

static void describe_space(Monitor *monitor, sd_bus_message *m, Buffer *line) {
        int critical = 0;

        (void) sd_bus_message_read(m, "b", &critical);
        add_machine_event(monitor, m, line,
                        critical ? "is paused: the disk of the host is full"
                                 : "found the disk of the host full");
}

/* clang-format off */
static const struct {
        const char *interface;
        const char *member;
        DescribeFunction describe;
} descriptions[] = {
        {OBJECTS_INTERFACE,    "InterfacesAdded",   describe_added},
        {OBJECTS_INTERFACE,    "InterfacesRemoved", describe_removed},
        {PROPERTIES_INTERFACE, "PropertiesChanged", describe_change},
        {MANAGER_INTERFACE,    "TaskCompleted",     describe_completed},
        {MANAGER_INTERFACE,    "VMStateChange",     describe_state},
        {MACHINE_INTERFACE,    "ResetOccurred",     describe_reset},
        {MACHINE_INTERFACE,    "GuestShutdown",     describe_shutdown},
        {MACHINE_INTERFACE,    "DiskOutOfSpace",    describe_space},
};
/* clang-format on */

static void print_line(const char *text) {
        _cleanup_buffer_ Buffer time = {0};

        text_add_time(&time, now_realtime());
        message_result("%s %s", buffer_text(&time), text);
}

static void print_text(Monitor *monitor, sd_bus_message *m) {
        _cleanup_buffer_ Buffer line = {0};

        for (size_t i = 0; i < ELEMENTS(descriptions); i++)
                if (sd_bus_message_is_signal(m, descriptions[i].interface, descriptions[i].member) >
                                0)
                        descriptions[i].describe(monitor, m, &line);
        if (line.length > 0)
                print_line(buffer_text(&line));
}

static void print_json(Monitor *monitor, sd_bus_message *m) {
        _cleanup_json_ JsonWriter json = {
                        .pretty = monitor->session->options.json == JSON_MODE_PRETTY};

        json_begin(&json, NULL, '{');
        json_unsigned(&json, "time_us", now_realtime());
        json_string(&json, "path", sd_bus_message_get_path(m));
        json_string(&json, "interface", sd_bus_message_get_interface(m));
        json_string(&json, "member", sd_bus_message_get_member(m));
        json_begin(&json, "args", '[');
        while (sd_bus_message_at_end(m, true) == 0)
                if (json_message_value(&json, NULL, m) < 0)
                        return;
        json_end(&json, ']');
        json_end(&json, '}');
        json_flush(&json);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Monitor *monitor = userdata;
        const char *sender = sd_bus_message_get_sender(m);

        if (!sender || !monitor->owner || strcmp(sender, monitor->owner) != 0)
                return 0;
        if (monitor->session->options.json == JSON_MODE_OFF)
                print_text(monitor, m);
        else
                print_json(monitor, m);
        return 0;
}

static ExitCode learn_names(Monitor *monitor) {
        inventory_clear(&monitor->inventory);
        return inventory_load(&monitor->inventory, monitor->session);
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Monitor *monitor = userdata;
        const char *owner = NULL;

        if (monitor->session->options.json != JSON_MODE_OFF)
                print_json(monitor, m);
        (void) sd_bus_message_rewind(m, true);
        if (sd_bus_message_read(m, "sss", NULL, NULL, &owner) < 0)
                return 0;
        string_replace(&monitor->owner, *owner ? owner : NULL);
        if (monitor->session->options.json != JSON_MODE_OFF)
                return 0;
        print_line(*owner ? "service started" : "service stopped");
        if (*owner)
                (void) learn_names(monitor);
        return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Monitor *monitor = userdata;

        message_error("the connection to the bus is lost");
        monitor->code = EXIT_CODE_UNREACHABLE;
        return sd_event_exit(monitor->event, 0);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void monitor_clear(Monitor *monitor) {
        (void) sd_bus_detach_event(monitor->session->bus);
        sd_event_unref(monitor->event);
        inventory_clear(&monitor->inventory);
        free(monitor->owner);
}

/* clang-format off */
static const struct {
        const char *match;
        sd_bus_message_handler_t handler;
} subscriptions[] = {
        {"type='signal',sender='" SERVICE_NAME "',path_namespace='" SERVICE_PATH "'", on_signal},
        {"type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
         "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" SERVICE_NAME "'", on_owner_changed},
        {"type='signal',sender='org.freedesktop.DBus.Local',path='/org/freedesktop/DBus/Local',"
         "interface='org.freedesktop.DBus.Local',member='Disconnected'", on_disconnected},
};
/* clang-format on */

static int prepare(Monitor *monitor) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTS(subscriptions); i++)
                r = sd_bus_add_match_async(monitor->session->bus, NULL, subscriptions[i].match,
                                subscriptions[i].handler, NULL, monitor);
        if (r >= 0)
                r = event_loop_add_signal(monitor->event, SIGINT, on_stop, monitor);
        if (r >= 0)
                r = event_loop_add_signal(monitor->event, SIGTERM, on_stop, monitor);
        if (r < 0)
                message_error("cannot listen on the bus: %s", strerror(-r));
        return r;
}

static void learn_owner(Monitor *monitor) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *owner = NULL;

        if (sd_bus_call_method(monitor->session->bus, "org.freedesktop.DBus",
                            "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", NULL,
                            &reply, "s", SERVICE_NAME) >= 0 &&
                        sd_bus_message_read(reply, "s", &owner) > 0)
                string_replace(&monitor->owner, owner);
}

ExitCode cmd_monitor(Session *s, const char *verb, char **arguments) {
        _cleanup_(monitor_clear) Monitor monitor = {.session = s};
        ExitCode code;

        monitor.event = event_loop_new(s);
        if (!monitor.event || prepare(&monitor) < 0)
                return EXIT_CODE_FAILED;
        code = learn_names(&monitor);
        if (code != EXIT_CODE_OK)
                return code;
        learn_owner(&monitor);
        code = event_loop_run(monitor.event);
        return exit_code_worst(code, monitor.code);
}
