/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rules for names that people give (IVMVirtualMachine::Name). */

#include <glib.h>
#include <stdbool.h>

/* 1 to 80 characters, none of * ? : < > / | \ " and no control characters: NAME_EMPTY,
 * NAME_TOO_LONG, NAME_INVALID_CHAR. "name" is valid UTF-8. Any thread. */
bool name_check(const char *name, GError **error);
