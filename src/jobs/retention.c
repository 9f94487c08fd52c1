/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A queue, oldest first, and a timer for each task in it. Those that are kept have no timer and do
 * not count: they must not push out the others. */

#include "jobs/retention.h"

#include "util/log.h"

#define ACCURACY_USEC G_USEC_PER_SEC

struct Retention {
        sd_event *event;
        unsigned limit;
        uint64_t usec;
        void (*forget)(Task *task);
        GQueue finished; /* of Task, oldest first, not owned */
};

Retention *retention_new(
                sd_event *event, unsigned limit, uint64_t usec, void (*forget)(Task *task)) {
        Retention *retention = g_new0(Retention, 1);

        retention->event = event;
        retention->limit = limit;
        retention->usec = usec;
        retention->forget = forget;
        return retention;
}

Retention *retention_free(Retention *retention) {
        if (!retention)
                return NULL;
        g_queue_clear(&retention->finished);
        g_free(retention);
        return NULL;
}

/* A task that is taken over from an earlier daemon may have ended long ago. */
static uint64_t time_left(const Retention *retention, const Task *task) {
        gint64 age = MAX(g_get_real_time() - task->finished, 0);

        return (uint64_t) age < retention->usec ? retention->usec - (uint64_t) age : 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Task *task = userdata;

        task->retention->forget(task);
        return 0;
}

void retention_set_time(Retention *retention, Task *task) {
        int r;

        task->retention = retention;
        task->expiry = sd_event_source_disable_unref(task->expiry);
        if (task->keep)
                return;
        r = sd_event_add_time_relative(retention->event, &task->expiry, CLOCK_MONOTONIC,
                        time_left(retention, task), ACCURACY_USEC, on_time, task);
        if (r < 0)
                log_warning("Failed to add a timer: %s", g_strerror(-r));
}

static unsigned count_forgettable(const Retention *retention) {
        unsigned n = 0;

        for (GList *link = retention->finished.head; link; link = link->next)
                n += !((Task *) link->data)->keep;
        return n;
}

void retention_add(Retention *retention, Task *task) {
        unsigned n;

        g_queue_push_tail(&retention->finished, task);
        retention_set_time(retention, task);

        n = count_forgettable(retention);
        for (GList *link = retention->finished.head, *next; link && n > retention->limit;
                        link = next) {
                next = link->next;
                if (((Task *) link->data)->keep)
                        continue;
                retention->forget(link->data);
                n--;
        }
}

void retention_remove(Retention *retention, Task *task) {
        g_queue_remove(&retention->finished, task);
        task->expiry = sd_event_source_disable_unref(task->expiry);
}
