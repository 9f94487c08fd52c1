/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What happens around run(). The jobs are executed on the loop's thread here, which a job does not
 * notice. */

#define MODULE "job"

#include <string.h>

#include "house.h"

typedef enum Behaviour {
        SUCCEED,
        SUCCEED_AFTER_A_CANCEL,
        FAIL,
        FAIL_SILENTLY,
        COMMIT_AND_SUCCEED,
        LOSE_CONNECTION,
        TALK,
} Behaviour;

static Behaviour run_behaviour, settle_behaviour;
static unsigned runs, settles;
static GString *reports; /* of the hooks: "committed status:x log:x " */

static bool behave(Job *job, Behaviour behaviour, GError **error) {
        switch (behaviour) {
        case SUCCEED:
                return true;
        case SUCCEED_AFTER_A_CANCEL:
                atomic_store(&job->fate, JOB_CANCELLED);
                return true;
        case FAIL:
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL, "full");
                return false;
        case FAIL_SILENTLY:
                return false;
        case COMMIT_AND_SUCCEED:
                return job_commit(job) && job_commit(job);
        case LOSE_CONNECTION:
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE, "lost");
                return false;
        case TALK:
                job_status(job, "one");
                job_log(job, 4, "line %d", 2);
                job_status(job, "three");
                job_result(job, "Key", "old");
                job_result(job, "Key", "new");
                return true;
        }
        g_assert_not_reached();
}

static bool run(Job *job, GError **error) {
        runs++;
        return behave(job, run_behaviour, error);
}

static bool settle(Job *job, GError **error) {
        settles++;
        return behave(job, settle_behaviour, error);
}

static const Operation settled = {.name = "settled", .run = run, .settle = settle};
static const Operation unsettled = {.name = "unsettled", .run = run};

static void on_committed(void *owner) {
        g_string_append(reports, "committed ");
}

static void on_status(void *owner, const char *text) {
        g_string_append_printf(reports, "status:%s ", text);
}

static void on_log(void *owner, int priority, const char *text) {
        g_string_append_printf(reports, "log:%d:%s ", priority, text);
}

static void on_ended(void *owner) {
        g_string_append_printf(reports, "ended:%s ", (const char *) owner);
}

static Job *make_job_of(
                const Operation *operation, JobMode mode, Backend *backend, const char *uuid) {
        static const JobHooks hooks = {on_committed, on_status, on_log, NULL, on_ended};
        Job *job = job_new(operation, mode, backend, house.mailbox, uuid, NULL, NULL);

        job->hooks = &hooks;
        runs = settles = 0;
        g_string_truncate(reports, 0);
        return job;
}

static Job *make_job(Behaviour behaviour) {
        run_behaviour = behaviour;
        return make_job_of(&settled, JOB_RUN, house.backend, "");
}

/* Executes the job, hears its reports and says whether it succeeded. */
static bool execute(Job *job) {
        job_execute(job);
        test_drain(house.event);
        g_assert_true(job->succeeded == !job->error);
        return job->succeeded;
}

static void a_job_succeeds(void) {
        Job *job = make_job(SUCCEED);

        g_assert_true(execute(job));
        g_assert_cmpuint(settles, ==, 0);
        job_unref(job);
}

static void a_failed_job_carries_its_error(void) {
        Job *job = make_job(FAIL);

        g_assert_false(execute(job));
        g_assert_true(g_error_matches(job->error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL));
        job_unref(job);
}

static void a_failure_without_error_is_failed(void) {
        Job *job = make_job(FAIL_SILENTLY);

        g_assert_false(execute(job));
        g_assert_true(g_error_matches(job->error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED));
        job_unref(job);
}

static void a_cancelled_job_that_fails_was_cancelled(void) {
        Job *job = make_job(FAIL);

        atomic_store(&job->fate, JOB_CANCELLED);
        g_assert_true(job_is_cancelled(job));
        g_assert_false(execute(job));
        g_assert_true(g_error_matches(job->error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED));
        job_unref(job);
}

static void a_cancel_that_came_too_late_does_not_hide_success(void) {
        Job *job = make_job(SUCCEED_AFTER_A_CANCEL);

        g_assert_true(execute(job));
        g_assert_true(job_is_cancelled(job));
        job_unref(job);
}

static void a_cancel_before_the_run_keeps_it_from_beginning(void) {
        Job *job = make_job(SUCCEED);

        runs = 0;
        atomic_store(&job->fate, JOB_CANCELLED);
        g_assert_false(execute(job));
        g_assert_cmpuint(runs, ==, 0);
        g_assert_true(g_error_matches(job->error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED));
        job_unref(job);
}

static void a_commit_is_reported_once(void) {
        Job *job = make_job(COMMIT_AND_SUCCEED);

        g_assert_true(execute(job));
        g_assert_cmpint(atomic_load(&job->fate), ==, JOB_COMMITTED);
        g_assert_false(job_is_cancelled(job));
        g_assert_cmpstr(reports->str, ==, "committed ");
        job_unref(job);
}

static void a_cancelled_job_can_not_commit(void) {
        Job *job = make_job(COMMIT_AND_SUCCEED);

        atomic_store(&job->fate, JOB_CANCELLED);
        g_assert_false(execute(job));
        g_assert_true(g_error_matches(job->error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED));
        g_assert_cmpstr(reports->str, ==, "");
        job_unref(job);
}

static void reports_arrive_in_order(void) {
        Job *job = make_job(TALK);

        g_assert_true(execute(job));
        g_assert_cmpstr(reports->str, ==, "status:one log:4:line 2 status:three ");
        g_assert_cmpstr(g_hash_table_lookup(job->results, "Key"), ==, "new");
        job_unref(job);
}

static void a_job_taken_over_is_settled_and_not_run(void) {
        Job *job = make_job_of(&settled, JOB_SETTLE, house.backend, "");

        settle_behaviour = SUCCEED;
        g_assert_true(execute(job));
        g_assert_cmpuint(runs, ==, 0);
        g_assert_cmpuint(settles, ==, 1);
        job_unref(job);
}

static void a_job_that_has_lost_its_memory_is_not_settled(void) {
        Job *job = make_job(SUCCEED);

        job->mode = JOB_SETTLE;
        job->memory_lost = true;
        settle_behaviour = SUCCEED;
        settles = 0;
        job_execute(job);
        g_assert_cmpuint(settles, ==, 0);
        g_assert_false(job->succeeded);
        g_assert_error(job->error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED);
        job_unref(job);
}

static void a_job_that_can_not_be_settled_was_interrupted(void) {
        Job *job = make_job_of(&unsettled, JOB_SETTLE, house.backend, "");

        g_assert_false(execute(job));
        g_assert_cmpuint(runs, ==, 0);
        g_assert_true(g_error_matches(job->error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED));
        job_unref(job);
}

static void a_lost_connection_is_settled(void) {
        Job *job = make_job(LOSE_CONNECTION);

        settle_behaviour = SUCCEED;
        g_assert_true(execute(job));
        g_assert_cmpuint(runs, ==, 1);
        g_assert_cmpuint(settles, ==, 1);
        g_assert_nonnull(strstr(reports->str, "status:waiting for the hypervisor "));
        g_assert_true(g_str_has_suffix(reports->str, "status: "));
        job_unref(job);
}

static void settling_finds_out_the_failure(void) {
        Job *job = make_job(LOSE_CONNECTION);

        settle_behaviour = FAIL;
        g_assert_false(execute(job));
        g_assert_true(g_error_matches(job->error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL));
        job_unref(job);
}

static bool settle_at_second(Job *job, GError **error) {
        return behave(job, ++settles < 2 ? LOSE_CONNECTION : SUCCEED, error);
}

static void a_connection_may_be_lost_again(void) {
        static const Operation operation = {.run = run, .settle = settle_at_second};
        Job *job = make_job_of(&operation, JOB_RUN, house.backend, "");

        run_behaviour = LOSE_CONNECTION;
        g_assert_true(execute(job));
        g_assert_cmpuint(settles, ==, 2);
        job_unref(job);
}

static void without_a_connection_nothing_is_run(void) {
        Job *job;

        backend_disconnect(house.backend);
        job = make_job(SUCCEED);
        g_assert_false(execute(job));
        g_assert_cmpuint(runs, ==, 0);
        g_assert_cmpuint(settles, ==, 0);
        g_assert_true(g_error_matches(
                        job->error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE));
        job_unref(job);
        g_ptr_array_unref(backend_connect(house.backend, NULL));
}

static void *reconnect(void *unused) {
        g_ptr_array_unref(backend_connect(house.backend, NULL));
        return NULL;
}

/* The hypervisor comes back while the job waits for it. */
static bool lose_for_a_moment(Job *job, GError **error) {
        backend_disconnect(house.backend);
        atomic_store(&job->fate, JOB_CANCELLED);
        g_thread_unref(g_thread_new("reconnect", reconnect, NULL));
        return behave(job, LOSE_CONNECTION, error);
}

static void a_cancel_does_not_end_the_wait_for_the_hypervisor(void) {
        static const Operation operation = {.run = lose_for_a_moment, .settle = settle};
        Job *job = make_job_of(&operation, JOB_RUN, house.backend, "");

        settle_behaviour = SUCCEED;
        g_assert_true(execute(job));
        g_assert_cmpuint(settles, ==, 1);
        job_unref(job);
}

static void facts_are_read_afterwards(void) {
        Job *job;

        run_behaviour = FAIL;
        job = make_job_of(&settled, JOB_RUN, house.backend, MACHINE_UUID);
        g_assert_false(execute(job));
        g_assert_cmpstr(job->after->name, ==, "test");
        g_assert_false(job->gone);
        job_unref(job);
}

static void a_machine_that_is_gone_is_noticed(void) {
        Job *job;

        run_behaviour = SUCCEED;
        job = make_job_of(&settled, JOB_RUN, house.backend, "00000000-0000-0000-0000-000000000001");
        g_assert_true(execute(job));
        g_assert_null(job->after);
        g_assert_true(job->gone);
        job_unref(job);
}

static void a_record_that_can_not_be_synced_prevents_the_run(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = ledger_new(directory, NULL);
        Job *job = make_job(SUCCEED);

        job->ledger = ledger;
        job->id = 17;
        g_assert_false(execute(job));
        g_assert_cmpuint(runs, ==, 0);
        job_unref(job);
        ledger_free(ledger);
}

static void what_a_job_remembers_is_in_the_ledger_at_once(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = ledger_new(directory, NULL);
        Job *job = make_job(SUCCEED);
        g_autofree char *text = NULL;

        g_assert_null(job_recall(job, "Key"));
        g_assert_true(job_remember(job, "Key", "without a ledger", NULL));
        g_assert_cmpstr(job_recall(job, "Key"), ==, "without a ledger");
        job->ledger = ledger;
        job->id = 17;
        g_assert_true(job_remember(job, "Key", "value", NULL));
        text = test_read(directory, "tasks/17.memory");
        g_assert_nonnull(strstr(text, "Key=value\n"));
        job_unref(job);
        ledger_free(ledger);
}

static void on_record(uint32_t id, GKeyFile *record, void *userdata) {
        Job *job = userdata;

        g_autofree char *text = g_key_file_get_string(record, LEDGER_MEMORY, "List", NULL);

        g_assert_true(job_remember(job, "List", text, NULL));
}

static void a_list_may_hold_anything_and_comes_back_from_the_ledger(void) {
        static const char *const list[] = {
                        "/a\nb", "", " c;d\\s;", "[Memory]\nList=x", "\t#ä", "", NULL};
        auto_directory directory = test_directory_new();
        Ledger *ledger = ledger_new(directory, NULL);
        Job *job = make_job(SUCCEED), *next = make_job(SUCCEED);
        g_auto(GStrv) nothing = job_recall_list(job, "List"), recalled = NULL, loaded = NULL;

        g_assert_cmpuint(g_strv_length(nothing), ==, 0);
        test_write(directory, "tasks/1", "[Task]\n");
        job->ledger = ledger;
        job->id = 1;
        g_assert_true(job_remember_list(job, "List", list, NULL));
        recalled = job_recall_list(job, "List");
        g_assert_true(g_strv_equal((const char *const *) recalled, list));
        ledger_load(ledger, on_record, next);
        loaded = job_recall_list(next, "List");
        g_assert_true(g_strv_equal((const char *const *) loaded, list));
        job_unref(job);
        job_unref(next);
        ledger_free(ledger);
}

/* Parts */

static void unref(void *job) {
        job_unref(job);
}

static Job *add_part(Job *whole, const char *name) {
        Job *part = make_job_of(&settled, JOB_RUN, house.backend, "");

        if (!whole->parts)
                whole->parts = g_ptr_array_new_with_free_func(unref);
        part->owner = (void *) name;
        g_ptr_array_add(whole->parts, part);
        return part;
}

static void a_part_is_run_and_reported(void) {
        Job *part = make_job(SUCCEED);

        part->owner = (void *) "a";
        g_assert_true(job_run_part(part, NULL));
        g_assert_true(part->ended && part->succeeded);
        test_drain(house.event);
        g_assert_cmpstr(reports->str, ==, "ended:a ");
        job_unref(part);
}

static void a_part_that_is_taken_over_is_settled(void) {
        Job *part = make_job_of(&settled, JOB_SETTLE, house.backend, "");

        settle_behaviour = SUCCEED;
        g_assert_true(job_run_part(part, NULL));
        g_assert_cmpuint(runs, ==, 0);
        g_assert_cmpuint(settles, ==, 1);
        test_drain(house.event);
        job_unref(part);
}

static void the_error_of_a_part_is_copied(void) {
        g_autoptr(GError) error = NULL;
        Job *part = make_job(FAIL);

        g_assert_false(job_run_part(part, &error));
        g_assert_true(error != part->error);
        g_assert_cmpstr(error->message, ==, part->error->message);
        assert_error(error, DISK_FULL);
        test_drain(house.event);
        job_unref(part);
}

static void a_part_that_fails_without_error_has_one(void) {
        g_autoptr(GError) error = NULL;
        Job *part = make_job(FAIL_SILENTLY);

        g_assert_false(job_run_part(part, &error));
        assert_error(error, FAILED);
        test_drain(house.event);
        job_unref(part);
}

static void a_part_that_was_cancelled_says_so(void) {
        g_autoptr(GError) error = NULL;
        Job *part = make_job(SUCCEED);

        atomic_store(&part->fate, JOB_CANCELLED);
        g_assert_false(job_run_part(part, &error));
        g_assert_cmpuint(runs, ==, 0);
        assert_error(error, CANCELLED);
        test_drain(house.event);
        job_unref(part);
}

static void a_part_ends_as_it_is_told(void) {
        Job *part = make_job(SUCCEED);

        job_end_part(part, NULL);
        g_assert_true(part->ended && part->succeeded);
        job_end_part(part, g_error_new_literal(VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL, "full"));
        g_assert_false(part->succeeded);
        g_assert_error(part->error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL);
        g_assert_cmpuint(runs, ==, 0);
        test_drain(house.event);
        job_unref(part);
}

static void the_facts_of_a_part_are_read_at_its_end(void) {
        Job *part = make_job_of(&settled, JOB_RUN, house.backend, MACHINE_UUID);

        job_end_part(part, NULL);
        g_assert_cmpstr(part->after->name, ==, "test");
        test_drain(house.event);
        job_unref(part);
}

/* The first part does, the others are left. */
static bool run_first_part(Job *job, GError **error) {
        return job_run_part(job->parts->pdata[0], NULL) && behave(job, settle_behaviour, error);
}

static const Operation first_only = {.name = "first", .run = run_first_part};

static void parts_that_are_left_end_with_success(void) {
        Job *whole = make_job_of(&first_only, JOB_RUN, house.backend, "");

        run_behaviour = settle_behaviour = SUCCEED;
        (void) add_part(whole, "a");
        (void) add_part(whole, "b");
        g_assert_true(execute(whole));
        g_assert_true(((Job *) whole->parts->pdata[1])->succeeded);
        g_assert_cmpstr(reports->str, ==, "ended:a ended:b ");
        g_assert_cmpuint(runs, ==, 1);
        job_unref(whole);
}

static void parts_that_are_left_end_with_the_error(void) {
        Job *whole = make_job_of(&first_only, JOB_RUN, house.backend, "");
        Job *first = add_part(whole, "a"), *second = add_part(whole, "b");

        run_behaviour = SUCCEED;
        settle_behaviour = FAIL;
        g_assert_false(execute(whole));
        g_assert_true(first->succeeded);
        g_assert_error(second->error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL);
        g_assert_true(second->error != whole->error);
        job_unref(whole);
}

static void a_part_that_can_not_be_synced_prevents_the_run_of_all(void) {
        auto_directory directory = test_directory_new();
        Ledger *ledger = ledger_new(directory, NULL);
        Job *whole = make_job_of(&settled, JOB_RUN, house.backend, "");
        Job *part = add_part(whole, "a");

        part->ledger = ledger;
        part->id = 17;
        runs = 0;
        g_assert_false(execute(whole));
        g_assert_cmpuint(runs, ==, 0);
        g_assert_nonnull(part->error);
        job_unref(whole);
        ledger_free(ledger);
}

static void the_last_reference_frees(void) {
        Job *job = make_job(SUCCEED);

        g_assert_true(job_ref(job) == job);
        g_assert_null(job_unref(job));
        g_assert_cmpuint(job->references, ==, 1);
        g_assert_null(job_unref(job));
        g_assert_null(job_unref(NULL));
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        house_build();
        reports = g_string_new(NULL);
        ADD(a_job_succeeds);
        ADD(a_failed_job_carries_its_error);
        ADD(a_failure_without_error_is_failed);
        ADD(a_cancelled_job_that_fails_was_cancelled);
        ADD(a_cancel_that_came_too_late_does_not_hide_success);
        ADD(a_cancel_before_the_run_keeps_it_from_beginning);
        ADD(a_commit_is_reported_once);
        ADD(a_cancelled_job_can_not_commit);
        ADD(reports_arrive_in_order);
        ADD(a_job_taken_over_is_settled_and_not_run);
        ADD(a_job_that_has_lost_its_memory_is_not_settled);
        ADD(a_job_that_can_not_be_settled_was_interrupted);
        ADD(a_lost_connection_is_settled);
        ADD(settling_finds_out_the_failure);
        ADD(a_connection_may_be_lost_again);
        ADD(without_a_connection_nothing_is_run);
        ADD(a_cancel_does_not_end_the_wait_for_the_hypervisor);
        ADD(facts_are_read_afterwards);
        ADD(a_machine_that_is_gone_is_noticed);
        ADD(a_record_that_can_not_be_synced_prevents_the_run);
        ADD(what_a_job_remembers_is_in_the_ledger_at_once);
        ADD(a_list_may_hold_anything_and_comes_back_from_the_ledger);
        ADD(a_part_is_run_and_reported);
        ADD(a_part_that_is_taken_over_is_settled);
        ADD(the_error_of_a_part_is_copied);
        ADD(a_part_that_fails_without_error_has_one);
        ADD(a_part_that_was_cancelled_says_so);
        ADD(a_part_ends_as_it_is_told);
        ADD(the_facts_of_a_part_are_read_at_its_end);
        ADD(parts_that_are_left_end_with_success);
        ADD(parts_that_are_left_end_with_the_error);
        ADD(a_part_that_can_not_be_synced_prevents_the_run_of_all);
        ADD(the_last_reference_frees);
        status = g_test_run();
        g_string_free(reports, TRUE);
        return status;
}
