/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "task"

#include <string.h>

#include "house.h"

#define MANY_SAMPLES 5000

static char *directory;
static Task *task;

static TaskSpec spec_of(const Operation *operation) {
        return (TaskSpec){
                        .operation = operation,
                        .object = OBJECT,
                        .owner = 12345,
                        .request = g_malloc0(sizeof(TestRequest)),
        };
}

static void setup(void) {
        TaskSpec spec = spec_of(&test_operation);

        directory = test_directory_new();
        house_open(directory, NULL);
        task = task_new(house.tasks, 17, &spec);
        publication_clear(&task->publication);
}

static void teardown(void) {
        task = task_free(task);
        house_close();
        test_directory_clear(&directory);
}

static void run_task(void) {
        task_set_state(task, TASK_RUNNING);
        publication_clear(&task->publication);
}

/* Which properties are to be announced since the last time. */
static uint64_t touched(void) {
        uint64_t dirty = task->publication.dirty;

        publication_clear(&task->publication);
        return dirty;
}

static void measure(uint64_t done, uint64_t total) {
        const Progress progress = {done, total};

        task_measured(task, &progress);
}

static void finish(VirtaskError code) {
        if (code != VIRTASK_ERROR_NONE)
                task->job->error = g_error_new_literal(VIRTASK_ERROR, (int) code, "why");
        task_finish(task);
}

static void a_new_task_waits(void) {
        setup();
        g_assert_cmpstr(task->path, ==, "/org/virtask1/task/17");
        g_assert_false(task_is_complete(task));
        g_assert_cmpuint(task_job_state(task), ==, 3);
        g_assert_cmpstr(task_status_text(task), ==, "queued");
        g_assert_cmpuint(task_result(task), ==, 0);
        g_assert_cmpstr(task_result_name(task), ==, "running");
        g_assert_cmpuint(task_return_value(task), ==, 4096);
        g_assert_cmpint(task->started, ==, 0);
        g_assert_cmpint(task->submitted, >, 0);
        teardown();
}

static void each_state_has_its_job_state(void) {
        setup();
        task_set_state(task, TASK_QUEUED);
        g_assert_cmpuint(task_job_state(task), ==, 3);
        task_set_state(task, TASK_RUNNING);
        g_assert_cmpuint(task_job_state(task), ==, 4);
        g_assert_cmpint(task->started, >, 0);
        task_set_state(task, TASK_CANCELLING);
        g_assert_cmpuint(task_job_state(task), ==, 6);
        task_set_state(task, TASK_SUCCEEDED);
        g_assert_cmpuint(task_job_state(task), ==, 7);
        task_set_state(task, TASK_CANCELLED);
        g_assert_cmpuint(task_job_state(task), ==, 8);
        task_set_state(task, TASK_FAILED);
        g_assert_cmpuint(task_job_state(task), ==, 10);
        teardown();
}

static void a_killed_task_has_another_job_state(void) {
        setup();
        task->killed = true;
        finish(VIRTASK_ERROR_CANCELLED);
        g_assert_cmpuint(task_job_state(task), ==, 9);
        teardown();
}

static void success_is_hundred_percent_and_zero(void) {
        setup();
        run_task();
        measure(50, 100);
        (void) touched();
        finish(VIRTASK_ERROR_NONE);
        g_assert_cmpuint(task->percent, ==, 100);
        g_assert_cmpuint(task->bytes_done, ==, 100);
        g_assert_cmpuint(task_result(task), ==, 0);
        g_assert_cmpstr(task_result_name(task), ==, "success");
        g_assert_cmpuint(task_return_value(task), ==, 0);
        g_assert_cmpint(task->finished, >, 0);
        g_assert_true(touched() & TASK_PERCENT);
        teardown();
}

static void a_quick_success_has_its_bytes_too(void) {
        setup();
        run_task();
        job_progress(task->job, 300, 400);
        (void) touched();
        finish(VIRTASK_ERROR_NONE);
        g_assert_cmpuint(task->bytes_total, ==, 400);
        g_assert_cmpuint(task->bytes_done, ==, 400);
        g_assert_true(touched() & TASK_BYTES_TOTAL);
        teardown();
}

static void what_was_made_is_shown_after_success_only(void) {
        setup();
        task->job->result_object = g_strdup("/made/by/it");
        (void) touched();
        finish(VIRTASK_ERROR_NONE);
        g_assert_cmpstr(task->result_object, ==, "/made/by/it");
        g_assert_true(touched() & TASK_RESULT_OBJECT);
        teardown();

        setup();
        task->job->result_object = g_strdup("/made/by/it");
        finish(VIRTASK_ERROR_FAILED);
        g_assert_null(task->result_object);
        teardown();
}

static void a_failure_keeps_the_percent_and_tells_the_error(void) {
        uint64_t mask;

        setup();
        run_task();
        measure(50, 100);
        (void) touched();
        finish(VIRTASK_ERROR_DISK_FULL);
        mask = touched();
        g_assert_cmpuint(task->percent, ==, 50);
        g_assert_cmpint(task->state, ==, TASK_FAILED);
        g_assert_cmpuint(task_result(task), ==, 4);
        g_assert_cmpstr(task_result_name(task), ==, "disk-error");
        g_assert_cmpuint(task_return_value(task), ==, 32768);
        g_assert_true(mask & TASK_ERROR && mask & TASK_ERROR_NAME && mask & TASK_ERROR_DESCRIPTION);
        g_assert_false(mask & TASK_PERCENT);
        teardown();
}

static void a_cancelled_task_is_cancelled(void) {
        setup();
        finish(VIRTASK_ERROR_CANCELLED);
        g_assert_cmpint(task->state, ==, TASK_CANCELLED);
        g_assert_cmpuint(task_result(task), ==, 1);
        g_assert_cmpstr(task_result_name(task), ==, "cancelled");
        g_assert_cmpuint(task_return_value(task), ==, 32768);
        teardown();
}

static void the_end_of_an_interrupted_task_is_a_thread_crash(void) {
        setup();
        finish(VIRTASK_ERROR_SERVICE_RESTARTED);
        g_assert_cmpuint(task_result(task), ==, 8);
        g_assert_cmpstr(task_result_name(task), ==, "thread-crash");
        g_assert_cmpuint(task_job_state(task), ==, 10);
        teardown();
}

static void every_error_has_a_result_with_a_name(void) {
        for (int code = 1; code < VIRTASK_ERROR_COUNT; code++) {
                setup();
                finish((VirtaskError) code);
                g_assert_cmpuint(task_result(task), >=, 1);
                g_assert_cmpuint(task_result(task), <=, 9);
                g_assert_true(*task_result_name(task));
                teardown();
        }
}

static void percent_never_falls(void) {
        setup();
        run_task();
        measure(40, 100);
        g_assert_cmpuint(task->percent, ==, 40);
        measure(30, 100);
        g_assert_cmpuint(task->percent, ==, 40);
        g_assert_cmpuint(task->bytes_done, ==, 40);
        measure(40, 1000); /* the total grew: 4 percent now */
        g_assert_cmpuint(task->percent, ==, 40);
        g_assert_cmpuint(task->bytes_total, ==, 1000);
        measure(410, 1000);
        g_assert_cmpuint(task->percent, ==, 41);
        teardown();
}

static void an_unfinished_task_has_at_most_99_percent(void) {
        setup();
        run_task();
        measure(100, 100);
        g_assert_cmpuint(task->percent, ==, 99);
        measure(500, 100);
        g_assert_cmpuint(task->percent, ==, 99);
        g_assert_cmpuint(task->bytes_done, <=, task->bytes_total);
        teardown();
}

static void percent_is_announced_at_most_once_for_each_value(void) {
        unsigned announced = 0, last = 0;

        setup();
        run_task();
        for (uint64_t i = 0; i <= MANY_SAMPLES; i++) {
                measure(i, MANY_SAMPLES);
                g_assert_cmpuint(task->percent, >=, last);
                last = task->percent;
                announced += (touched() & TASK_PERCENT) != 0;
        }
        finish(VIRTASK_ERROR_NONE);
        announced += (touched() & TASK_PERCENT) != 0;
        g_assert_cmpuint(announced, <=, 101);
        g_assert_cmpuint(announced, >=, 90);
        teardown();
}

static void bytes_alone_are_announced_once_a_second(void) {
        unsigned announced = 0;

        setup();
        run_task();
        measure(1, 1000000);
        (void) touched();
        for (uint64_t i = 2; i < 1000; i++) {
                measure(i, 1000000);
                announced += touched() != 0;
        }
        g_assert_cmpuint(announced, <=, 1);
        teardown();
}

static void the_first_measurement_makes_the_progress_valid(void) {
        setup();
        run_task();
        g_assert_false(task->progress_valid);
        measure(0, 0);
        g_assert_false(task->progress_valid);
        g_assert_cmpuint(touched(), ==, 0);
        measure(0, 100);
        g_assert_true(task->progress_valid);
        g_assert_true(touched() & TASK_PROGRESS_VALID);
        measure(0, 100);
        g_assert_false(touched() & TASK_PROGRESS_VALID);
        teardown();
}

static void huge_numbers_do_not_overflow(void) {
        setup();
        run_task();
        measure(UINT64_MAX / 2, UINT64_MAX);
        g_assert_cmpuint(task->percent, >=, 49);
        g_assert_cmpuint(task->percent, <=, 50);
        teardown();
}

static void only_a_running_task_is_measured(void) {
        setup();
        measure(50, 100);
        g_assert_cmpuint(task->percent, ==, 0);
        task_set_state(task, TASK_CANCELLING);
        measure(50, 100);
        g_assert_cmpuint(task->percent, ==, 0);
        teardown();
}

static void a_task_can_be_cancelled_until_its_commit(void) {
        setup();
        g_assert_true(task_is_cancelable(task));
        run_task();
        g_assert_true(task_is_cancelable(task));
        task_set_committed(task);
        g_assert_false(task_is_cancelable(task));
        g_assert_true(touched() & TASK_IS_CANCELABLE);
        teardown();
}

static void any_task_can_be_cancelled_while_it_waits(void) {
        TaskSpec spec = spec_of(&test_stiff_operation);
        Task *stiff;

        setup();
        stiff = task_new(house.tasks, 18, &spec);
        g_assert_true(task_is_cancelable(stiff));
        task_set_state(stiff, TASK_QUEUED);
        g_assert_true(task_is_cancelable(stiff));
        task_set_state(stiff, TASK_RUNNING);
        g_assert_false(task_is_cancelable(stiff));
        task_free(stiff);
        teardown();
}

static void a_finished_task_can_not_be_cancelled(void) {
        setup();
        finish(VIRTASK_ERROR_NONE);
        g_assert_false(task_is_cancelable(task));
        teardown();
}

static void the_status_is_what_the_job_says_while_it_runs(void) {
        setup();
        run_task();
        g_assert_cmpstr(task_status_text(task), ==, "");
        task_set_status(task, "flushing");
        g_assert_cmpstr(task_status_text(task), ==, "flushing");
        g_assert_true(touched() & TASK_STATUS_TEXT);
        task_set_state(task, TASK_CANCELLING);
        g_assert_cmpstr(task_status_text(task), ==, "cancelling");
        finish(VIRTASK_ERROR_CANCELLED);
        g_assert_cmpstr(task_status_text(task), ==, "");
        teardown();
}

static MachineFacts facts_of(bool saved) {
        static char name[] = "web";

        return (MachineFacts){.uuid = MACHINE_UUID, .name = name, .has_image = saved};
}

static void a_saved_machine_gives_another_description(void) {
        const MachineFacts off = facts_of(false), saved = facts_of(true);
        TaskSpec of_off = spec_of(&test_operation), of_saved = spec_of(&test_operation);
        Task *first, *second;

        setup();
        of_off.facts = &off;
        of_saved.facts = &saved;
        first = task_new(house.tasks, 18, &of_off);
        second = task_new(house.tasks, 19, &of_saved);
        g_assert_cmpstr(first->description, ==, "Testing web");
        g_assert_cmpuint(task_job_type(first), ==, 14);
        g_assert_cmpint(task_machine_state(first), ==, MACHINE_SAVING);
        g_assert_cmpstr(second->description, ==, "Waking web");
        g_assert_cmpuint(task_job_type(second), ==, 15);
        g_assert_cmpint(task_machine_state(second), ==, MACHINE_RESTORING);
        task_free(first);
        task_free(second);
        teardown();
}

static void an_unknown_owner_is_shown_by_number(void) {
        setup();
        g_assert_cmpstr(task->owner_name, ==, "12345");
        teardown();
}

static void the_log_forgets_the_oldest_lines(void) {
        setup();
        for (int i = 0; i < 1000; i++) {
                g_autofree char *text = g_strdup_printf("line %d", i);

                task_log(task, 6, text);
        }
        g_assert_cmpuint(task->log.length, ==, 200);
        g_assert_cmpstr(((TaskLogLine *) task->log.head->data)->text, ==, "line 800");
        g_assert_cmpstr(((TaskLogLine *) task->log.tail->data)->text, ==, "line 999");
        teardown();
}

static void a_state_is_announced(void) {
        uint64_t mask;

        setup();
        task_set_state(task, TASK_RUNNING);
        mask = touched();
        g_assert_true(mask & TASK_JOB_STATE && mask & TASK_START_TIME && mask & TASK_STATUS_TEXT);
        task_set_state(task, TASK_CANCELLING);
        mask = touched();
        g_assert_true(mask & TASK_JOB_STATE && mask & TASK_IS_CANCELABLE);
        g_assert_false(mask & TASK_START_TIME);
        teardown();
}

static void an_immediate_task_announces_nothing(void) {
        TaskSpec spec = spec_of(&test_immediate_operation);
        Task *immediate;

        setup();
        immediate = task_new(house.tasks, 0, &spec);
        task_set_state(immediate, TASK_RUNNING);
        task_set_status(immediate, "x");
        task_set_committed(immediate);
        task_finish(immediate);
        g_assert_cmpuint(immediate->publication.dirty, ==, 0);
        task_free(immediate);
        teardown();
}

static void the_table_of_properties_has_a_row_for_each_bit(void) {
        unsigned n = 0;

        while (task_properties[n].name)
                n++;
        g_assert_cmpuint(UINT64_C(1) << (n - 1), ==, TASK_DELETE_ON_COMPLETION);
        g_assert_cmpstr(task_properties[2].name, ==, "PercentCompleted");
        g_assert_cmpstr(task_properties[19].name, ==, "JobState");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        house_build();
        ADD(a_new_task_waits);
        ADD(each_state_has_its_job_state);
        ADD(a_killed_task_has_another_job_state);
        ADD(success_is_hundred_percent_and_zero);
        ADD(a_quick_success_has_its_bytes_too);
        ADD(what_was_made_is_shown_after_success_only);
        ADD(a_failure_keeps_the_percent_and_tells_the_error);
        ADD(a_cancelled_task_is_cancelled);
        ADD(the_end_of_an_interrupted_task_is_a_thread_crash);
        ADD(every_error_has_a_result_with_a_name);
        ADD(percent_never_falls);
        ADD(an_unfinished_task_has_at_most_99_percent);
        ADD(percent_is_announced_at_most_once_for_each_value);
        ADD(bytes_alone_are_announced_once_a_second);
        ADD(the_first_measurement_makes_the_progress_valid);
        ADD(huge_numbers_do_not_overflow);
        ADD(only_a_running_task_is_measured);
        ADD(a_task_can_be_cancelled_until_its_commit);
        ADD(any_task_can_be_cancelled_while_it_waits);
        ADD(a_finished_task_can_not_be_cancelled);
        ADD(the_status_is_what_the_job_says_while_it_runs);
        ADD(a_saved_machine_gives_another_description);
        ADD(an_unknown_owner_is_shown_by_number);
        ADD(the_log_forgets_the_oldest_lines);
        ADD(a_state_is_announced);
        ADD(an_immediate_task_announces_nothing);
        ADD(the_table_of_properties_has_a_row_for_each_bit);
        return g_test_run();
}
