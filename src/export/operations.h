/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations of this room. */

#include "jobs/operation.h"

extern const Operation operation_export_machine;
extern const Operation operation_export_point;
extern const Operation operation_export_snapshot;
extern const Operation operation_import_machine;
