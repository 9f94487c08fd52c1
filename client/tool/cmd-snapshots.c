/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* snapshots, points: the tree of the snapshots of a machine, or its reference points, read in one
 * moment. */

#include <stdio.h>
#include <string.h>

#include "inventory.h"
#include "machine-ref.h"
#include "pager.h"
#include "snapshot-tree.h"
#include "table.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"

/* Of a deep tree that has to fit into a window so many levels are drawn that a name of about 20
 * columns, and what stands behind it, has room. */
#define COLUMNS_PER_LEVEL 3
#define COLUMNS_OF_OTHERS 60

#define COLOR_CURRENT 32

enum {
        COLUMN_MARK,
        COLUMN_NAME,
        COLUMN_TYPE,
        COLUMN_MEMORY,
        COLUMN_CREATED,
        COLUMN_COLLECTION,
        COLUMNS
};

enum { POINT_COLUMN_NAME, POINT_COLUMN_CONSISTENCY, POINT_COLUMN_CREATED, POINT_COLUMNS };

/* The snapshot of a collection that it is a part of: a column that is there only for such ones. */
static void add_part(Table *table, const Inventory *inventory, const SnapshotInfo *snapshot) {
        const char *path = snapshot_info_is_part(snapshot) ? snapshot->collection_snapshot : NULL;
        _cleanup_free_ char *label = path ? inventory_collection_name(inventory, path) : NULL;

        table_add(table, label);
}

static bool has_parts(SnapshotInfo *const *list, size_t count) {
        for (size_t i = 0; i < count; i++)
                if (snapshot_info_is_part(list[i]))
                        return true;
        return false;
}

static void add_row(Table *table, const SnapshotRow *row) {
        const SnapshotInfo *snapshot = row->snapshot;
        _cleanup_free_ char *label = snapshot_info_label(snapshot);
        _cleanup_free_ char *name = xasprintf("%s%s", row->branch, label);
        const char *mark = !snapshot->is_current ? " " : text_is_unicode() ? "●" : "*";
        _cleanup_buffer_ Buffer created = {0};

        text_add_date(&created, snapshot->created);
        table_add_colored(table, mark, snapshot->is_current ? COLOR_CURRENT : 0);
        table_add(table, name);
        table_add(table, snapshot_info_type_word(snapshot));
        table_add(table, snapshot->has_memory ? "yes" : "no");
        table_add(table, buffer_text(&created));
}

/* How many levels of the tree to draw, 0 for all. */
static size_t levels_of(size_t width) {
        if (width == 0)
                return 0;
        return width < COLUMNS_OF_OTHERS + COLUMNS_PER_LEVEL
                               ? 1
                               : (width - COLUMNS_OF_OTHERS) / COLUMNS_PER_LEVEL;
}

static void print_tree(Session *s,
                const Inventory *inventory,
                const ObjectRef *machine,
                SnapshotInfo *const *list,
                size_t count) {
        bool parts = has_parts(list, count);
        size_t width = terminal_table_width(s->options.full);
        const SnapshotTreeStyle style = {text_is_unicode(), levels_of(width)};
        _cleanup_(table_freep) Table *table = table_new(parts ? COLUMNS : COLUMNS - 1);
        _cleanup_(snapshot_tree_clear) SnapshotTree tree = {0};
        _cleanup_free_ char *name = text_escape(machine->name);

        snapshot_tree_make(&tree, list, count, &style);
        table_set_header(table, COLUMN_MARK, " ", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_NAME, "SNAPSHOT", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_TYPE, "TYPE", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_MEMORY, "MEMORY", TABLE_ALIGN_LEFT);
        table_set_header(table, COLUMN_CREATED, "CREATED", TABLE_ALIGN_LEFT);
        if (parts)
                table_set_header(table, COLUMN_COLLECTION, "PART OF", TABLE_ALIGN_LEFT);
        for (size_t i = 0; i < tree.count; i++) {
                add_row(table, tree.rows + i);
                if (parts)
                        add_part(table, inventory, tree.rows[i].snapshot);
        }
        pager_open(&s->options);
        table_print(table, s->options.legend, s->options.color, width);
        if (s->options.legend)
                (void) printf("%zu snapshot%s of %s.\n", count, count == 1 ? "" : "s", name);
}

static void print_json(Session *s, SnapshotInfo *const *list, size_t count) {
        const SnapshotTreeStyle style = {0};
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};
        _cleanup_(snapshot_tree_clear) SnapshotTree tree = {0};

        snapshot_tree_make(&tree, list, count, &style);
        json_begin(&json, NULL, '[');
        for (size_t i = 0; i < tree.count; i++) {
                const SnapshotInfo *parent = tree.rows[i].parent;

                snapshot_info_to_json(tree.rows[i].snapshot, &json, parent ? parent->id : NULL);
        }
        json_end(&json, ']');
        json_flush(&json);
}

static void print_points_table(
                Session *s, const ObjectRef *machine, SnapshotInfo *const *list, size_t count) {
        _cleanup_(table_freep) Table *table = table_new(POINT_COLUMNS);
        _cleanup_free_ char *name = text_escape(machine->name);

        table_set_header(table, POINT_COLUMN_NAME, "REFERENCE POINT", TABLE_ALIGN_LEFT);
        table_set_header(table, POINT_COLUMN_CONSISTENCY, "CONSISTENCY", TABLE_ALIGN_LEFT);
        table_set_header(table, POINT_COLUMN_CREATED, "CREATED", TABLE_ALIGN_LEFT);
        for (size_t i = 0; i < count; i++) {
                _cleanup_free_ char *label = snapshot_info_label(list[i]);
                _cleanup_buffer_ Buffer created = {0};

                text_add_date(&created, list[i]->created);
                table_add(table, label);
                table_add(table, snapshot_info_consistency_word(list[i]));
                table_add(table, buffer_text(&created));
        }
        pager_open(&s->options);
        table_print(table, s->options.legend, s->options.color,
                        terminal_table_width(s->options.full));
        if (s->options.legend)
                (void) printf("%zu reference point%s of %s.\n", count, count == 1 ? "" : "s", name);
}

static void print_points_json(Session *s, SnapshotInfo *const *list, size_t count) {
        _cleanup_json_ JsonWriter json = {.pretty = s->options.json == JSON_MODE_PRETTY};

        json_begin(&json, NULL, '[');
        for (size_t i = 0; i < count; i++)
                snapshot_info_point_to_json(list[i], &json);
        json_end(&json, ']');
        json_flush(&json);
}

static void print_points(
                Session *s, const ObjectRef *machine, SnapshotInfo *const *list, size_t count) {
        if (s->options.json == JSON_MODE_OFF)
                print_points_table(s, machine, list, count);
        else
                print_points_json(s, list, count);
}

static void print_snapshots(Session *s,
                const Inventory *inventory,
                const ObjectRef *machine,
                SnapshotInfo *const *list,
                size_t count) {
        if (s->options.json == JSON_MODE_OFF)
                print_tree(s, inventory, machine, list, count);
        else
                print_json(s, list, count);
}

ExitCode cmd_snapshots(Session *s, const char *verb, char **arguments) {
        bool points = strcmp(verb, "points") == 0;
        _cleanup_(object_ref_clear) ObjectRef machine = {0};
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_free_ SnapshotInfo **list = NULL;
        size_t count = 0;
        ExitCode code = machine_ref_resolve(&machine, s, arguments[0]);

        if (code == EXIT_CODE_OK)
                code = inventory_load(&inventory, s);
        if (code != EXIT_CODE_OK)
                return code;
        list = points ? inventory_points_of(&inventory, machine.path, &count)
                      : inventory_snapshots_of(&inventory, machine.path, &count);
        if (points)
                print_points(s, &machine, list, count);
        else
                print_snapshots(s, &inventory, &machine, list, count);
        return EXIT_CODE_OK;
}
