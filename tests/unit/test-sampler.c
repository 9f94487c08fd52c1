/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "sampler"

#include "house.h"
#include "jobs/sampler.h"

#define INTERVAL_USEC 1000
#define JOBS          3

/* One job and how its operation answers. */
typedef struct Subject {
        Job *job;
        _Atomic int progress_calls, cancel_calls;
        _Atomic int inside, inside_max; /* calls at the same time */
        _Atomic bool unknown;           /* progress() does not know */
        Gate *gate;                     /* progress() waits at it */
        Gate *cancel_gate;              /* cancel() waits at it */
        unsigned measured;
        bool quiet;
} Subject;

static Subject subjects[JOBS];
static Sampler *sampler;

static Subject *subject_of(Job *job) {
        for (unsigned i = 0; i < JOBS; i++)
                if (subjects[i].job == job)
                        return &subjects[i];
        g_assert_not_reached();
}

static void enter(Subject *subject) {
        int inside = ++subject->inside;

        if (inside > subject->inside_max)
                subject->inside_max = inside;
}

static void wait_at(Gate *gate) {
        if (!gate)
                return;
        pthread_mutex_lock(&gate->lock);
        while (!gate->open)
                pthread_cond_wait(&gate->changed, &gate->lock);
        pthread_mutex_unlock(&gate->lock);
}

static bool test_progress(Job *job, Progress *ret) {
        Subject *subject = subject_of(job);

        enter(subject);
        subject->progress_calls++;
        wait_at(subject->gate);
        *ret = (Progress){17, 100};
        subject->inside--;
        return !subject->unknown;
}

static void test_cancel(Job *job) {
        Subject *subject = subject_of(job);

        enter(subject);
        subject->cancel_calls++;
        wait_at(subject->cancel_gate);
        subject->inside--;
}

static const Operation measured_operation = {.progress = test_progress, .cancel = test_cancel};
static const Operation cancel_only_operation = {.cancel = test_cancel};
static const Operation silent_operation = {.name = "silent"};

static void on_measured(Job *job, const Progress *progress) {
        Subject *subject = subject_of(job);

        g_assert_cmpuint(progress->done, ==, 17);
        g_assert_cmpuint(progress->total, ==, 100);
        subject->measured++;
}

static void on_quiet(Job *job) {
        subject_of(job)->quiet = true;
}

static const SamplerHooks hooks = {on_measured, on_quiet};

static void setup(const Operation *operation) {
        for (unsigned i = 0; i < JOBS; i++) {
                subjects[i] = (Subject){.gate = NULL};
                subjects[i].job = job_new(
                                operation, JOB_RUN, house.backend, house.mailbox, "", NULL, NULL);
                subjects[i].job->owner = &subjects[i];
        }
        sampler = sampler_new(house.event, house.pool, INTERVAL_USEC, &hooks);
}

static void teardown(void) {
        for (unsigned i = 0; i < JOBS; i++)
                (void) sampler_remove(sampler, subjects[i].job);
        drive_until(house.event, !pool_is_busy(house.pool));
        for (unsigned i = 0; i < JOBS; i++)
                job_unref(subjects[i].job);
        sampler = sampler_free(sampler);
}

static void a_job_is_measured_again_and_again(void) {
        setup(&measured_operation);
        sampler_add(sampler, subjects[0].job);
        drive_until(house.event, subjects[0].measured >= 5);
        g_assert_cmpint(subjects[0].inside_max, ==, 1);
        teardown();
}

static void a_question_that_hangs_is_not_asked_again(void) {
        Gate gate = GATE_INIT;

        setup(&measured_operation);
        subjects[0].gate = &gate;
        sampler_add(sampler, subjects[0].job);
        sampler_add(sampler, subjects[1].job);
        /* The other one is asked on. */
        drive_until(house.event, subjects[1].measured >= 10);
        g_assert_cmpint(subjects[0].progress_calls, ==, 1);
        gate_open(&gate);
        drive_until(house.event, subjects[0].measured >= 2);
        g_assert_cmpint(subjects[0].inside_max, ==, 1);
        teardown();
}

static void what_is_not_known_is_not_told(void) {
        setup(&measured_operation);
        subjects[0].unknown = true;
        sampler_add(sampler, subjects[0].job);
        drive_until(house.event, subjects[0].progress_calls >= 5);
        g_assert_cmpuint(subjects[0].measured, ==, 0);
        teardown();
}

static void a_cancel_is_repeated_until_the_job_is_home(void) {
        int calls;

        setup(&measured_operation);
        sampler_add(sampler, subjects[0].job);
        sampler_cancel(sampler, subjects[0].job);
        drive_until(house.event, subjects[0].cancel_calls >= 5);
        (void) sampler_remove(sampler, subjects[0].job);
        drive_until(house.event, !pool_is_busy(house.pool));
        calls = subjects[0].cancel_calls;
        sampler_add(sampler, subjects[1].job);
        drive_until(house.event, subjects[1].measured >= 5);
        g_assert_cmpint(subjects[0].cancel_calls, ==, calls);
        g_assert_cmpint(subjects[0].inside_max, ==, 1);
        teardown();
}

static void a_cancel_is_asked_at_once(void) {
        setup(&cancel_only_operation);
        sampler = sampler_free(sampler);
        sampler = sampler_new(house.event, house.pool, 1000 * G_USEC_PER_SEC, &hooks);
        sampler_add(sampler, subjects[0].job);
        sampler_cancel(sampler, subjects[0].job);
        drive_until(house.event, !pool_is_busy(house.pool));
        g_assert_cmpint(subjects[0].cancel_calls, ==, 1);
        teardown();
}

static void a_cancel_does_not_wait_for_a_question_that_hangs(void) {
        Gate gate = GATE_INIT;

        setup(&measured_operation);
        subjects[0].gate = &gate;
        sampler_add(sampler, subjects[0].job);
        drive_until(house.event, subjects[0].progress_calls == 1);
        sampler_cancel(sampler, subjects[0].job);
        drive_until(house.event, subjects[0].cancel_calls >= 2);
        gate_open(&gate);
        teardown();
        g_assert_cmpuint(subjects[0].measured, ==, 0);
}

static void a_cancel_that_is_under_way_is_waited_for(void) {
        Gate gate = GATE_INIT;

        setup(&measured_operation);
        subjects[0].cancel_gate = &gate;
        sampler_add(sampler, subjects[0].job);
        sampler_cancel(sampler, subjects[0].job);
        drive_until(house.event, subjects[0].cancel_calls == 1);
        g_assert_false(sampler_remove(sampler, subjects[0].job));
        g_assert_false(subjects[0].quiet);
        gate_open(&gate);
        drive_until(house.event, subjects[0].quiet);
        g_assert_cmpint(subjects[0].cancel_calls, ==, 1);
        teardown();
}

static void an_answer_after_the_end_is_dropped(void) {
        Gate gate = GATE_INIT;

        setup(&measured_operation);
        subjects[0].gate = &gate;
        sampler_add(sampler, subjects[0].job);
        drive_until(house.event, subjects[0].progress_calls == 1);
        sampler_remove(sampler, subjects[0].job);
        gate_open(&gate);
        drive_until(house.event, !pool_is_busy(house.pool));
        g_assert_cmpuint(subjects[0].measured, ==, 0);
        teardown();
}

static void a_question_keeps_the_job_alive(void) {
        Gate gate = GATE_INIT;
        Job *job;

        setup(&measured_operation);
        subjects[0].gate = &gate;
        job = subjects[0].job;
        sampler_add(sampler, job);
        drive_until(house.event, subjects[0].progress_calls == 1);
        g_assert_cmpuint(job->references, ==, 2);
        gate_open(&gate);
        teardown();
}

static void a_job_without_questions_is_left_alone(void) {
        setup(&silent_operation);
        sampler_add(sampler, subjects[0].job);
        sampler_cancel(sampler, subjects[0].job);
        g_assert_cmpint(sd_event_run(house.event, 5 * (uint64_t) INTERVAL_USEC), ==, 0);
        teardown();
}

static void nothing_wakes_the_loop_without_jobs(void) {
        setup(&measured_operation);
        sampler_add(sampler, subjects[0].job);
        drive_until(house.event, subjects[0].measured >= 1);
        (void) sampler_remove(sampler, subjects[0].job);
        drive_until(house.event, !pool_is_busy(house.pool));
        /* The timer that is set may still come, once. */
        (void) sd_event_run(house.event, 5 * (uint64_t) INTERVAL_USEC);
        g_assert_cmpint(sd_event_run(house.event, 5 * (uint64_t) INTERVAL_USEC), ==, 0);
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        house_build();
        ADD(a_job_is_measured_again_and_again);
        ADD(a_question_that_hangs_is_not_asked_again);
        ADD(what_is_not_known_is_not_told);
        ADD(a_cancel_is_repeated_until_the_job_is_home);
        ADD(a_cancel_is_asked_at_once);
        ADD(a_cancel_does_not_wait_for_a_question_that_hangs);
        ADD(a_cancel_that_is_under_way_is_waited_for);
        ADD(an_answer_after_the_end_is_dropped);
        ADD(a_question_keeps_the_job_alive);
        ADD(a_job_without_questions_is_left_alone);
        ADD(nothing_wakes_the_loop_without_jobs);
        return g_test_run();
}
