/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* "try: alpine", for a name that does not exist. Pure. */

#include <stddef.h>

/* Number of edits between two words, without regard to case; at most @limit + 1. */
size_t suggest_distance(const char *a, const char *b, size_t limit);

/* Those of @names that are near to @argument, the nearest first; if none is, the first ones, with
 * "..." for the rest. */
char *suggest_names(const char *argument, const char *const *names, size_t count);
