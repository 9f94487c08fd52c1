/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations of this room, for the table in src/service/operations.c. */

#include "jobs/operation.h"

extern const Operation operation_guest_logoff;
extern const Operation operation_guest_restart;
extern const Operation operation_guest_shutdown;
