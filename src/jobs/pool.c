/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A call into libvirt may block for minutes, and a thread that blocks can't be taken back. So each
 * lane has a fixed number of threads, and what waits for one waits here on the loop, where it can
 * be withdrawn and where it is known what has begun. A thread is given work only when it is free;
 * between the loop and the threads of a lane there is one list behind a mutex.
 *
 * There is no way to end the threads: the process ends with _exit(), because one of them may hang
 * for ever. */

#include "jobs/pool.h"

#include <pthread.h>

typedef struct LaneState {
        /* Loop only. */
        unsigned threads_max, threads;
        unsigned in_progress;
        PoolWork *waiting;
        PoolWork **waiting_end;

        /* Shared, behind the lock. */
        pthread_mutex_t lock;
        pthread_cond_t more;
        PoolWork *ready;
        PoolWork **ready_end;
} LaneState;

struct Pool {
        Mailbox *mailbox;
        LaneState lanes[LANE_COUNT];
};

static void on_done(void *data);

static void *lane_thread(void *data) {
        LaneState *lane = data;

        for (;;) {
                PoolWork *work;

                pthread_mutex_lock(&lane->lock);
                while (!lane->ready)
                        pthread_cond_wait(&lane->more, &lane->lock);
                work = lane->ready;
                lane->ready = work->next;
                if (!lane->ready)
                        lane->ready_end = &lane->ready;
                pthread_mutex_unlock(&lane->lock);

                work->run(work->data);
                mailbox_post(work->pool->mailbox, on_done, work);
        }
        return NULL;
}

Pool *pool_new(Mailbox *mailbox, const unsigned threads[LANE_COUNT]) {
        Pool *pool = g_new0(Pool, 1);

        pool->mailbox = mailbox;
        for (unsigned i = 0; i < LANE_COUNT; i++) {
                LaneState *lane = &pool->lanes[i];

                lane->threads_max = threads[i];
                lane->waiting_end = &lane->waiting;
                lane->ready_end = &lane->ready;
                pthread_mutex_init(&lane->lock, NULL);
                pthread_cond_init(&lane->more, NULL);
        }
        return pool;
}

static void start_thread(LaneState *lane) {
        pthread_t thread;
        int r = pthread_create(&thread, NULL, lane_thread, lane);

        if (r != 0)
                g_error("Failed to start a thread: %s", g_strerror(r));
        pthread_detach(thread);
        lane->threads++;
}

/* Hands work to the threads; there is one that is free, or may be started. */
static void begin(LaneState *lane, PoolWork *work) {
        lane->in_progress++;
        if (lane->in_progress > lane->threads)
                start_thread(lane);
        if (work->begun)
                work->begun(work->data);

        work->next = NULL;
        pthread_mutex_lock(&lane->lock);
        *lane->ready_end = work;
        lane->ready_end = &work->next;
        pthread_cond_signal(&lane->more);
        pthread_mutex_unlock(&lane->lock);
}

static void begin_waiting(LaneState *lane) {
        while (lane->waiting && lane->in_progress < lane->threads_max) {
                PoolWork *work = lane->waiting;

                lane->waiting = work->next;
                if (!lane->waiting)
                        lane->waiting_end = &lane->waiting;
                begin(lane, work);
        }
}

static void on_done(void *data) {
        PoolWork *work = data;
        LaneState *lane = &work->pool->lanes[work->lane];

        lane->in_progress--;
        work->done(work->data); /* frees the work */
        begin_waiting(lane);
}

void pool_submit(Pool *pool, Lane lane_id, PoolWork *work) {
        LaneState *lane = &pool->lanes[lane_id];

        work->pool = pool;
        work->lane = lane_id;
        work->next = NULL;
        *lane->waiting_end = work;
        lane->waiting_end = &work->next;
        begin_waiting(lane);
}

bool pool_withdraw(Pool *pool, PoolWork *work) {
        LaneState *lane = &pool->lanes[work->lane];

        for (PoolWork **link = &lane->waiting; *link; link = &(*link)->next) {
                if (*link != work)
                        continue;
                *link = work->next;
                if (lane->waiting_end == &work->next)
                        lane->waiting_end = link;
                return true;
        }
        return false;
}

bool pool_is_busy(Pool *pool) {
        for (unsigned i = 0; i < LANE_COUNT; i++)
                if (pool->lanes[i].in_progress > 0 || pool->lanes[i].waiting)
                        return true;
        return false;
}
