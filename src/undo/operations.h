/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations of this room, for the table in src/service/operations.c. */

#include "jobs/operation.h"

extern const Operation operation_set_undoable;
extern const Operation operation_set_undo_action;
extern const Operation operation_discard_undo_disks;
extern const Operation operation_merge_undo_disks;

/* The daemon's own: nobody calls it. */
extern const Operation operation_apply_undo_action;
