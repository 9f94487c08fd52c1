/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations of this room. */

#include "jobs/operation.h"

extern const Operation operation_create_dynamic;
extern const Operation operation_create_fixed;
extern const Operation operation_create_differencing;
extern const Operation operation_disk_convert;
extern const Operation operation_disk_merge_to;
