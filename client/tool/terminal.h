/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Size of the terminal behind a descriptor. */

#include <stdbool.h>
#include <stddef.h>

/* @fallback if it is no terminal or does not know. */
size_t terminal_columns(int fd, size_t fallback);
size_t terminal_rows(int fd, size_t fallback);

/* The room for a table on standard output: that of the terminal; 0, as much as it needs, elsewhere
 * and with @full. */
size_t terminal_table_width(bool full);
