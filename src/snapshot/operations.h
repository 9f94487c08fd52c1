/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations of this room, for the table in src/service/operations.c. */

#include "jobs/operation.h"

extern const Operation operation_reference_point_create;
extern const Operation operation_reference_point_destroy;
extern const Operation operation_reference_point_remove_data;
extern const Operation operation_snapshot_apply;
extern const Operation operation_snapshot_clear_state;
extern const Operation operation_snapshot_convert;
extern const Operation operation_snapshot_create;
extern const Operation operation_snapshot_destroy;
extern const Operation operation_snapshot_destroy_tree;
extern const Operation operation_snapshot_rename;
