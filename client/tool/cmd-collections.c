/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* collections and collection: which machines belong together and which snapshots were taken of
 * them, read in one moment. */

#include <stdio.h>

#include "collection-ref.h"
#include "message.h"
#include "pager.h"
#include "table.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"

#define COLOR_MISSING 33

static const char *plural(size_t count) {
        return count == 1 ? "" : "s";
}

static void add_number(Table *table, size_t number) {
        _cleanup_free_ char *text = xasprintf("%zu", number);

        table_add(table, text);
}

/* ---- as text ---- */

static void print_table(Session *s, Table *table, size_t width) {
        table_print(table, s->options.legend, s->options.color, width);
}

static void print_list(Session *s, const Inventory *inventory) {
        enum { COLUMN_NAME, COLUMN_TYPE, COLUMN_MEMBERS, COLUMN_SNAPSHOTS, COLUMNS };
        _cleanup_(table_freep) Table *table = table_new(COLUMNS);
        size_t width = terminal_table_width(s->options.full), count = inventory->n_collections;

        table_set_header(table, COLUMN_NAME, "COLLECTION", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_TYPE, "OF", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_MEMBERS, "MEMBERS", TABLE_ALIGN_RIGHT);
        table_set_header(table, COLUMN_SNAPSHOTS, "SNAPSHOTS", TABLE_ALIGN_RIGHT);
        for (size_t i = 0; i < count; i++) {
                const CollectionInfo *collection = inventory->collections + i;

                table_add(table, collection->name);
                table_add(table, collection_info_type_word(collection));
                add_number(table, collection->members.count);
                add_number(table, collection->snapshots.count);
        }
        pager_open(&s->options);
        print_table(s, table, width);
        if (s->options.legend)
                (void) printf("%zu collection%s.\n", count, plural(count));
}

/* "3 machines" */
static char *tell_members(const CollectionInfo *collection) {
        size_t count = collection->members.count;
        const char *what = collection_info_is_of_collections(collection) ? "collection" : "machine";

        return xasprintf("%zu %s%s", count, what, plural(count));
}

static void add_member(Table *table, const Inventory *inventory, const Candidate *member) {
        const MachineInfo *vm = inventory_find_machine(inventory, member->path);
        const CollectionInfo *collection = inventory_find_collection(inventory, member->path);
        _cleanup_free_ char *members = collection ? tell_members(collection) : NULL;
        unsigned color = COLOR_MISSING;
        const char *mark = vm ? machine_info_mark(vm, &color) : collection ? " " : "?";

        table_add_colored(table, mark, color);
        table_add(table, member->name ? member->name : member->uuid);
        table_add(table, vm ? machine_info_state_word(vm) : members ? members : "missing");
}

static void print_members(Session *s,
                const Inventory *inventory,
                const CollectionInfo *collection,
                size_t width) {
        enum { COLUMN_MARK, COLUMN_NAME, COLUMN_STATE, COLUMNS };
        bool of_collections = collection_info_is_of_collections(collection);
        _cleanup_(table_freep) Table *table = table_new(COLUMNS);
        _cleanup_(candidate_list_clear) CandidateList members = {0};

        candidate_list_add_members(&members, inventory, collection);
        table_set_header(table, COLUMN_MARK, " ", TABLE_ALIGN_LEFT);
        table_set_header(
                        table, COLUMN_NAME, of_collections ? "COLLECTION" : "VM", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_STATE, of_collections ? "HAS" : "STATE", TABLE_ALIGN_LEFT);
        for (size_t i = 0; i < members.count; i++)
                add_member(table, inventory, members.items + i);
        print_table(s, table, width);
}

static void add_snapshot(Table *table, const CollectionSnapshotInfo *snapshot) {
        _cleanup_buffer_ Buffer created = {0};

        text_add_date(&created, snapshot->created);
        table_add(table, snapshot->name);
        table_add(table, collection_snapshot_info_type_word(snapshot));
        table_add(table, collection_snapshot_info_consistency_word(snapshot));
        add_number(table, snapshot->snapshots.count);
        table_add(table, buffer_text(&created));
}

static void print_snapshots(Session *s,
                const Inventory *inventory,
                const CollectionInfo *collection,
                size_t width) {
        enum { COLUMN_NAME, COLUMN_TYPE, COLUMN_LEVEL, COLUMN_VMS, COLUMN_CREATED, COLUMNS };
        _cleanup_(table_freep) Table *table = table_new(COLUMNS);

        table_set_header(table, COLUMN_NAME, "SNAPSHOT", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_TYPE, "TYPE", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_LEVEL, "CONSISTENCY", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_VMS, "VMS", TABLE_ALIGN_RIGHT);
        table_set_header(table, COLUMN_CREATED, "CREATED", TABLE_ALIGN_LEFT);
        for (size_t i = 0; i < collection->snapshots.count; i++) {
                const CollectionSnapshotInfo *snapshot = inventory_find_collection_snapshot(
                                inventory, collection->snapshots.paths[i]);

                if (snapshot)
                        add_snapshot(table, snapshot);
        }
        print_table(s, table, width);
}

static void print_collection(
                Session *s, const Inventory *inventory, const CollectionInfo *collection) {
        size_t width = terminal_table_width(s->options.full);
        size_t members = collection->members.count, snapshots = collection->snapshots.count;

        pager_open(&s->options);
        message_result("%s", collection->name ? collection->name : "");
        message_field("UUID", collection->uuid);
        message_field("Object", collection->path);
        message_result("%s", "");
        print_members(s, inventory, collection, width);
        message_result("%s", "");
        print_snapshots(s, inventory, collection, width);
        if (s->options.legend)
                (void) printf("%zu member%s, %zu snapshot%s.\n", members, plural(members),
                                snapshots, plural(snapshots));
}

/* ---- as JSON ---- */

static void member_to_json(JsonWriter *w, const Inventory *inventory, const Candidate *member) {
        const MachineInfo *vm = inventory_find_machine(inventory, member->path);

        json_begin(w, NULL, '{');
        json_string(w, "name", member->name);
        json_string(w, "uuid", member->uuid);
        json_boolean(w, "missing", !member->name);
        json_string(w, "state", vm ? vm->state_name : NULL);
        json_string(w, "path", member->path);
        json_end(w, '}');
}

static void machine_snapshot_to_json(
                JsonWriter *w, const Inventory *inventory, const SnapshotInfo *snapshot) {
        const MachineInfo *vm =
                        snapshot->machine ? inventory_find_machine(inventory, snapshot->machine)
                                          : NULL;

        json_begin(w, NULL, '{');
        json_string(w, "machine", vm ? vm->name : NULL);
        json_string(w, "id", snapshot->id);
        json_string(w, "path", snapshot->path);
        json_end(w, '}');
}

static void snapshot_to_json(
                JsonWriter *w, const Inventory *inventory, const CollectionSnapshotInfo *snapshot) {
        json_begin(w, NULL, '{');
        json_string(w, "name", snapshot->name);
        json_string(w, "uuid", snapshot->uuid);
        json_string(w, "type", collection_snapshot_info_type_word(snapshot));
        json_unsigned(w, "snapshot_type", snapshot->type);
        json_string(w, "consistency", collection_snapshot_info_consistency_word(snapshot));
        json_unsigned(w, "consistency_level", snapshot->consistency);
        json_unsigned(w, "creation_time_us", snapshot->created);
        json_begin(w, "snapshots", '[');
        for (size_t i = 0; i < snapshot->snapshots.count; i++) {
                const SnapshotInfo *part =
                                inventory_find_snapshot(inventory, snapshot->snapshots.paths[i]);

                if (part)
                        machine_snapshot_to_json(w, inventory, part);
        }
        json_end(w, ']');
        json_string(w, "path", snapshot->path);
        json_end(w, '}');
}

static void collection_to_json(
                JsonWriter *w, const Inventory *inventory, const CollectionInfo *collection) {
        _cleanup_(candidate_list_clear) CandidateList members = {0};

        candidate_list_add_members(&members, inventory, collection);
        json_begin(w, NULL, '{');
        json_string(w, "name", collection->name);
        json_string(w, "uuid", collection->uuid);
        json_string(w, "type", collection_info_type_word(collection));
        json_unsigned(w, "collection_type", collection->type);
        json_begin(w, "members", '[');
        for (size_t i = 0; i < members.count; i++)
                member_to_json(w, inventory, members.items + i);
        json_end(w, ']');
        json_begin(w, "snapshots", '[');
        for (size_t i = 0; i < collection->snapshots.count; i++) {
                const CollectionSnapshotInfo *snapshot = inventory_find_collection_snapshot(
                                inventory, collection->snapshots.paths[i]);

                if (snapshot)
                        snapshot_to_json(w, inventory, snapshot);
        }
        json_end(w, ']');
        json_string(w, "path", collection->path);
        json_end(w, '}');
}

/* ---- commands ---- */

ExitCode cmd_collections(Session *s, const char *verb, char **arguments) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};
        ExitCode code = inventory_load(&inventory, s);

        if (code != EXIT_CODE_OK)
                return code;
        if (s->options.json == JSON_MODE_OFF) {
                print_list(s, &inventory);
                return EXIT_CODE_OK;
        }
        json_begin(&json, NULL, '[');
        for (size_t i = 0; i < inventory.n_collections; i++)
                collection_to_json(&json, &inventory, inventory.collections + i);
        json_end(&json, ']');
        json_flush(&json);
        return EXIT_CODE_OK;
}

ExitCode cmd_collection(Session *s, const char *verb, char **arguments) {
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};
        const CollectionInfo *collection;
        ExitCode code = collection_ref_resolve(&ref, s, arguments[0]);

        if (code == EXIT_CODE_OK)
                code = inventory_load(&inventory, s);
        if (code != EXIT_CODE_OK)
                return code;
        collection = inventory_find_collection(&inventory, ref.path);
        if (!collection) {
                message_error("no collection \"%s\"", ref.name);
                return EXIT_CODE_NOT_FOUND;
        }
        if (s->options.json == JSON_MODE_OFF)
                print_collection(s, &inventory, collection);
        else {
                collection_to_json(&json, &inventory, collection);
                json_flush(&json);
        }
        return EXIT_CODE_OK;
}
