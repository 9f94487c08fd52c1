/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "pool"

#include "house.h"

#define MANY 100

/* Work that waits at a gate. */
typedef struct Item {
        PoolWork work;
        Gate gate;
        bool begun, done;
        GThread *worker;
} Item;

static GString *order; /* of the beginnings: "0 1 2 " */
static Item items[MANY];

static void on_begun(void *data) {
        Item *item = data;

        item->begun = true;
        g_string_append_printf(order, "%d ", (int) (item - items));
}

static void on_run(void *data) {
        Item *item = data;

        item->worker = g_thread_self();
        pthread_mutex_lock(&item->gate.lock);
        while (!item->gate.open)
                pthread_cond_wait(&item->gate.changed, &item->gate.lock);
        pthread_mutex_unlock(&item->gate.lock);
}

static void on_done(void *data) {
        ((Item *) data)->done = true;
}

static void setup(void) {
        for (unsigned i = 0; i < MANY; i++)
                items[i] = (Item){
                                .work = {.begun = on_begun,
                                                .run = on_run,
                                                .done = on_done,
                                                .data = &items[i]},
                                .gate = GATE_INIT,
                };
        order = g_string_new(NULL);
}

static void submit(Lane lane, unsigned n) {
        pool_submit(house.pool, lane, &items[n].work);
}

static void complete(unsigned n) {
        gate_open(&items[n].gate);
        drive_until(house.event, items[n].done);
}

static void teardown(void) {
        drive_until(house.event, !pool_is_busy(house.pool));
        g_string_free(order, TRUE);
}

static void work_is_done_elsewhere_and_comes_home(void) {
        setup();
        submit(LANE_LONG, 0);
        g_assert_true(items[0].begun);
        g_assert_false(items[0].done);
        g_assert_true(pool_is_busy(house.pool));
        complete(0);
        g_assert_true(items[0].worker != g_thread_self());
        g_assert_false(pool_is_busy(house.pool));
        teardown();
}

static void a_full_lane_begins_the_next_in_order(void) {
        setup();
        for (unsigned i = 0; i < LONG_THREADS + 3; i++)
                submit(LANE_LONG, i);
        g_assert_cmpstr(order->str, ==, "0 1 ");
        complete(1);
        g_assert_cmpstr(order->str, ==, "0 1 2 ");
        complete(0);
        complete(2);
        complete(3);
        g_assert_cmpstr(order->str, ==, "0 1 2 3 4 ");
        complete(4);
        teardown();
}

static void a_full_long_lane_does_not_hold_up_the_others(void) {
        setup();
        for (unsigned i = 0; i < LONG_THREADS + 1; i++)
                submit(LANE_LONG, i);
        submit(LANE_SHORT, 10);
        submit(LANE_URGENT, 11);
        submit(LANE_QUERY, 12);
        complete(10);
        complete(11);
        complete(12);
        g_assert_false(items[0].done || items[1].done || items[2].begun);
        for (unsigned i = 0; i < LONG_THREADS + 1; i++)
                complete(i);
        teardown();
}

static void what_waits_can_be_withdrawn_from_anywhere(void) {
        setup();
        for (unsigned i = 0; i < LONG_THREADS + 5; i++)
                submit(LANE_LONG, i);
        g_assert_true(pool_withdraw(house.pool, &items[2].work)); /* the first that waits */
        g_assert_true(pool_withdraw(house.pool, &items[4].work));
        g_assert_true(pool_withdraw(house.pool, &items[6].work)); /* the last */
        g_assert_false(pool_withdraw(house.pool, &items[4].work));
        submit(LANE_LONG, 7);
        for (unsigned i = 0; i < 8; i++)
                gate_open(&items[i].gate);
        drive_until(house.event, items[7].done);
        g_assert_cmpstr(order->str, ==, "0 1 3 5 7 ");
        g_assert_false(items[2].done || items[4].done || items[6].done);
        teardown();
}

static void a_lane_goes_on_when_all_that_waited_is_withdrawn(void) {
        setup();
        for (unsigned i = 0; i < LONG_THREADS + 1; i++)
                submit(LANE_LONG, i);
        g_assert_true(pool_withdraw(house.pool, &items[LONG_THREADS].work));
        submit(LANE_LONG, 5);
        for (unsigned i = 0; i < 6; i++)
                gate_open(&items[i].gate);
        drive_until(house.event, items[5].done);
        teardown();
}

static void what_has_begun_can_not_be_withdrawn(void) {
        setup();
        submit(LANE_LONG, 0);
        g_assert_false(pool_withdraw(house.pool, &items[0].work));
        complete(0);
        teardown();
}

static void begun_may_be_left_out(void) {
        setup();
        items[0].work.begun = NULL;
        submit(LANE_QUERY, 0);
        complete(0);
        teardown();
}

static void resubmit(void *data) {
        Item *item = data;

        item->work.done = on_done;
        pool_submit(house.pool, LANE_SHORT, &item->work);
}

static void what_came_home_may_go_again(void) {
        setup();
        items[0].work.done = resubmit;
        submit(LANE_SHORT, 0);
        gate_open(&items[0].gate);
        drive_until(house.event, items[0].done);
        g_assert_cmpstr(order->str, ==, "0 0 ");
        teardown();
}

static bool all_done(void) {
        for (unsigned i = 0; i < MANY; i++)
                if (!items[i].done)
                        return false;
        return true;
}

static void much_work_is_done(void) {
        setup();
        for (unsigned i = 0; i < MANY; i++) {
                items[i].gate.open = true;
                submit((Lane) (i % LANE_COUNT), i);
        }
        drive_until(house.event, all_done());
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        house_build();
        ADD(work_is_done_elsewhere_and_comes_home);
        ADD(a_full_lane_begins_the_next_in_order);
        ADD(a_full_long_lane_does_not_hold_up_the_others);
        ADD(what_waits_can_be_withdrawn_from_anywhere);
        ADD(a_lane_goes_on_when_all_that_waited_is_withdrawn);
        ADD(what_has_begun_can_not_be_withdrawn);
        ADD(begun_may_be_left_out);
        ADD(what_came_home_may_go_again);
        ADD(much_work_is_done);
        return g_test_run();
}
