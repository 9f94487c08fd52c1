/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "task-list"

#include <string.h>
#include <unistd.h>

#include "house.h"

#define GATES         5
#define KEPT_PER_USER 64

static char *directory;
static Gate gates[GATES];

static void setup_with(const TaskLimits *limits) {
        directory = test_directory_new();
        for (unsigned i = 0; i < GATES; i++)
                gates[i] = (Gate) GATE_INIT;
        house_open(directory, limits);
}

static void setup(void) {
        setup_with(NULL);
}

static void teardown(void) {
        for (unsigned i = 0; i < GATES; i++)
                gate_open(&gates[i]);
        house_close();
        test_directory_clear(&directory);
}

/* Tasks */

static Task *start_at(unsigned gate, const char *object) {
        g_autoptr(GError) error = NULL;
        Task *task = house_start(
                        &test_operation, object, (TestRequest){.gate = &gates[gate]}, &error);

        g_assert_no_error(error);
        return task;
}

static Task *queue_at(unsigned gate, const char *object) {
        g_autoptr(GError) error = NULL;
        Task *task = house_start(&test_operation, object,
                        (TestRequest){.common = {.queue = true}, .gate = &gates[gate]}, &error);

        g_assert_no_error(error);
        return task;
}

/* A task that has ended; each has an object of its own. */
static Task *finished(void) {
        static unsigned last;
        g_autofree char *object = g_strdup_printf("/object/%u", ++last);
        Task *task = house_start(&test_operation, object, (TestRequest){.number = 0}, NULL);

        house_finish(task);
        return task;
}

static bool cancel(Task *task) {
        return task_list_cancel(house.tasks, task, false, NULL);
}

static int code_of_cancel(Task *task) {
        g_autoptr(GError) error = NULL;

        return task_list_cancel(house.tasks, task, false, &error) ? 0 : error->code;
}

/* Life */

static void a_task_runs_and_ends(void) {
        Task *task;

        setup();
        task = start_at(0, OBJECT);
        g_assert_cmpuint(task->id, ==, 1);
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        g_assert_true(task_list_find(house.tasks, 1) == task);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == task);
        g_assert_cmpuint(task_list_unfinished(house.tasks), ==, 1);
        gate_open(&gates[0]);
        house_finish(task);
        g_assert_cmpint(task->state, ==, TASK_SUCCEEDED);
        g_assert_cmpstr(g_hash_table_lookup(task->results, "Answer"), ==, "42");
        g_assert_null(task_list_holder(house.tasks, OBJECT));
        g_assert_null(task_list_of_object(house.tasks, OBJECT));
        g_assert_cmpuint(task_list_unfinished(house.tasks), ==, 0);
        g_assert_true(task_list_find(house.tasks, 1) == task);
        teardown();
}

static void the_machine_is_told_before_the_end_is(void) {
        Task *task;

        setup();
        task = start_at(0, OBJECT);
        gate_open(&gates[0]);
        house_finish(task);
        g_assert_cmpstr(house.log->str, ==, "changed reserved settled 1 completed 1 ");
        teardown();
}

static void a_failure_is_the_error_of_the_task(void) {
        Task *task;

        setup();
        task = house_start(&test_operation, OBJECT, (TestRequest){.error = VIRTASK_ERROR_DISK_FULL},
                        NULL);
        house_finish(task);
        g_assert_cmpint(task->state, ==, TASK_FAILED);
        g_assert_true(g_error_matches(task->error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL));
        teardown();
}

static void what_a_job_says_is_shown(void) {
        Task *task;

        setup();
        task = start_at(0, OBJECT);
        drive_until(house.event, g_str_equal(task_status_text(task), "at the gate"));
        teardown();
}

static void tasks_are_listed_by_number(void) {
        GList *all;

        setup();
        for (int i = 0; i < 20; i++)
                (void) finished();
        all = task_list_all(house.tasks);
        g_assert_cmpuint(g_list_length(all), ==, 20);
        for (GList *link = all; link->next; link = link->next)
                g_assert_cmpuint(((Task *) link->data)->id, <, ((Task *) link->next->data)->id);
        g_list_free(all);
        teardown();
}

static void a_full_lane_queues(void) {
        Task *last;

        setup();
        for (unsigned i = 0; i < LONG_THREADS; i++) {
                g_autofree char *object = g_strdup_printf("/object/%u", i);

                (void) start_at(i, object);
        }
        last = start_at(LONG_THREADS, OBJECT);
        g_assert_cmpint(last->state, ==, TASK_QUEUED);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == last);
        gate_open(&gates[0]);
        drive_until(house.event, last->state == TASK_RUNNING);
        teardown();
}

/* Reservations */

static void a_held_object_is_in_use_and_the_text_names_the_task(void) {
        g_autoptr(GError) error = NULL;
        Task *holder;

        setup();
        holder = start_at(0, OBJECT);
        g_assert_null(house_start(&test_operation, OBJECT, (TestRequest){.number = 0}, &error));
        g_assert_nonnull(strstr(error->message, holder->path));
        g_assert_nonnull(strstr(error->message, "Task 1 (test)"));
        assert_error(error, IN_USE);
        g_assert_cmpuint(task_list_unfinished(house.tasks), ==, 1);
        (void) start_at(1, OTHER_OBJECT);
        teardown();
}

static void an_immediate_operation_holds_too(void) {
        g_autoptr(GError) error = NULL;

        setup();
        (void) house_start(
                        &test_immediate_operation, OBJECT, (TestRequest){.gate = &gates[0]}, NULL);
        g_assert_null(house_start(&test_operation, OBJECT, (TestRequest){.number = 0}, &error));
        g_assert_nonnull(strstr(error->message, "Testing is in progress"));
        assert_error(error, IN_USE);
        gate_open(&gates[0]);
        drive_until(house.event, task_list_unfinished(house.tasks) == 0);
        g_assert_cmpstr(house.log->str, ==, "reserved settled 0 ");
        teardown();
}

static Task *share(unsigned gate) {
        Task *task = house_start(
                        &test_shared_operation, OBJECT, (TestRequest){.gate = &gates[gate]}, NULL);

        g_assert_nonnull(task);
        gate_wait_reached(&gates[gate]);
        return task;
}

static void a_shared_operation_works_beside_others(void) {
        Task *holder, *one, *other;

        setup();
        one = share(0);
        g_assert_null(task_list_holder(house.tasks, OBJECT));
        other = share(1); /* both threads work */
        gate_open(&gates[0]);
        house_finish(one);
        holder = start_at(2, OBJECT);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == holder);
        gate_open(&gates[2]);
        house_finish(holder);
        g_assert_null(task_list_holder(house.tasks, OBJECT));
        g_assert_true(task_list_cancel(house.tasks, other, false, NULL));
        house_finish(other);
        teardown();
}

static void an_object_is_free_again_after_a_failure(void) {
        Task *first, *second;

        setup();
        first = house_start(&test_operation, OBJECT, (TestRequest){.error = VIRTASK_ERROR_FAILED},
                        NULL);
        house_finish(first);
        second = start_at(0, OBJECT);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == second);
        teardown();
}

static void tasks_in_line_start_in_their_order(void) {
        Task *tasks[3];

        setup();
        tasks[0] = start_at(0, OBJECT);
        tasks[1] = queue_at(1, OBJECT);
        tasks[2] = queue_at(2, OBJECT);
        g_assert_cmpint(tasks[1]->state, ==, TASK_WAITING);
        g_assert_cmpint(tasks[2]->state, ==, TASK_WAITING);
        g_assert_cmpuint(task_list_of_object(house.tasks, OBJECT)->len, ==, 3);
        gate_open(&gates[0]);
        drive_until(house.event, tasks[1]->state == TASK_RUNNING);
        g_assert_true(task_is_complete(tasks[0]));
        g_assert_cmpint(tasks[2]->state, ==, TASK_WAITING);
        gate_open(&gates[1]);
        drive_until(house.event, tasks[2]->state == TASK_RUNNING);
        teardown();
}

static void queue_on_a_free_object_starts_at_once(void) {
        Task *task;

        setup();
        task = queue_at(0, OBJECT);
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        teardown();
}

static void a_task_in_line_may_find_that_it_is_not_allowed_any_more(void) {
        Task *first, *second, *third;

        setup();
        first = start_at(0, OBJECT);
        second = queue_at(1, OBJECT);
        third = queue_at(2, OBJECT);
        house.refuse = true;
        gate_open(&gates[0]);
        house_finish(third);
        g_assert_cmpint(first->state, ==, TASK_SUCCEEDED);
        g_assert_true(g_error_matches(second->error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_RUNNING));
        g_assert_true(g_error_matches(third->error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_RUNNING));
        g_assert_null(task_list_of_object(house.tasks, OBJECT));
        teardown();
}

static Task *force(void) {
        g_autoptr(GError) error = NULL;
        Task *task = house_start(&test_operation, OBJECT,
                        (TestRequest){.common = {.force = true}, .gate = &gates[4]}, &error);

        g_assert_no_error(error);
        return task;
}

static void force_kills_the_holder_and_takes_over(void) {
        Task *holder, *forced;

        setup();
        gates[0].stubborn = true;
        holder = start_at(0, OBJECT);
        gate_wait_reached(&gates[0]);
        forced = force();
        g_assert_true(task_list_holder(house.tasks, OBJECT) == forced);
        g_assert_cmpint(forced->state, ==, TASK_RUNNING);
        g_assert_cmpint(holder->state, ==, TASK_CANCELLING);
        gate_open(&gates[4]);
        house_finish(forced);
        /* The other is still away. */
        g_assert_cmpint(holder->state, ==, TASK_CANCELLING);
        g_assert_null(task_list_holder(house.tasks, OBJECT));
        g_assert_cmpuint(task_list_of_object(house.tasks, OBJECT)->len, ==, 1);
        g_assert_false(job_is_disowned(holder->job));
        gate_open(&gates[0]);
        house_finish(holder);
        g_assert_null(task_list_of_object(house.tasks, OBJECT));
        teardown();
}

static void who_comes_home_late_finds_the_object_in_other_hands(void) {
        Task *holder, *forced, *third;

        setup();
        gates[0].stubborn = true;
        holder = start_at(0, OBJECT);
        gate_wait_reached(&gates[0]);
        forced = force();
        gate_open(&gates[4]);
        house_finish(forced);
        third = start_at(1, OBJECT);
        g_assert_true(job_is_disowned(holder->job));
        g_assert_false(job_is_disowned(third->job));
        g_assert_true(task_list_holder(house.tasks, OBJECT) == third);
        gate_open(&gates[0]);
        house_finish(holder);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == third);
        teardown();
}

static void force_finds_a_thread_when_the_lane_is_full(void) {
        Task *forced;

        setup();
        for (unsigned i = 0; i < LONG_THREADS; i++) {
                g_autofree char *object = i == 0 ? g_strdup(OBJECT) : g_strdup("/other");

                gates[i].stubborn = true;
                (void) start_at(i, object);
        }
        forced = force();
        gate_open(&gates[4]);
        house_finish(forced);
        teardown();
}

static void force_over_a_holder_that_has_not_begun_starts_once(void) {
        Task *holder, *forced;

        setup();
        for (unsigned i = 0; i < LONG_THREADS; i++) {
                g_autofree char *object = g_strdup_printf("/other/%u", i);

                (void) start_at(i, object);
        }
        holder = start_at(3, OBJECT);
        g_assert_cmpint(holder->state, ==, TASK_QUEUED);
        house.refuse = true; /* nobody is to be asked: it does not wait in line */
        forced = force();
        g_assert_cmpint(holder->state, ==, TASK_CANCELLED);
        g_assert_cmpint(forced->state, ==, TASK_RUNNING);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == forced);
        gate_open(&gates[4]);
        house_finish(forced);
        g_assert_cmpint(forced->state, ==, TASK_SUCCEEDED);
        teardown();
}

static void force_does_not_start_who_is_in_line(void) {
        Task *waiting, *forced;

        setup();
        (void) start_at(0, OBJECT);
        waiting = queue_at(1, OBJECT);
        forced = force();
        drive_until(house.event, task_list_of_object(house.tasks, OBJECT)->len == 2);
        g_assert_cmpint(waiting->state, ==, TASK_WAITING);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == forced);
        gate_open(&gates[4]);
        drive_until(house.event, waiting->state == TASK_RUNNING);
        teardown();
}

/* Cancel */

static void a_running_task_ends_when_it_has_come_home(void) {
        Task *task;

        setup();
        task = start_at(0, OBJECT);
        g_assert_true(cancel(task));
        g_assert_cmpint(task->state, ==, TASK_CANCELLING);
        house_finish(task);
        g_assert_cmpint(task->state, ==, TASK_CANCELLED);
        g_assert_cmpuint(gate_cancels(&gates[0]), >=, 1);
        teardown();
}

static void to_cancel_again_is_fine(void) {
        Task *task;

        setup();
        gates[0].stubborn = true;
        task = start_at(0, OBJECT);
        g_assert_true(cancel(task));
        g_assert_true(cancel(task));
        /* A kill after a cancel stays a cancel. */
        g_assert_true(task_list_cancel(house.tasks, task, true, NULL));
        g_assert_false(task->killed);
        teardown();
}

static void a_finished_task_is_complete_already(void) {
        Task *task;

        setup();
        task = finished();
        g_assert_cmpint(code_of_cancel(task), ==, VIRTASK_ERROR_ALREADY_COMPLETE);
        teardown();
}

static void cancel_after_commit_is_refused(void) {
        Task *task;

        setup();
        task = house_start(&test_operation, OBJECT,
                        (TestRequest){.gate = &gates[0], .commit = true}, NULL);
        drive_until(house.event, g_str_equal(task_status_text(task), "at the gate"));
        g_assert_true(task->committed);
        g_assert_cmpint(code_of_cancel(task), ==, VIRTASK_ERROR_NOT_CANCELABLE);
        gate_open(&gates[0]);
        house_finish(task);
        g_assert_cmpint(task->state, ==, TASK_SUCCEEDED);
        teardown();
}

/* The worker commits, and the loop has not heard of it. */
static void a_commit_that_is_still_on_its_way_counts(void) {
        Task *task;

        setup();
        task = start_at(0, OBJECT);
        g_assert_true(job_commit(task->job));
        g_assert_false(task->committed);
        g_assert_cmpint(code_of_cancel(task), ==, VIRTASK_ERROR_NOT_CANCELABLE);
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        teardown();
}

static void an_operation_that_can_not_be_cancelled_is_not(void) {
        Task *task;

        setup();
        task = house_start(&test_stiff_operation, OBJECT, (TestRequest){.gate = &gates[0]}, NULL);
        g_assert_cmpint(code_of_cancel(task), ==, VIRTASK_ERROR_NOT_CANCELABLE);
        teardown();
}

static void a_queued_task_is_cancelled_at_once(void) {
        Task *task;

        setup();
        (void) start_at(0, "/a");
        (void) start_at(1, "/b");
        task = house_start(&test_stiff_operation, OBJECT, (TestRequest){.gate = &gates[2]}, NULL);
        g_assert_cmpint(task->state, ==, TASK_QUEUED);
        g_assert_true(cancel(task));
        g_assert_cmpint(task->state, ==, TASK_CANCELLED);
        g_assert_null(task_list_holder(house.tasks, OBJECT));
        g_assert_cmpint(task->started, ==, 0);
        teardown();
}

static void a_task_in_line_is_cancelled_at_once(void) {
        Task *first, *second, *third;

        setup();
        first = start_at(0, OBJECT);
        second = queue_at(1, OBJECT);
        third = queue_at(2, OBJECT);
        g_assert_true(cancel(second));
        g_assert_cmpint(second->state, ==, TASK_CANCELLED);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == first);
        gate_open(&gates[0]);
        drive_until(house.event, third->state == TASK_RUNNING);
        teardown();
}

static void a_kill_is_remembered(void) {
        Task *task;

        setup();
        task = start_at(0, OBJECT);
        g_assert_true(task_list_cancel(house.tasks, task, true, NULL));
        house_finish(task);
        g_assert_cmpuint(task_job_state(task), ==, 9);
        teardown();
}

/* Remembering */

static void a_finished_task_can_be_removed(void) {
        Task *task;

        setup();
        task = finished();
        g_string_truncate(house.log, 0);
        g_assert_true(task_list_remove(house.tasks, task, NULL));
        g_assert_null(task_list_find(house.tasks, 1));
        g_assert_cmpstr(house.log->str, ==, "changed ");
        teardown();
}

static void an_unfinished_task_can_not_be_removed(void) {
        g_autoptr(GError) error = NULL;
        Task *task;

        setup();
        task = start_at(0, OBJECT);
        g_assert_false(task_list_remove(house.tasks, task, &error));
        assert_error(error, IN_USE);
        teardown();
}

static void the_oldest_are_forgotten_first(void) {
        const TaskLimits limits = {100, 100, 3, 600 * G_USEC_PER_SEC, 16, 1000};

        setup_with(&limits);
        for (int i = 0; i < 5; i++)
                (void) finished();
        g_assert_null(task_list_find(house.tasks, 1));
        g_assert_null(task_list_find(house.tasks, 2));
        g_assert_nonnull(task_list_find(house.tasks, 3));
        g_assert_nonnull(task_list_find(house.tasks, 5));
        teardown();
}

static void a_kept_task_outlives_the_count(void) {
        const TaskLimits limits = {100, 100, 3, 600 * G_USEC_PER_SEC, 16, 1000};

        setup_with(&limits);
        g_assert_true(task_list_keep(house.tasks, finished(), true, NULL));
        for (int i = 0; i < 5; i++)
                (void) finished();
        g_assert_nonnull(task_list_find(house.tasks, 1));
        g_assert_null(task_list_find(house.tasks, 2));
        teardown();
}

static void a_task_is_forgotten_after_its_time(void) {
        const TaskLimits limits = {100, 100, 100, 1000, 16, 1000};

        setup_with(&limits);
        (void) finished();
        drive_until(house.event, !task_list_find(house.tasks, 1));
        teardown();
}

static void a_kept_task_outlives_its_time(void) {
        const TaskLimits limits = {100, 100, 100, 1000, 16, 1000};
        Task *kept;

        setup_with(&limits);
        kept = start_at(0, OBJECT);
        g_assert_true(task_list_keep(house.tasks, kept, true, NULL));
        gate_open(&gates[0]);
        house_finish(kept);
        (void) finished();
        drive_until(house.event, !task_list_find(house.tasks, 2));
        g_assert_nonnull(task_list_find(house.tasks, 1));
        /* Until it is kept no more. */
        g_assert_true(task_list_keep(house.tasks, kept, false, NULL));
        drive_until(house.event, !task_list_find(house.tasks, 1));
        teardown();
}

static void a_user_keeps_only_so_many(void) {
        g_autoptr(GError) error = NULL;
        Task *task;

        setup();
        for (unsigned i = 0; i < KEPT_PER_USER; i++)
                g_assert_true(task_list_keep(house.tasks, finished(), true, NULL));
        task = finished();
        g_assert_false(task_list_keep(house.tasks, task, true, &error));
        assert_error(error, LIMITS_EXCEEDED);
        g_assert_false(task->keep);
        g_assert_true(task_list_keep(house.tasks, task_list_find(house.tasks, 1), false, NULL));
        g_assert_true(task_list_keep(house.tasks, task, true, NULL));
        teardown();
}

/* Limits */

static bool admits(uid_t user) {
        g_autoptr(GError) error = NULL;
        bool admitted = task_list_admits(house.tasks, user, &error);

        g_assert_true(admitted ? !error
                               : g_error_matches(error, VIRTASK_ERROR,
                                                 VIRTASK_ERROR_LIMITS_EXCEEDED));
        return admitted;
}

static void add_of_user(unsigned gate, uid_t user, const char *object) {
        TestRequest request = {.common = {.queue = true}, .gate = &gates[gate]};
        const TaskSpec spec = {
                        .operation = &test_operation,
                        .object = object,
                        .owner = user,
                        .request = g_memdup2(&request, sizeof(request)),
        };

        task_list_launch(house.tasks, task_list_add(house.tasks, &spec, NULL));
}

static void each_user_has_a_limit_and_root_another(void) {
        const TaskLimits limits = {2, 3, 100, 600 * G_USEC_PER_SEC, 16, 1000};

        setup_with(&limits);
        add_of_user(0, 1000, OBJECT);
        g_assert_true(admits(1000));
        add_of_user(1, 1000, OBJECT); /* it waits, and counts */
        g_assert_false(admits(1000));
        g_assert_true(admits(1001));
        for (int i = 0; i < 3; i++) {
                g_assert_true(admits(0));
                add_of_user(2, 0, OTHER_OBJECT);
        }
        g_assert_false(admits(0));
        gate_open(&gates[0]);
        drive_until(house.event, task_list_unfinished(house.tasks) == 4);
        g_assert_true(admits(1000));
        teardown();
}

/* The end of the service */

static void a_closed_list_admits_nothing(void) {
        g_autoptr(GError) error = NULL;

        setup();
        g_assert_false(task_list_is_closed(house.tasks));
        task_list_close(house.tasks, false);
        g_assert_true(task_list_is_closed(house.tasks));
        g_assert_false(task_list_admits(house.tasks, 0, &error));
        assert_error(error, SERVICE_SHUTTING_DOWN);
        teardown();
}

static void closing_may_leave_tasks_alone(void) {
        Task *task;

        setup();
        task = start_at(0, OBJECT);
        task_list_close(house.tasks, false);
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        teardown();
}

static void closing_cancels_what_can_be_cancelled(void) {
        Task *running, *waiting, *committed;

        setup();
        running = start_at(0, OBJECT);
        waiting = queue_at(1, OBJECT);
        committed = house_start(&test_operation, OTHER_OBJECT,
                        (TestRequest){.gate = &gates[2], .commit = true}, NULL);
        drive_until(house.event, committed->committed);
        task_list_close(house.tasks, true);
        house_finish(running);
        house_finish(waiting);
        g_assert_cmpint(running->state, ==, TASK_CANCELLED);
        g_assert_cmpint(waiting->state, ==, TASK_CANCELLED);
        g_assert_cmpint(committed->state, ==, TASK_RUNNING);
        teardown();
}

/* From one daemon to the next */

/* The list of the next daemon, after this one was killed: what it has in memory is gone. */
static void restart(void) {
        char *kept = directory;

        house_close();
        directory = kept;
        house_open(directory, NULL);
        task_list_restore(house.tasks, test_operations);
}

/* A record as a daemon leaves it that is killed in the middle of a task. */
static void write_unfinished(unsigned id, const char *operation, const char *object) {
        g_autofree char *name = g_strdup_printf("tasks/%u", id);
        g_autofree char *text = g_strdup_printf(
                        "[Task]\nOperation=%s\nObject=%s\nDescription=Testing\nOwnerName=root\n"
                        "Owner=0\nSubmitted=1\nStarted=2\nMachine=\n[Request]\nNumber=4711\n",
                        operation, object);

        test_write(directory, name, text);
}

static void a_finished_task_is_remembered(void) {
        Task *task;

        setup();
        task = finished();
        g_assert_true(task_list_keep(house.tasks, task, true, NULL));
        restart();
        task = task_list_find(house.tasks, 1);
        g_assert_cmpint(task->state, ==, TASK_SUCCEEDED);
        g_assert_cmpstr(g_hash_table_lookup(task->results, "Answer"), ==, "42");
        g_assert_true(task->keep);
        g_assert_cmpuint(task_list_unfinished(house.tasks), ==, 0);
        teardown();
}

static void an_unfinished_task_is_settled_under_its_number(void) {
        Task *task;

        setup();
        write_unfinished(17, "test-settled", OBJECT);
        restart();
        task = task_list_find(house.tasks, 17);
        g_assert_true(task_list_holder(house.tasks, OBJECT) == task);
        house_finish(task);
        g_assert_cmpint(task->state, ==, TASK_SUCCEEDED);
        g_assert_cmpstr(g_hash_table_lookup(task->results, "Number"), ==, "4711");
        teardown();
}

static void what_can_not_be_settled_was_interrupted(void) {
        Task *task;

        setup();
        write_unfinished(17, "test", OBJECT);
        restart();
        task = task_list_find(house.tasks, 17);
        house_finish(task);
        g_assert_true(g_error_matches(task->error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED));
        g_assert_cmpuint(task_result(task), ==, 8);
        teardown();
}

static void who_waited_in_line_was_interrupted(void) {
        Task *first, *second;

        setup();
        write_unfinished(17, "test-settled", OBJECT);
        write_unfinished(18, "test-settled", OBJECT);
        restart();
        first = task_list_find(house.tasks, 17);
        second = task_list_find(house.tasks, 18);
        g_assert_cmpint(second->state, ==, TASK_FAILED);
        g_assert_true(g_error_matches(
                        second->error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED));
        house_finish(first);
        g_assert_cmpint(first->state, ==, TASK_SUCCEEDED);
        teardown();
}

static void a_record_that_is_not_understood_is_dropped(void) {
        g_autofree char *left = NULL;

        setup();
        write_unfinished(17, "vm-fly", OBJECT);
        write_unfinished(18, "test-settled", "no path");
        restart();
        g_assert_null(task_list_find(house.tasks, 17));
        g_assert_null(task_list_find(house.tasks, 18));
        left = test_read(directory, "tasks/17");
        g_assert_null(left);
        teardown();
}

/* The first has not begun, ends at once, and lets the second start, which is next in line. */
static void what_waited_is_not_in_the_way_of_what_ran(void) {
        Task *task;

        setup();
        test_write(directory, "tasks/5",
                        "[Task]\nOperation=test-settled\nObject=" OBJECT
                        "\nDescription=Testing\nOwnerName=root\nOwner=0\nSubmitted=1\nMachine=\n");
        write_unfinished(6, "test-settled", OBJECT);
        restart();
        task = task_list_find(house.tasks, 6);
        drive_until(house.event, task_is_complete(task));
        g_assert_cmpint(task->state, ==, TASK_SUCCEEDED);
        g_assert_cmpuint(task_list_unfinished(house.tasks), ==, 0);
        teardown();
}

static void numbers_go_on_after_a_restart(void) {
        setup();
        (void) finished();
        write_unfinished(1000, "test-settled", OBJECT);
        restart();
        g_assert_cmpuint(finished()->id, >, 1000);
        teardown();
}

static void a_removed_task_stays_away(void) {
        setup();
        g_assert_true(task_list_remove(house.tasks, finished(), NULL));
        restart();
        g_assert_null(task_list_find(house.tasks, 1));
        teardown();
}

static void what_is_too_old_is_forgotten_soon(void) {
        setup();
        (void) finished();
        test_write(directory, "tasks/7",
                        "[Task]\nOperation=test\nObject=/a\nDescription=x\nOwnerName=x\nState=4\n"
                        "Submitted=1\nFinished=1\n");
        restart();
        drive_until(house.event, !task_list_find(house.tasks, 7));
        g_assert_nonnull(task_list_find(house.tasks, 1));
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        house_build();
        ADD(a_task_runs_and_ends);
        ADD(the_machine_is_told_before_the_end_is);
        ADD(a_failure_is_the_error_of_the_task);
        ADD(what_a_job_says_is_shown);
        ADD(tasks_are_listed_by_number);
        ADD(a_full_lane_queues);
        ADD(a_held_object_is_in_use_and_the_text_names_the_task);
        ADD(an_immediate_operation_holds_too);
        ADD(a_shared_operation_works_beside_others);
        ADD(an_object_is_free_again_after_a_failure);
        ADD(tasks_in_line_start_in_their_order);
        ADD(queue_on_a_free_object_starts_at_once);
        ADD(a_task_in_line_may_find_that_it_is_not_allowed_any_more);
        ADD(force_kills_the_holder_and_takes_over);
        ADD(who_comes_home_late_finds_the_object_in_other_hands);
        ADD(force_finds_a_thread_when_the_lane_is_full);
        ADD(force_over_a_holder_that_has_not_begun_starts_once);
        ADD(force_does_not_start_who_is_in_line);
        ADD(a_running_task_ends_when_it_has_come_home);
        ADD(to_cancel_again_is_fine);
        ADD(a_finished_task_is_complete_already);
        ADD(cancel_after_commit_is_refused);
        ADD(a_commit_that_is_still_on_its_way_counts);
        ADD(an_operation_that_can_not_be_cancelled_is_not);
        ADD(a_queued_task_is_cancelled_at_once);
        ADD(a_task_in_line_is_cancelled_at_once);
        ADD(a_kill_is_remembered);
        ADD(a_finished_task_can_be_removed);
        ADD(an_unfinished_task_can_not_be_removed);
        ADD(the_oldest_are_forgotten_first);
        ADD(a_kept_task_outlives_the_count);
        ADD(a_task_is_forgotten_after_its_time);
        ADD(a_kept_task_outlives_its_time);
        ADD(a_user_keeps_only_so_many);
        ADD(each_user_has_a_limit_and_root_another);
        ADD(a_closed_list_admits_nothing);
        ADD(closing_may_leave_tasks_alone);
        ADD(closing_cancels_what_can_be_cancelled);
        ADD(a_finished_task_is_remembered);
        ADD(an_unfinished_task_is_settled_under_its_number);
        ADD(what_can_not_be_settled_was_interrupted);
        ADD(who_waited_in_line_was_interrupted);
        ADD(a_record_that_is_not_understood_is_dropped);
        ADD(what_waited_is_not_in_the_way_of_what_ran);
        ADD(numbers_go_on_after_a_restart);
        ADD(a_removed_task_stays_away);
        ADD(what_is_too_old_is_forgotten_soon);
        return g_test_run();
}
