/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A question is a libvirt call, and it may block as long as the operation itself. So it is asked on
 * a worker, at most one per job at a time. Cancelling is a question of its own, which does not wait
 * for one that hangs, and is repeated until the job has come home, because the first may come
 * before there is anything to abort.
 *
 * One timer serves all jobs, and it is off while there are none. */

#include "jobs/sampler.h"

typedef struct Subject {
        Job *job;
        bool cancelling;
        bool asking[2]; /* for the progress; to stop */
        bool home;      /* and only its last question is waited for */
} Subject;

typedef struct Question {
        PoolWork work;
        Sampler *sampler;
        Job *job;
        bool cancel;
        bool answered;
        Progress progress;
} Question;

struct Sampler {
        Pool *pool;
        uint64_t interval;
        const SamplerHooks *hooks;
        GHashTable *subjects; /* Job * -> Subject, owned */
        sd_event_source *timer;
};

/* Worker. */
static void question_run(void *data) {
        Question *question = data;
        const Operation *operation = question->job->operation;

        if (!question->cancel)
                question->answered = operation->progress(question->job, &question->progress);
        else if (!job_is_disowned(question->job))
                operation->cancel(question->job);
}

static void question_done(void *data) {
        g_autofree Question *question = data;
        Sampler *sampler = question->sampler;
        Subject *subject = g_hash_table_lookup(sampler->subjects, question->job);

        if (subject) {
                subject->asking[question->cancel] = false;
                if (question->answered && !subject->cancelling)
                        sampler->hooks->measured(question->job, &question->progress);
                if (subject->home && question->cancel) {
                        g_hash_table_remove(sampler->subjects, question->job);
                        sampler->hooks->quiet(question->job);
                }
        }
        job_unref(question->job);
}

static void ask(Sampler *sampler, Subject *subject) {
        const Operation *operation = subject->job->operation;
        bool cancel = subject->cancelling;
        Question *question;

        if (subject->home || subject->asking[cancel] ||
                        (cancel ? !operation->cancel : !operation->progress))
                return;

        question = g_new0(Question, 1);
        question->sampler = sampler;
        question->job = job_ref(subject->job);
        question->cancel = cancel;
        question->work = (PoolWork){.run = question_run, .done = question_done, .data = question};
        subject->asking[cancel] = true;
        pool_submit(sampler->pool, LANE_QUERY, &question->work);
}

/* A timer that is set already keeps its time, or a stream of new jobs would put off the questions
 * for ever. */
static void set_timer(Sampler *sampler) {
        if (sd_event_source_get_enabled(sampler->timer, NULL) != 0)
                return;
        if (sd_event_source_set_time_relative(sampler->timer, sampler->interval) >= 0)
                (void) sd_event_source_set_enabled(sampler->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Sampler *sampler = userdata;
        GHashTableIter iter;
        void *subject;

        g_hash_table_iter_init(&iter, sampler->subjects);
        while (g_hash_table_iter_next(&iter, NULL, &subject))
                ask(sampler, subject);
        if (g_hash_table_size(sampler->subjects) > 0)
                set_timer(sampler);
        return 0;
}

Sampler *sampler_new(
                sd_event *event, Pool *pool, uint64_t interval_usec, const SamplerHooks *hooks) {
        Sampler *sampler = g_new0(Sampler, 1);
        int r;

        sampler->pool = pool;
        sampler->interval = interval_usec;
        sampler->hooks = hooks;
        sampler->subjects = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        r = sd_event_add_time_relative(event, &sampler->timer, CLOCK_MONOTONIC, interval_usec,
                        interval_usec / 20, on_timer, sampler);
        if (r < 0)
                g_error("Failed to add a timer: %s", g_strerror(-r));
        (void) sd_event_source_set_enabled(sampler->timer, SD_EVENT_OFF);
        return sampler;
}

Sampler *sampler_free(Sampler *sampler) {
        if (!sampler)
                return NULL;
        sd_event_source_disable_unref(sampler->timer);
        g_hash_table_destroy(sampler->subjects);
        g_free(sampler);
        return NULL;
}

void sampler_add(Sampler *sampler, Job *job) {
        Subject *subject;

        if (!job->operation->progress && !job->operation->cancel)
                return;
        subject = g_new0(Subject, 1);
        subject->job = job;
        g_hash_table_insert(sampler->subjects, job, subject);
        set_timer(sampler);
}

void sampler_cancel(Sampler *sampler, Job *job) {
        Subject *subject = g_hash_table_lookup(sampler->subjects, job);

        if (!subject)
                return;
        subject->cancelling = true;
        ask(sampler, subject);
        set_timer(sampler);
}

bool sampler_remove(Sampler *sampler, Job *job) {
        Subject *subject = g_hash_table_lookup(sampler->subjects, job);

        if (subject && subject->asking[true]) {
                subject->home = true;
                return false;
        }
        g_hash_table_remove(sampler->subjects, job);
        return true;
}
