/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* virtask-bundle, as a caller: whatever a caller has named is used by a process that has the
 * caller's rights and no others. Worker, or another thread that lasts (util/child.h). */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/child.h"

/* The first descriptor of ChildHooks.descriptors in the child. */
#define CALLER_CHILD_DESCRIPTOR 3

/* Runs the program as child_run() does, as that user with the groups that a login of his would
 * have; with our own rights for root and for ourselves. "arguments" has room for the program in
 * front; "hooks" says nothing of user and memory, and its lines are those that are no errors. The
 * error is the child's own word, unless it was stopped. ACCESS_DENIED if nothing is known of the
 * user. */
bool caller_child_run(
                uid_t caller, const char **arguments, const ChildHooks *hooks, GError **error);

/* A plan as the child's input: a descriptor, or -1. */
int caller_child_plan(JsonObject *plan, GError **error);

/* All that the child has written to a file of ours in memory, with a 0 behind it; NULL without an
 * error if that is more than "limit". */
char *caller_child_answer(int fd, uint64_t limit, size_t *ret_length);
