/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The operations of this room, for the table in src/service/operations.c. */

#include "jobs/operation.h"

extern const Operation operation_delete;
extern const Operation operation_discard_saved_state;
extern const Operation operation_pause;
extern const Operation operation_register;
extern const Operation operation_reset;
extern const Operation operation_resume;
extern const Operation operation_save;
extern const Operation operation_set_name;
extern const Operation operation_set_notes;
extern const Operation operation_startup;
extern const Operation operation_startup2;
extern const Operation operation_turn_off;
extern const Operation operation_unregister;
