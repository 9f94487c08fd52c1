/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tasks that have parts, and what may happen to either. */

#define MODULE "task-parts"

#include <string.h>
#include <unistd.h>

#include "house.h"

#define GATES 5
#define WHOLE 3 /* gates */
#define OTHER 4

static const char *const objects[] = {"/vm/a", "/vm/b", "/vm/c", NULL};
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

static Task *start_whole_of(const char *const *of, bool queue) {
        const TestRequest parts[] = {{.gate = &gates[0]}, {.gate = &gates[1]}, {.gate = &gates[2]}};
        g_autoptr(GError) error = NULL;
        Task *whole = house_start_whole(
                        (TestRequest){.common = {.queue = queue}, .gate = &gates[WHOLE]}, of, parts,
                        &error);

        g_assert_no_error(error);
        return whole;
}

static Task *start_whole(void) {
        return start_whole_of(objects, false);
}

static Task *start_other(const char *object, Request common) {
        g_autoptr(GError) error = NULL;
        Task *task = house_start(&test_operation, object,
                        (TestRequest){.common = common, .gate = &gates[OTHER]}, &error);

        g_assert_no_error(error);
        return task;
}

static Task *part_of(const Task *whole, unsigned i) {
        return task_list_find(house.tasks, g_array_index(whole->part_ids, uint32_t, i));
}

/* Life */

static void a_whole_ends_after_its_parts(void) {
        Task *whole;

        setup();
        whole = start_whole();
        g_assert_cmpuint(whole->part_ids->len, ==, 3);
        for (unsigned i = 0; i < 3; i++) {
                Task *part = part_of(whole, i);

                g_assert_cmpuint(part->whole_id, ==, whole->id);
                g_assert_cmpint(part->state, ==, TASK_RUNNING);
                g_assert_false(task_is_cancelable(part));
                g_assert_true(task_list_holder(house.tasks, objects[i]) == part);
        }
        for (unsigned i = 0; i < GATES; i++)
                gate_open(&gates[i]);
        house_finish(whole);
        g_assert_cmpint(whole->state, ==, TASK_SUCCEEDED);
        g_assert_nonnull(strstr(house.log->str,
                        "settled 2 completed 2 settled 3 completed 3 settled 4 completed 4 "
                        "settled 1 completed 1 "));
        teardown();
}

static void a_part_that_has_ended_leaves_its_object(void) {
        Task *whole, *other;

        setup();
        whole = start_whole();
        gate_open(&gates[0]);
        house_finish(part_of(whole, 0));
        g_assert_cmpuint(whole->percent, ==, 33);
        other = start_other(objects[0], (Request){.queue = false});
        g_assert_cmpint(other->state, ==, TASK_RUNNING);
        g_assert_cmpint(whole->state, ==, TASK_RUNNING);
        teardown();
}

static void without_parts_it_is_a_task_like_any_other(void) {
        static const char *const none[] = {NULL};
        Task *whole;

        setup();
        gate_open(&gates[WHOLE]);
        whole = house_start_whole((TestRequest){.gate = &gates[WHOLE]}, none, NULL, NULL);
        g_assert_cmpuint(whole->part_ids->len, ==, 0);
        house_finish(whole);
        g_assert_cmpint(whole->state, ==, TASK_SUCCEEDED);
        teardown();
}

static void parts_that_were_not_reached_end_like_their_whole(void) {
        const TestRequest parts[] = {
                        {.error = VIRTASK_ERROR_DISK_FULL}, {.number = 0}, {.number = 0}};
        Task *whole;

        setup();
        whole = house_start_whole((TestRequest){.number = 0}, objects, parts, NULL);
        house_finish(whole);
        g_assert_error(whole->error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL);
        for (unsigned i = 0; i < 3; i++)
                g_assert_error(part_of(whole, i)->error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL);
        teardown();
}

/* Cancelling */

static void a_whole_in_line_is_cancelled_with_its_parts(void) {
        Task *other, *whole, *last;

        setup();
        other = start_other(objects[1], (Request){.queue = false});
        whole = start_whole_of(objects, true);
        last = start_other(objects[1], (Request){.queue = true});
        g_assert_cmpint(whole->state, ==, TASK_WAITING);
        g_assert_true(task_list_cancel(house.tasks, whole, false, NULL));
        g_assert_cmpint(whole->state, ==, TASK_CANCELLED);
        for (unsigned i = 0; i < 3; i++)
                g_assert_cmpint(part_of(whole, i)->state, ==, TASK_CANCELLED);
        g_assert_cmpuint(task_list_unfinished(house.tasks), ==, 2);
        g_assert_cmpint(last->state, ==, TASK_WAITING);
        gate_open(&gates[OTHER]);
        house_finish(other);
        house_finish(last);
        teardown();
}

/* Two wholes wait for the same objects, and are refused when the first of them is free: the end of
 * one must not start what is left of the other. */
static void what_fails_in_line_starts_nothing_of_itself(void) {
        static const char *const reversed[] = {"/vm/b", "/vm/a", NULL};
        static const char *const both[] = {"/vm/a", "/vm/b", NULL};
        const TestRequest none[] = {{.number = 0}, {.number = 0}};
        g_autoptr(GPtrArray) specs = g_ptr_array_new();
        TaskSpec parts[2];
        Task *other, *first, *second;
        TaskSpec spec = {.operation = &test_whole_operation,
                        .object = "/collection/second",
                        .owner = getuid(),
                        .parts = specs};

        setup();
        other = start_other("/vm/a", (Request){.queue = false});
        first = house_start_whole((TestRequest){.common = {.queue = true}}, both, none, NULL);
        for (unsigned i = 0; i < 2; i++) {
                parts[i] = (TaskSpec){.operation = &test_settled_operation,
                                .object = reversed[i],
                                .owner = getuid(),
                                .request = g_memdup2(&none[0], sizeof(none[0]))};
                g_ptr_array_add(specs, &parts[i]);
        }
        spec.request = g_memdup2(&(TestRequest){.common = {.queue = true}}, sizeof(TestRequest));
        second = task_list_add(house.tasks, &spec, NULL);
        task_list_launch(house.tasks, second);
        house.refuse = true;
        gate_open(&gates[OTHER]);
        house_finish(other);
        g_assert_error(first->error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_RUNNING);
        g_assert_error(second->error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_RUNNING);
        g_assert_cmpuint(task_list_unfinished(house.tasks), ==, 0);
        g_assert_cmpint(first->started, ==, 0);
        g_assert_cmpint(second->started, ==, 0);
        teardown();
}

static void a_whole_without_a_thread_is_cancelled_at_once(void) {
        Task *whole;

        setup();
        (void) start_other("/vm/x", (Request){.queue = false});
        (void) start_other("/vm/y", (Request){.queue = false});
        whole = start_whole();
        g_assert_cmpint(whole->state, ==, TASK_QUEUED);
        g_assert_true(task_list_cancel(house.tasks, whole, false, NULL));
        for (unsigned i = 0; i < 3; i++) {
                g_assert_cmpint(part_of(whole, i)->state, ==, TASK_CANCELLED);
                g_assert_null(task_list_of_object(house.tasks, objects[i]));
        }
        teardown();
}

static void force_over_a_part_stops_the_whole(void) {
        Task *whole, *forced;

        setup();
        gates[0].stubborn = true;
        whole = start_whole();
        gate_wait_reached(&gates[0]);
        forced = start_other(objects[1], (Request){.force = true});
        g_assert_cmpint(whole->state, ==, TASK_CANCELLING);
        g_assert_cmpint(part_of(whole, 2)->state, ==, TASK_CANCELLING);
        g_assert_true(task_list_holder(house.tasks, objects[1]) == forced);
        g_assert_cmpint(forced->state, ==, TASK_RUNNING);
        gate_open(&gates[0]);
        house_finish(whole);
        g_assert_cmpuint(task_job_state(whole), ==, 9);
        g_assert_cmpuint(task_job_state(part_of(whole, 1)), ==, 9);
        g_assert_true(task_list_holder(house.tasks, objects[1]) == forced);
        teardown();
}

static void a_whole_that_has_committed_gets_its_machine_back_from_force(void) {
        const TestRequest parts[] = {{.gate = &gates[0]}, {.number = 0}, {.number = 0}};
        Task *whole, *forced;

        setup();
        whole = house_start_whole((TestRequest){.number = 0}, objects, parts, NULL);
        g_assert_true(job_commit(whole->job));
        forced = start_other(objects[1], (Request){.force = true});
        g_assert_cmpint(whole->state, ==, TASK_RUNNING);
        gate_open(&gates[OTHER]);
        house_finish(forced);
        g_assert_true(task_list_holder(house.tasks, objects[1]) == part_of(whole, 1));
        gate_open(&gates[0]);
        house_finish(whole);
        g_assert_cmpint(whole->state, ==, TASK_SUCCEEDED);
        teardown();
}

/* test_cancel() hangs at the locks of a part and of the whole, and their jobs come home. */
static void who_is_still_asked_to_stop_is_waited_for(void) {
        Task *whole;

        setup();
        whole = start_whole();
        gate_wait_reached(&gates[0]);
        pthread_mutex_lock(&gates[1].lock);
        pthread_mutex_lock(&gates[WHOLE].lock);
        g_assert_true(task_list_cancel(house.tasks, whole, false, NULL));
        house_finish(part_of(whole, 0));
        house_finish(part_of(whole, 2));
        pthread_mutex_unlock(&gates[WHOLE].lock);
        drive_until(house.event, whole->home);
        g_assert_cmpint(part_of(whole, 1)->state, ==, TASK_CANCELLING);
        g_assert_cmpint(whole->state, ==, TASK_CANCELLING);
        pthread_mutex_unlock(&gates[1].lock);
        house_finish(whole);
        g_assert_cmpint(part_of(whole, 1)->state, ==, TASK_CANCELLED);
        g_assert_cmpint(whole->state, ==, TASK_CANCELLED);
        teardown();
}

/* Remembering */

static void a_part_can_not_be_removed_before_its_whole_has_ended(void) {
        g_autoptr(GError) error = NULL;
        Task *whole, *part;

        setup();
        whole = start_whole();
        part = part_of(whole, 0);
        gate_open(&gates[0]);
        house_finish(part);
        g_assert_false(task_list_remove(house.tasks, part, &error));
        g_assert_nonnull(strstr(error->message, "Task 1 "));
        assert_error(error, IN_USE);
        g_assert_true(task_list_keep(house.tasks, part, true, NULL));
        g_assert_true(task_list_keep(house.tasks, part, false, NULL));
        for (unsigned i = 0; i < GATES; i++)
                gate_open(&gates[i]);
        house_finish(whole);
        g_assert_true(task_list_remove(house.tasks, part, NULL));
        g_assert_true(task_list_remove(house.tasks, whole, NULL));
        g_assert_nonnull(task_list_find(house.tasks, 3));
        teardown();
}

static void a_part_is_remembered_until_its_whole_has_ended(void) {
        const TaskLimits limits = {100, 100, 0, 1000, 16, 1000};
        Task *whole;

        setup_with(&limits);
        whole = start_whole();
        gate_open(&gates[0]);
        house_finish(part_of(whole, 0));
        gate_open(&gates[1]);
        house_finish(part_of(whole, 1));
        g_assert_cmpuint(whole->percent, ==, 66);
        g_assert_true(task_is_complete(part_of(whole, 0)));
        gate_open(&gates[2]);
        gate_open(&gates[WHOLE]);
        drive_until(house.event, !task_list_find(house.tasks, 1));
        for (unsigned id = 2; id <= 4; id++)
                g_assert_null(task_list_find(house.tasks, id));
        teardown();
}

/* The ledger */

/* A directory in the place of a record can't be replaced by it. */
static void if_one_record_can_not_be_written_there_is_no_task(void) {
        g_autofree char *blocker = NULL, *left = NULL;
        const TestRequest parts[] = {{.number = 0}, {.number = 0}, {.number = 0}};
        g_autoptr(GError) error = NULL;

        setup();
        blocker = g_build_filename(directory, "tasks", "3", "full", NULL);
        g_assert_cmpint(g_mkdir_with_parents(blocker, 0700), ==, 0);
        g_assert_null(house_start_whole((TestRequest){.number = 0}, objects, parts, &error));
        g_assert_nonnull(error);
        for (unsigned id = 1; id <= 4; id++)
                g_assert_null(task_list_find(house.tasks, id));
        left = test_read(directory, "tasks/2");
        g_assert_null(left);
        g_assert_cmpuint(task_list_unfinished(house.tasks), ==, 0);
        for (unsigned i = 0; i < 3; i++)
                g_assert_null(task_list_of_object(house.tasks, objects[i]));
        teardown();
}

static void without_a_number_there_is_no_task(void) {
        g_autofree char *blocker = NULL;
        const TestRequest parts[] = {{.number = 0}, {.number = 0}, {.number = 0}};
        g_autoptr(GError) error = NULL;

        setup();
        blocker = g_build_filename(directory, "tasks", "next-id.new", "full", NULL);
        g_assert_cmpint(g_mkdir_with_parents(blocker, 0700), ==, 0);
        g_assert_null(house_start_whole((TestRequest){.number = 0}, objects, parts, &error));
        g_assert_nonnull(error);
        teardown();
}

/* From one daemon to the next */

static void restart(void) {
        house_close();
        house_open(directory, NULL);
        task_list_restore(house.tasks, test_operations);
}

/* "more" are further lines of the record. */
static void write_record(unsigned id, const char *operation, const char *object, const char *more) {
        g_autofree char *name = g_strdup_printf("tasks/%u", id);
        g_autofree char *text = g_strdup_printf(
                        "[Task]\nOperation=%s\nObject=%s\nDescription=Testing\nOwnerName=root\n"
                        "Owner=0\nSubmitted=1\nStarted=2\nMachine=\n%s\n[Request]\nNumber=%u\n",
                        operation, object, more, id);

        test_write(directory, name, text);
}

static void a_whole_settles_its_parts(void) {
        Task *whole;

        setup();
        write_record(10, "test-whole", WHOLE_OBJECT, "Parts=11;12;");
        write_record(11, "test-settled", "/vm/a", "Parent=10");
        write_record(12, "test-settled", "/vm/b", "Parent=10");
        restart();
        whole = task_list_find(house.tasks, 10);
        g_assert_true(task_list_holder(house.tasks, "/vm/a") == part_of(whole, 0));
        house_finish(whole);
        for (unsigned i = 0; i < 2; i++)
                g_assert_cmpstr(g_hash_table_lookup(part_of(whole, i)->results, "Number"), ==,
                                i == 0 ? "11" : "12");
        g_assert_nonnull(strstr(house.log->str, "completed 12 settled 10 completed 10 "));
        teardown();
}

static void a_part_whose_whole_has_ended_settles_alone(void) {
        Task *part;

        setup();
        write_record(10, "test-whole", WHOLE_OBJECT, "Parts=11;\nFinished=3");
        write_record(11, "test-settled", "/vm/a", "Parent=10");
        restart();
        part = task_list_find(house.tasks, 11);
        g_assert_true(task_is_complete(task_list_find(house.tasks, 10)));
        g_assert_false(task_is_cancelable(part));
        house_finish(part);
        g_assert_cmpint(part->state, ==, TASK_SUCCEEDED);
        teardown();
}

static void a_part_that_has_ended_stays_as_it_is(void) {
        Task *whole;

        setup();
        write_record(10, "test-whole", WHOLE_OBJECT, "Parts=11;12;");
        write_record(11, "test-settled", "/vm/a", "Parent=10\nFinished=9000000000000000");
        write_record(12, "test-settled", "/vm/b", "Parent=10");
        restart();
        whole = task_list_find(house.tasks, 10);
        house_finish(whole);
        g_assert_cmpint(whole->state, ==, TASK_SUCCEEDED);
        g_assert_cmpint(part_of(whole, 0)->finished, ==, 9000000000000000);
        teardown();
}

static void a_record_that_is_its_own_part_is_settled_all_the_same(void) {
        setup();
        write_record(10, "test-settled", "/vm/a", "Parent=10");
        write_record(11, "test-settled", "/vm/b", "Parent=10");
        restart();
        house_finish(task_list_find(house.tasks, 10));
        house_finish(task_list_find(house.tasks, 11));
        teardown();
}

static void a_whole_waits_for_a_machine_of_another_and_keeps_the_rest(void) {
        g_autoptr(GError) error = NULL;
        Task *first, *whole;

        setup();
        write_record(9, "test-settled", "/vm/b", "");
        write_record(10, "test-whole", WHOLE_OBJECT, "Parts=11;12;");
        write_record(11, "test-settled", "/vm/a", "Parent=10");
        write_record(12, "test-settled", "/vm/b", "Parent=10");
        restart();
        first = task_list_find(house.tasks, 9);
        whole = task_list_find(house.tasks, 10);
        g_assert_cmpint(whole->state, ==, TASK_WAITING);
        g_assert_null(house_start(&test_operation, "/vm/a", (TestRequest){.number = 0}, &error));
        assert_error(error, IN_USE);
        g_assert_false(task_list_cancel(house.tasks, whole, true, &error));
        assert_error(error, NOT_CANCELABLE);
        house.refuse = true; /* nobody is asked: it began long ago */
        house_finish(whole);
        g_assert_cmpint(first->state, ==, TASK_SUCCEEDED);
        g_assert_cmpint(whole->state, ==, TASK_SUCCEEDED);
        g_assert_cmpint(part_of(whole, 1)->state, ==, TASK_SUCCEEDED);
        teardown();
}

static void parts_that_had_not_begun_were_interrupted(void) {
        Task *whole;

        setup();
        write_record(10, "test-whole", WHOLE_OBJECT, "Parts=11;\nStarted=0");
        write_record(11, "test-settled", "/vm/a", "Parent=10\nStarted=0");
        restart();
        whole = task_list_find(house.tasks, 10);
        g_assert_error(whole->error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED);
        g_assert_error(part_of(whole, 0)->error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED);
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        house_build();
        ADD(a_whole_ends_after_its_parts);
        ADD(a_part_that_has_ended_leaves_its_object);
        ADD(without_parts_it_is_a_task_like_any_other);
        ADD(parts_that_were_not_reached_end_like_their_whole);
        ADD(a_whole_in_line_is_cancelled_with_its_parts);
        ADD(what_fails_in_line_starts_nothing_of_itself);
        ADD(a_whole_without_a_thread_is_cancelled_at_once);
        ADD(force_over_a_part_stops_the_whole);
        ADD(a_whole_that_has_committed_gets_its_machine_back_from_force);
        ADD(who_is_still_asked_to_stop_is_waited_for);
        ADD(a_part_can_not_be_removed_before_its_whole_has_ended);
        ADD(a_part_is_remembered_until_its_whole_has_ended);
        ADD(if_one_record_can_not_be_written_there_is_no_task);
        ADD(without_a_number_there_is_no_task);
        ADD(a_whole_settles_its_parts);
        ADD(a_part_whose_whole_has_ended_settles_alone);
        ADD(a_part_that_has_ended_stays_as_it_is);
        ADD(a_record_that_is_its_own_part_is_settled_all_the_same);
        ADD(a_whole_waits_for_a_machine_of_another_and_keeps_the_rest);
        ADD(parts_that_had_not_begun_were_interrupted);
        return g_test_run();
}
