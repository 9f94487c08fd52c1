/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "mailbox"

#include "support.h"
#include "util/mailbox.h"

#define THREADS 4
#define LETTERS 1000

static sd_event *event;
static Mailbox *mailbox;
static GThread *loop_thread;
static unsigned delivered;
static unsigned last[THREADS];

static void setup(void) {
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        mailbox = mailbox_new(event);
        loop_thread = g_thread_self();
        delivered = 0;
}

static void teardown(void) {
        mailbox = mailbox_free(mailbox);
        event = sd_event_unref(event);
}

static void on_number(void *data) {
        unsigned number = GPOINTER_TO_UINT(data), thread = number / LETTERS;

        g_assert_true(g_thread_self() == loop_thread);
        g_assert_cmpuint(number % LETTERS, ==, last[thread]++);
        delivered++;
}

static void *post_numbers(void *data) {
        unsigned thread = GPOINTER_TO_UINT(data);

        for (unsigned i = 0; i < LETTERS; i++)
                mailbox_post(mailbox, on_number, GUINT_TO_POINTER(thread * LETTERS + i));
        return NULL;
}

static void letters_of_many_threads_arrive_on_the_loop_in_order(void) {
        GThread *threads[THREADS];

        setup();
        for (unsigned i = 0; i < THREADS; i++) {
                last[i] = 0;
                threads[i] = g_thread_new("poster", post_numbers, GUINT_TO_POINTER(i));
        }
        drive_until(event, delivered == THREADS * LETTERS);
        for (unsigned i = 0; i < THREADS; i++)
                g_thread_join(threads[i]);
        teardown();
}

static void on_first(void *data);

static void on_second(void *data) {
        delivered += 10;
}

static void on_first(void *data) {
        delivered++;
        mailbox_post(mailbox, on_second, NULL);
}

static void what_a_letter_posts_comes_with_the_next_turn(void) {
        setup();
        mailbox_post(mailbox, on_first, NULL);
        g_assert_cmpint(sd_event_run(event, 0), >, 0);
        g_assert_cmpuint(delivered, ==, 1);
        drive_until(event, delivered == 11);
        teardown();
}

static void nothing_wakes_the_loop_without_a_letter(void) {
        setup();
        mailbox_post(mailbox, on_second, NULL);
        drive_until(event, delivered == 10);
        g_assert_cmpint(sd_event_run(event, 0), ==, 0);
        teardown();
}

static void letters_that_were_not_delivered_are_dropped(void) {
        setup();
        mailbox_post(mailbox, on_second, NULL);
        mailbox_post(mailbox, on_second, NULL);
        teardown();
        g_assert_cmpuint(delivered, ==, 0);
        g_assert_null(mailbox_free(NULL));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(letters_of_many_threads_arrive_on_the_loop_in_order);
        ADD(what_a_letter_posts_comes_with_the_next_turn);
        ADD(nothing_wakes_the_loop_without_a_letter);
        ADD(letters_that_were_not_delivered_are_dropped);
        return g_test_run();
}
