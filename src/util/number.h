/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Numbers in text that is not ours to trust. */

#include <stdbool.h>
#include <stdint.h>

/* Reads a decimal number and nothing but that: no sign, no space, nothing after it. False, and *ret
 * untouched, if it is anything else or not from "minimum" to "maximum". Any thread. */
bool number_parse(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret);

/* Reads how far qemu-img is from a line of its progress, "    (12.34/100%)". False if it is none.
 * Any thread. */
bool number_parse_percent(const char *line, double *ret);
