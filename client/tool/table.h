/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Aligned columns for people. */

#include <stdbool.h>

#include "common.h"

typedef struct Table Table;

typedef enum TableAlign { TABLE_ALIGN_LEFT, TABLE_ALIGN_RIGHT } TableAlign;

Table *table_new(size_t n_columns);
Table *table_free(Table *table);
static inline void table_freep(Table **table) {
        (void) table_free(*table);
}

void table_set_header(Table *table, size_t column, const char *title, TableAlign align);

/* Cells of a row from left to right; a row ends when it is full. The text is escaped. @color is an
 * SGR number, 0 for none. */
void table_add(Table *table, const char *text);
void table_add_colored(Table *table, const char *text, unsigned color);

/* Prints to standard output. @width is the room (0: as wide as needed): too long cells of the
 * widest column are cut. */
void table_print(Table *table, bool header, bool color, size_t width);
