/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* list, show and status: what the service knows about machines, read in one moment. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "inventory.h"
#include "machine-ref.h"
#include "message.h"
#include "pager.h"
#include "progress.h"
#include "table.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"

#define LIST_BAR_WIDTH 12

enum { COLUMN_MARK, COLUMN_NAME, COLUMN_STATE, COLUMN_MEMORY, COLUMN_TASK, COLUMNS };

static void add_memory(Buffer *b, uint32_t mebibytes) {
        text_add_size(b, (uint64_t) mebibytes << 20);
}

/* "#7 save  ███████▌░░░  62 %  3 s left", the bar only for eyes. */
static char *task_cell(const TaskInfo *t, size_t count, bool with_bar) {
        _cleanup_buffer_ Buffer b = {0};

        if (!t)
                return xstrdup(text_is_unicode() ? "–" : "-");
        buffer_add_format(&b, "#%u %s  ", t->id, task_info_verb(t));
        if (with_bar && t->progress_valid) {
                progress_add_bar(&b, t->percent, LIST_BAR_WIDTH);
                buffer_add(&b, "  ");
        }
        progress_add_details(&b, t, SIZE_MAX);
        if (count > 1)
                buffer_add_format(&b, "  (%zu more)", count - 1);
        return buffer_steal(&b);
}

static void add_row(
                Table *table, const Inventory *inventory, const MachineInfo *vm, bool with_bar) {
        _cleanup_buffer_ Buffer memory = {0};
        _cleanup_free_ char *task = NULL;
        unsigned color = 0;
        size_t count = 0;
        const char *mark = machine_info_mark(vm, &color);
        const TaskInfo *active = inventory_find_active(inventory, vm, &count);

        add_memory(&memory, vm->memory);
        task = task_cell(active, count, with_bar);
        table_add_colored(table, mark, color);
        table_add(table, vm->name);
        table_add(table, machine_info_state_word(vm));
        table_add(table, buffer_text(&memory));
        table_add(table, task);
}

static size_t count_unfinished(const Inventory *inventory) {
        size_t count = 0;

        for (size_t i = 0; i < inventory->n_tasks; i++)
                count += !inventory->tasks[i].is_complete;
        return count;
}

static void print_list(Session *s, const Inventory *inventory) {
        _cleanup_(table_freep) Table *table = table_new(COLUMNS);
        bool terminal = isatty(STDOUT_FILENO);
        size_t width = terminal_table_width(s->options.full);
        size_t unfinished = count_unfinished(inventory);

        table_set_header(table, COLUMN_MARK, " ", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_NAME, "VM", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_STATE, "STATE", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_MEMORY, "MEMORY", TABLE_ALIGN_RIGHT);
        table_set_header(table, COLUMN_TASK, "TASK", TABLE_ALIGN_LEFT);
        for (size_t i = 0; i < inventory->n_machines; i++)
                add_row(table, inventory, inventory->machines + i, terminal);
        pager_open(&s->options);
        table_print(table, s->options.legend, s->options.color, width);
        if (s->options.legend)
                (void) printf("%zu machine%s, %zu task%s running.\n", inventory->n_machines,
                                inventory->n_machines == 1 ? "" : "s", unfinished,
                                unfinished == 1 ? "" : "s");
}

static void machine_to_json(JsonWriter *w, const Inventory *inventory, const MachineInfo *vm) {
        json_begin(w, NULL, '{');
        json_string(w, "name", vm->name);
        json_string(w, "uuid", vm->uuid);
        json_string(w, "state", vm->state_name);
        json_unsigned(w, "memory_mib", vm->memory);
        json_boolean(w, "saved_state", vm->has_saved_state);
        json_begin(w, "tasks", '[');
        for (size_t i = 0; i < inventory->n_tasks; i++) {
                const TaskInfo *t = inventory->tasks + i;

                if (!t->is_complete && t->subject && strcmp(t->subject, vm->path) == 0)
                        json_unsigned(w, NULL, t->id);
        }
        json_end(w, ']');
        json_string(w, "path", vm->path);
        json_end(w, '}');
}

ExitCode cmd_list(Session *s, const char *verb, char **arguments) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};
        ExitCode code = inventory_load(&inventory, s);

        if (code != EXIT_CODE_OK)
                return code;
        if (s->options.json == JSON_MODE_OFF) {
                print_list(s, &inventory);
                if (!inventory.connected)
                        message_error("the hypervisor %s is not connected",
                                        inventory.uri ? inventory.uri : "");
                return EXIT_CODE_OK;
        }
        json_begin(&json, NULL, '[');
        for (size_t i = 0; i < inventory.n_machines; i++)
                machine_to_json(&json, &inventory, inventory.machines + i);
        json_end(&json, ']');
        json_flush(&json);
        return EXIT_CODE_OK;
}

/* Free text of several lines, each below the first. */
static void print_notes(const char *notes) {
        _cleanup_free_ char *copy = xstrdup(notes ? notes : "");
        char *position = NULL;
        const char *label = "Notes";

        for (char *line = strtok_r(copy, "\n", &position); line;
                        line = strtok_r(NULL, "\n", &position)) {
                _cleanup_free_ char *safe = text_escape(line);

                (void) printf("%12s%c %s\n", label, *label ? ':' : ' ', safe);
                label = "";
        }
}

/* "3, current: before-update"; nothing without any. */
static void print_snapshots(const Inventory *inventory, const MachineInfo *vm) {
        size_t count = 0;
        _cleanup_free_ SnapshotInfo **list = inventory_snapshots_of(inventory, vm->path, &count);
        _cleanup_buffer_ Buffer b = {0};

        if (count == 0)
                return;
        buffer_add_format(&b, "%zu", count);
        for (size_t i = 0; i < count; i++) {
                _cleanup_free_ char *label = NULL;

                if (!list[i]->is_current)
                        continue;
                label = snapshot_info_label(list[i]);
                buffer_add_format(&b, ", current: %s", label);
        }
        message_field("Snapshots", buffer_text(&b));
}

static void print_collections(const Inventory *inventory, const MachineInfo *vm) {
        _cleanup_buffer_ Buffer b = {0};

        for (size_t i = 0; i < inventory->n_collections; i++) {
                const CollectionInfo *collection = inventory->collections + i;

                if (path_list_contains(&collection->members, vm->path))
                        buffer_add_format(&b, "%s%s", b.length > 0 ? ", " : "", collection->name);
        }
        message_field("Collections", buffer_text(&b));
}

/* A property that listings leave out, into what @type says. */
static int read_property(
                Session *s, const char *path, const char *property, const char *type, void *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, path, PROPERTIES_INTERFACE, "Get");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_message_append(m, "ss", MACHINE_INTERFACE, property);

        if (r >= 0)
                r = sd_bus_call(s->bus, m, 0, NULL, &reply);
        return r < 0 ? r : sd_bus_message_read(reply, "v", type, ret);
}

static void print_undo_disks(Session *s, const MachineInfo *vm) {
        static const char *const words[] = {"discard", "keep", "commit"}; /* VMUndoAction */
        _cleanup_buffer_ Buffer b = {0};
        int undoable = 0;
        uint32_t action = 0;

        if (read_property(s, vm->path, "Undoable", "b", &undoable) < 0 ||
                        read_property(s, vm->path, "UndoAction", "u", &action) < 0)
                return;
        buffer_add_format(&b, "%s", undoable ? "yes" : "no");
        if (undoable && action < ELEMENTS(words))
                buffer_add_format(&b, ", when it goes off: %s", words[action]);
        message_field("Undo disks", buffer_text(&b));
}

static void print_machine(Session *s, const Inventory *inventory, const MachineInfo *vm) {
        _cleanup_free_ char *name = text_escape(vm->name ? vm->name : "");
        _cleanup_buffer_ Buffer memory = {0};
        unsigned color = 0;
        const char *mark = machine_info_mark(vm, &color);

        add_memory(&memory, vm->memory);
        if (s->options.color)
                (void) printf("\033[%um%s\033[0m %s\n", color, mark, name);
        else
                (void) printf("%s %s\n", mark, name);
        message_field("UUID", vm->uuid);
        message_field("State", machine_info_state_word(vm));
        message_field("Memory", buffer_text(&memory));
        message_field("Saved state", !vm->has_saved_state ? "no"
                                     : vm->saved_state_path && *vm->saved_state_path
                                                     ? vm->saved_state_path
                                                     : "yes");
        print_undo_disks(s, vm);
        print_snapshots(inventory, vm);
        print_collections(inventory, vm);
        print_notes(vm->notes);
        for (size_t i = 0; i < inventory->n_tasks; i++) {
                const TaskInfo *t = inventory->tasks + i;
                _cleanup_free_ char *cell = NULL;

                if (t->is_complete || !t->subject || strcmp(t->subject, vm->path) != 0)
                        continue;
                cell = task_cell(t, 1, false);
                message_field("Task", cell);
        }
        message_field("Object", vm->path);
}

static ExitCode show_machine(Session *s, const ObjectRef *ref) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        ExitCode code = inventory_load(&inventory, s);
        const MachineInfo *vm;

        if (code != EXIT_CODE_OK)
                return code;
        vm = inventory_find_machine(&inventory, ref->path);
        if (!vm) {
                message_error("no virtual machine \"%s\"", ref->name);
                return EXIT_CODE_NOT_FOUND;
        }
        pager_open(&s->options);
        print_machine(s, &inventory, vm);
        return EXIT_CODE_OK;
}

/* Whether @name is in the list "A,B"; NULL lists everything. */
static bool is_listed(const char *list, const char *name) {
        size_t length = strlen(name);

        for (const char *item = list; item; item = strchr(item, ',') ? strchr(item, ',') + 1 : NULL)
                if (strncmp(item, name, length) == 0 &&
                                (item[length] == ',' || item[length] == '\0'))
                        return true;
        return !list;
}

/* The value in text: strings as they are (on a terminal escaped), everything else as JSON. */
static int print_property(const Options *options, const char *name, sd_bus_message *m) {
        _cleanup_json_ JsonWriter json = {0};
        _cleanup_free_ char *safe = NULL;
        const char *contents = NULL, *text = NULL;
        int r = sd_bus_message_peek_type(m, NULL, &contents);

        if (r < 0)
                return r;
        if (contents && (strcmp(contents, "s") == 0 || strcmp(contents, "o") == 0))
                r = sd_bus_message_read(m, "v", contents, &text);
        else {
                r = json_message_value(&json, NULL, m);
                text = buffer_text(&json.out);
        }
        if (r < 0)
                return r;
        if (options_has(options, OPTION_VALUE)) {
                safe = isatty(STDOUT_FILENO) ? text_escape_lines(text) : xstrdup(text);
                (void) printf("%s\n", safe);
                return 0;
        }
        safe = text_escape(text);
        (void) printf("%s=%s\n", name, safe);
        return 0;
}

static int print_properties(
                Session *s, sd_bus_message *reply, JsonWriter *json, size_t *ret_count) {
        size_t count = 0;
        int r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                const char *name = NULL;

                r = sd_bus_message_read_basic(reply, SD_BUS_TYPE_STRING, &name);
                if (r < 0)
                        return r;
                if (!is_listed(s->options.property, name))
                        r = sd_bus_message_skip(reply, "v");
                else if (json)
                        r = json_message_value(json, name, reply);
                else
                        r = print_property(&s->options, name, reply);
                if (r < 0)
                        return r;
                count += is_listed(s->options.property, name);
                r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }
        *ret_count = count;
        return r;
}

/* One that was asked for by its name, and that listings leave out. */
static bool print_left_out(Session *s, const ObjectRef *ref) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, ref->path, PROPERTIES_INTERFACE, "Get");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *name = s->options.property;

        return name && sd_bus_message_append(m, "ss", MACHINE_INTERFACE, name) >= 0 &&
               sd_bus_call(s->bus, m, 0, NULL, &reply) >= 0 &&
               print_property(&s->options, name, reply) >= 0;
}

static ExitCode show_properties(Session *s, const ObjectRef *ref) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, ref->path, PROPERTIES_INTERFACE, "GetAll");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};
        bool use_json = s->options.json != JSON_MODE_OFF;
        size_t count = 0;
        ExitCode code;
        int r = sd_bus_message_append(m, "s", MACHINE_INTERFACE);

        if (r < 0)
                return bus_client_report_reply(r);
        code = bus_client_call(s, m, "read the machine", &reply);
        if (code != EXIT_CODE_OK)
                return code;
        if (use_json)
                json_begin(&json, NULL, '{');
        r = print_properties(s, reply, use_json ? &json : NULL, &count);
        if (r < 0)
                return bus_client_report_reply(r);
        if (count == 0 && !use_json && print_left_out(s, ref))
                return EXIT_CODE_OK;
        if (count == 0) {
                message_error("a machine has no property \"%s\"",
                                s->options.property ? s->options.property : "");
                return EXIT_CODE_USAGE;
        }
        if (use_json) {
                json_end(&json, '}');
                json_flush(&json);
        }
        return EXIT_CODE_OK;
}

ExitCode cmd_show(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        ExitCode code = machine_ref_resolve(&ref, s, arguments[0]);

        if (code != EXIT_CODE_OK)
                return code;
        if (s->options.command_options || s->options.json != JSON_MODE_OFF)
                return show_properties(s, &ref);
        return show_machine(s, &ref);
}
