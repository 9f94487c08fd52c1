/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who works on what: the unfinished tasks of each object, and which of them holds it. This table is
 * all there is of locking. Loop. */

#include "jobs/task.h"

typedef struct ReservationTable ReservationTable;

ReservationTable *reservation_table_new(void);
ReservationTable *reservation_table_free(ReservationTable *table);

/* An unfinished task of an object comes and goes; whoever holds it lets go with that. A task that
 * force took the object from, and that still works on it, holds it again then. */
void reservation_enter(ReservationTable *table, Task *task);
void reservation_leave(ReservationTable *table, Task *task);

/* The object is this task's, which has entered, whoever held it before. */
void reservation_hold(ReservationTable *table, Task *task);

/* The task that holds the object now, or NULL. */
Task *reservation_holder(ReservationTable *table, const char *object);

/* Unfinished tasks of the object in the order of their coming; NULL for none. Borrowed. */
const GPtrArray *reservation_tasks(ReservationTable *table, const char *object);

/* The first that waits for an object that nobody holds; NULL if there is none, or it is held. */
Task *reservation_next(ReservationTable *table, const char *object);
