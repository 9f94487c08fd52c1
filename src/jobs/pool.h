/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Threads for calls that block, in lanes that do not wait for each other. All functions: loop. */

#include <stdbool.h>

#include "jobs/operation.h"
#include "util/mailbox.h"

typedef struct Pool Pool;

/* One piece of work, owned by the caller until done() is called or pool_withdraw() succeeds. */
typedef struct PoolWork {
        void (*begun)(void *data); /* loop, when a thread takes it up; may be NULL */
        void (*run)(void *data);   /* worker */
        void (*done)(void *data);  /* loop, after run() */
        void *data;
        /* The pool's own: */
        Pool *pool;
        Lane lane;
        struct PoolWork *next;
} PoolWork;

/* "threads" per lane. Threads start when they are first needed and then stay. The mailbox outlives
 * the pool. */
Pool *pool_new(Mailbox *mailbox, const unsigned threads[LANE_COUNT]);

/* The begun() of work that finds a free thread is called before this returns. */
void pool_submit(Pool *pool, Lane lane, PoolWork *work);

/* Takes back work that has not begun. */
bool pool_withdraw(Pool *pool, PoolWork *work);

/* Whether work is in progress or waiting. */
bool pool_is_busy(Pool *pool);
