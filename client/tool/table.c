/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A table is filled cell by cell, measured, and printed with two spaces between columns. Cells are
 * escaped when they are added, so nothing that a machine is named can break the frame. */

#include <stdio.h>

#include "buffer.h"
#include "table.h"
#include "text.h"

#define COLUMN_GAP    2
#define CUT_WIDTH_MIN 8

typedef struct Cell {
        char *text;
        unsigned color;
} Cell;

typedef struct Column {
        const char *title;
        TableAlign align;
        size_t width;
} Column;

struct Table {
        size_t n_columns;
        Column *columns;
        Cell *cells;
        size_t n_cells;
};

Table *table_new(size_t n_columns) {
        Table *table = xcalloc(1, sizeof(*table));

        table->n_columns = n_columns;
        table->columns = xcalloc(n_columns, sizeof(*table->columns));
        return table;
}

Table *table_free(Table *table) {
        if (!table)
                return NULL;
        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i].text);
        free(table->cells);
        free(table->columns);
        free(table);
        return NULL;
}

void table_set_header(Table *table, size_t column, const char *title, TableAlign align) {
        table->columns[column].title = title;
        table->columns[column].align = align;
}

void table_add_colored(Table *table, const char *text, unsigned color) {
        table->cells = array_grow(table->cells, table->n_cells, sizeof(*table->cells));
        table->cells[table->n_cells++] = (Cell){text_escape(text ? text : ""), color};
}

void table_add(Table *table, const char *text) {
        table_add_colored(table, text, 0);
}

static void measure(Table *table, bool header) {
        for (size_t i = 0; i < table->n_columns; i++)
                table->columns[i].width = header ? text_width(table->columns[i].title) : 0;
        for (size_t i = 0; i < table->n_cells; i++) {
                Column *column = table->columns + i % table->n_columns;
                size_t width = text_width(table->cells[i].text);

                if (width > column->width)
                        column->width = width;
        }
}

/* Takes what is too much from the widest column, again and again while another one is wider then.
 */
static void fit(Table *table, size_t room) {
        for (;;) {
                Column *widest = table->columns;
                size_t total = COLUMN_GAP * (table->n_columns - 1);

                for (size_t i = 0; i < table->n_columns; i++) {
                        total += table->columns[i].width;
                        if (table->columns[i].width > widest->width)
                                widest = table->columns + i;
                }
                if (total <= room || widest->width <= CUT_WIDTH_MIN)
                        return;
                widest->width--;
        }
}

static void add_cell(Buffer *b, const Column *column, const char *text, unsigned color, bool last) {
        _cleanup_free_ char *cut = text_ellipsize(text, column->width);
        size_t padding = column->width - text_width(cut);

        if (column->align == TABLE_ALIGN_RIGHT)
                buffer_add_repeat(b, " ", padding);
        if (color > 0)
                buffer_add_format(b, "\033[%um%s\033[0m", color, cut);
        else
                buffer_add(b, cut);
        if (column->align == TABLE_ALIGN_LEFT && !last)
                buffer_add_repeat(b, " ", padding);
        buffer_add(b, last ? "\n" : "  ");
}

void table_print(Table *table, bool header, bool color, size_t width) {
        _cleanup_buffer_ Buffer b = {0};

        measure(table, header);
        if (width > 0)
                fit(table, width);
        for (size_t i = 0; header && i < table->n_columns; i++)
                add_cell(&b, table->columns + i, table->columns[i].title, 0,
                                i + 1 == table->n_columns);
        for (size_t i = 0; i < table->n_cells; i++) {
                size_t column = i % table->n_columns;

                add_cell(&b, table->columns + column, table->cells[i].text,
                                color ? table->cells[i].color : 0, column + 1 == table->n_columns);
        }
        (void) fwrite(buffer_text(&b), 1, b.length, stdout);
}
