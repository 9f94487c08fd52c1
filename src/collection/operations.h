/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations of this room, for the table in src/service/operations.c. */

#include "jobs/operation.h"

extern const Operation operation_collection_add_member;
extern const Operation operation_collection_define;
extern const Operation operation_collection_destroy;
extern const Operation operation_collection_point;
extern const Operation operation_collection_remove_member;
extern const Operation operation_collection_rename;
extern const Operation operation_collection_snapshot;
extern const Operation operation_group_apply;
extern const Operation operation_group_convert;
extern const Operation operation_group_destroy;
extern const Operation operation_group_export;
extern const Operation operation_group_rename;
extern const Operation operation_point_group_destroy;
extern const Operation operation_point_group_export;
extern const Operation operation_point_group_remove_data;
