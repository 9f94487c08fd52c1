/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An object is here as long as it has an unfinished task. After a take-over by force there may be
 * tasks that neither hold the object nor wait for it: they are cancelled and on their way home. */

#include "jobs/reservation.h"

typedef struct Reservation {
        Task *holder;     /* NULL: only tasks that wait, or are on their way home */
        GPtrArray *tasks; /* not owned */
} Reservation;

struct ReservationTable {
        GHashTable *objects; /* path -> Reservation, owned */
};

static void reservation_free(void *data) {
        Reservation *reservation = data;

        g_ptr_array_unref(reservation->tasks);
        g_free(reservation);
}

static Reservation *find(ReservationTable *table, const char *object) {
        return g_hash_table_lookup(table->objects, object);
}

ReservationTable *reservation_table_new(void) {
        ReservationTable *table = g_new0(ReservationTable, 1);

        table->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, reservation_free);
        return table;
}

ReservationTable *reservation_table_free(ReservationTable *table) {
        if (!table)
                return NULL;
        g_hash_table_destroy(table->objects);
        g_free(table);
        return NULL;
}

void reservation_enter(ReservationTable *table, Task *task) {
        Reservation *reservation = find(table, task->object);

        if (!reservation) {
                reservation = g_new0(Reservation, 1);
                reservation->tasks = g_ptr_array_new();
                g_hash_table_insert(table->objects, g_strdup(task->object), reservation);
        }
        g_ptr_array_add(reservation->tasks, task);
}

/* Force takes the object also from a task that can't be cancelled any more. That one gets it back:
 * what it does can not be done beside others. One that is cancelled may never come home, and a
 * stuck task must not lock its machine. */
static Task *find_working(const Reservation *reservation) {
        for (unsigned i = 0; i < reservation->tasks->len; i++) {
                Task *task = reservation->tasks->pdata[i];

                if (!(task->operation->flags & OPERATION_SHARED) &&
                                (task->state == TASK_QUEUED || task->state == TASK_RUNNING))
                        return task;
        }
        return NULL;
}

void reservation_leave(ReservationTable *table, Task *task) {
        Reservation *reservation = find(table, task->object);

        g_ptr_array_remove(reservation->tasks, task);
        if (reservation->holder == task)
                reservation->holder = find_working(reservation);
        if (reservation->tasks->len == 0)
                g_hash_table_remove(table->objects, task->object);
}

void reservation_hold(ReservationTable *table, Task *task) {
        find(table, task->object)->holder = task;
}

Task *reservation_holder(ReservationTable *table, const char *object) {
        const Reservation *reservation = find(table, object);

        return reservation ? reservation->holder : NULL;
}

const GPtrArray *reservation_tasks(ReservationTable *table, const char *object) {
        const Reservation *reservation = find(table, object);

        return reservation ? reservation->tasks : NULL;
}

Task *reservation_next(ReservationTable *table, const char *object) {
        const Reservation *reservation = find(table, object);

        if (!reservation || reservation->holder)
                return NULL;
        for (unsigned i = 0; i < reservation->tasks->len; i++) {
                Task *task = reservation->tasks->pdata[i];

                if (task->state == TASK_WAITING)
                        return task;
        }
        return NULL;
}
