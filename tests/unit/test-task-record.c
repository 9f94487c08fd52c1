/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "task-record"

#include "house.h"

static char *directory;

static void setup(void) {
        directory = test_directory_new();
        house_open(directory, NULL);
}

static void teardown(void) {
        house_close();
        test_directory_clear(&directory);
}

static Task *make_task(void) {
        char name[] = "web\n2";
        const MachineFacts facts = {
                        .uuid = MACHINE_UUID,
                        .name = name,
                        .has_image = true,
        };
        TestRequest request = {.number = 4711, .common.snapshot = g_strdup("s 1;\n2")};
        const TaskSpec spec = {
                        .operation = &test_settled_operation,
                        .object = OBJECT,
                        .facts = &facts,
                        .owner = 12345,
                        .request = g_memdup2(&request, sizeof(request)),
        };

        return task_new(house.tasks, 17, &spec);
}

static void finish(Task *task, VirtaskError code) {
        if (code != VIRTASK_ERROR_NONE)
                task->job->error = g_error_new_literal(VIRTASK_ERROR, (int) code, "why = 1\n2");
        else
                job_result(task->job, "SavedStateFilePath", "/a b/c;d");
        task_finish(task);
        task->job = job_unref(task->job);
}

/* Through the text of the file, and frees the task. */
static Task *round_trip(Task *task) {
        g_autoptr(GKeyFile) written = task_store(task), record = g_key_file_new();
        g_autofree char *text = g_key_file_to_data(written, NULL, NULL);

        task_free(task);
        g_assert_true(g_key_file_load_from_data(record, text, (gsize) -1, G_KEY_FILE_NONE, NULL));
        return task_load(house.tasks, 17, record, test_operations);
}

static void an_unfinished_task_comes_back_to_be_settled(void) {
        Task *task;

        setup();
        task = make_task();
        task_set_state(task, TASK_RUNNING);
        task_measured(task, &(Progress){40, 100});
        task = round_trip(task);
        g_assert_cmpuint(task->id, ==, 17);
        g_assert_true(task->operation == &test_settled_operation);
        g_assert_cmpstr(task->object, ==, OBJECT);
        g_assert_cmpstr(task->machine_name, ==, "web\n2");
        g_assert_cmpstr(task->description, ==, "Waking web\n2");
        g_assert_cmpuint(task->owner, ==, 12345);
        g_assert_cmpstr(task->owner_name, ==, "12345");
        g_assert_true(task->from_saved);
        g_assert_true(task->restores);
        g_assert_cmpuint(task->percent, ==, 40);
        g_assert_cmpuint(task->bytes_done, ==, 40);
        g_assert_cmpuint(task->bytes_total, ==, 100);
        g_assert_true(task->progress_valid);
        g_assert_cmpstr(((const Request *) task->job->request)->snapshot, ==, "s 1;\n2");
        g_assert_cmpint(task->submitted, >, 0);
        g_assert_cmpint(task->started, >, 0);
        g_assert_false(task_is_complete(task));
        g_assert_cmpint(task->job->mode, ==, JOB_SETTLE);
        g_assert_cmpstr(task->job->uuid, ==, MACHINE_UUID);
        g_assert_cmpuint(((TestRequest *) task->job->request)->number, ==, 4711);
        task_free(task);
        teardown();
}

static void a_success_comes_back_with_its_results(void) {
        Task *task;

        setup();
        task = make_task();
        task_set_state(task, TASK_RUNNING);
        task->result_object = g_strdup("/made/by/it");
        task->keep = true;
        finish(task, VIRTASK_ERROR_NONE);
        task = round_trip(task);
        g_assert_cmpint(task->state, ==, TASK_SUCCEEDED);
        g_assert_null(task->error);
        g_assert_cmpuint(task->percent, ==, 100);
        g_assert_cmpint(task->finished, >, 0);
        g_assert_cmpstr(task->result_object, ==, "/made/by/it");
        g_assert_true(task->keep);
        g_assert_null(task->job);
        g_assert_cmpstr(g_hash_table_lookup(task->results, "SavedStateFilePath"), ==, "/a b/c;d");
        task_free(task);
        teardown();
}

static void every_error_comes_back(void) {
        setup();
        for (int code = 1; code < VIRTASK_ERROR_COUNT; code++) {
                Task *task = make_task();

                finish(task, (VirtaskError) code);
                task = round_trip(task);
                g_assert_cmpint(task->error->code, ==, code);
                g_assert_cmpstr(task->error->message, ==, "why = 1\n2");
                g_assert_cmpint(task->state, ==,
                                code == VIRTASK_ERROR_CANCELLED ? TASK_CANCELLED : TASK_FAILED);
                task_free(task);
        }
        teardown();
}

static void a_killed_task_comes_back_killed(void) {
        Task *task;

        setup();
        task = make_task();
        task->killed = true;
        finish(task, VIRTASK_ERROR_CANCELLED);
        task = round_trip(task);
        g_assert_cmpuint(task_job_state(task), ==, 9);
        task_free(task);
        teardown();
}

/* A record of a success with one key changed; what is loaded of it, or NULL. */
static Task *load_with(const char *key, const char *value) {
        g_autoptr(GKeyFile) record = NULL;
        Task *task = make_task();

        finish(task, VIRTASK_ERROR_NONE);
        record = task_store(task);
        task_free(task);
        if (value)
                g_key_file_set_string(record, "Task", key, value);
        else
                g_key_file_remove_key(record, "Task", key, NULL);
        return task_load(house.tasks, 17, record, test_operations);
}

static void an_operation_that_is_not_known_is_dropped(void) {
        setup();
        g_assert_null(load_with("Operation", "vm-fly"));
        g_assert_null(load_with("Operation", NULL));
        teardown();
}

static void a_record_without_what_a_task_needs_is_dropped(void) {
        setup();
        g_assert_null(load_with("Object", NULL));
        g_assert_null(load_with("Description", NULL));
        g_assert_null(load_with("OwnerName", NULL));
        teardown();
}

/* A getter that fails would break GetManagedObjects for everybody. */
static void what_is_no_object_path_is_dropped(void) {
        setup();
        g_assert_null(load_with("Object", "no path"));
        g_assert_null(load_with("ResultObject", "no path"));
        teardown();
}

static void numbers_out_of_range_are_bounded(void) {
        Task *task;

        setup();
        task = load_with("Percent", "1000");
        g_assert_cmpuint(task->percent, <=, 100);
        task_free(task);
        teardown();
}

static void an_error_that_is_not_known_is_failed(void) {
        Task *task;

        setup();
        task = load_with("Error", "org.example.Odd");
        g_assert_true(error_info_of(task->error) == error_info(VIRTASK_ERROR_FAILED));
        task_free(task);
        teardown();
}

static void the_error_decides_how_it_ended(void) {
        Task *task;

        setup();
        task = load_with("Error", "org.virtask1.Error.Cancelled");
        g_assert_cmpint(task->state, ==, TASK_CANCELLED);
        task_free(task);
        task = load_with("Error", "org.virtask1.Error.DiskFull");
        g_assert_cmpint(task->state, ==, TASK_FAILED);
        task_free(task);
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        house_build();
        ADD(an_unfinished_task_comes_back_to_be_settled);
        ADD(a_success_comes_back_with_its_results);
        ADD(every_error_comes_back);
        ADD(a_killed_task_comes_back_killed);
        ADD(an_operation_that_is_not_known_is_dropped);
        ADD(a_record_without_what_a_task_needs_is_dropped);
        ADD(what_is_no_object_path_is_dropped);
        ADD(numbers_out_of_range_are_bounded);
        ADD(an_error_that_is_not_known_is_failed);
        ADD(the_error_decides_how_it_ended);
        return g_test_run();
}
