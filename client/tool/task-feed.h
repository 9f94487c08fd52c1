/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A set of tasks that is kept up to date from the bus, race-free: made before the call that starts
 * a task. */

#include "session.h"
#include "task-info.h"

typedef struct TaskFeed TaskFeed;

typedef struct FeedTask {
        TaskFeed *feed;
        TaskInfo info;
        bool ready;        /* info has been read, its subject_name too */
        bool finished;     /* ended, or lost; a hook may set it to hear no more of the task */
        sd_bus_error lost; /* why nothing more can be known about it; empty if it ended */

        sd_bus_slot *slot;
        sd_bus_slot *cancel_slot;
        unsigned drawn_percent; /* of progress.c */
        uint64_t drawn_time;
} FeedTask;

/* All hooks run on the event loop and may not free the feed. */
typedef struct TaskFeedHooks {
        void (*on_changed)(
                        FeedTask *t, void *userdata); /* first reading, later ones; may be NULL */
        void (*on_finished)(FeedTask *t, void *userdata); /* once for each task */
        void (*on_away)(bool away,
                        void *userdata); /* the service vanished, or is back; may be NULL */
        void (*on_gone)(const char *why,
                        void *userdata); /* it did not come back, or the bus is lost */
} TaskFeedHooks;

/* Subscribes; the bus must be attached to an event loop. Prints what fails and returns NULL. */
TaskFeed *task_feed_new(Session *s, const TaskFeedHooks *hooks, void *userdata);
TaskFeed *task_feed_free(TaskFeed *feed);
static inline void task_feed_freep(TaskFeed **feed) {
        (void) task_feed_free(*feed);
}

/* Follows one more task; does nothing if it is followed already. @subject_name may be NULL: then it
 * is looked up. */
void task_feed_add(TaskFeed *feed, const char *path, const char *subject_name);

/* From now on follows every task that is announced. */
int task_feed_follow_new(TaskFeed *feed);

/* In the order in which they were added; the array is valid until the next task_feed_add(). */
FeedTask *const *task_feed_tasks(const TaskFeed *feed, size_t *ret_count);
size_t task_feed_count_unfinished(const TaskFeed *feed);
