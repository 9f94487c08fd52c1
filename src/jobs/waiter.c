/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A waiter is a call that is not answered yet. It ends with the task, with its time, or with its
 * sender. */

#include "jobs/waiter.h"

#include "bus/bus-error.h"

#define TIMEOUT_MAX_MSEC 4000000 /* of the documents */
#define ACCURACY_USEC    1000    /* 0 would mean a quarter of a second */

typedef struct Waiter {
        Task *task;
        WaiterKind kind;
        sd_bus_message *call;
        sd_event_source *timer;
        PeerWatch *watch;
} Waiter;

static void waiter_free(Waiter *waiter) {
        g_queue_remove(&waiter->task->waiters, waiter);
        sd_event_source_disable_unref(waiter->timer);
        peer_watch_free(waiter->watch);
        sd_bus_message_unref(waiter->call);
        g_free(waiter);
}

static void answer(sd_bus_message *call, WaiterKind kind, const Task *task) {
        g_autoptr(GError) late = NULL;
        bool complete = task_is_complete(task);

        if (kind == WAITER_COMPLETION)
                (void) sd_bus_reply_method_return(call, "b", complete);
        else if (complete && !task->error)
                (void) sd_bus_reply_method_return(call, "o", task->result_object ?: "/");
        else if (complete)
                (void) bus_reply_error(call, task->error);
        else {
                g_set_error(&late, VIRTASK_ERROR, VIRTASK_ERROR_TIMED_OUT,
                                "Task %u has not ended yet", task->id);
                (void) bus_reply_error(call, late);
        }
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Waiter *waiter = userdata;

        answer(waiter->call, waiter->kind, waiter->task);
        waiter_free(waiter);
        return 0;
}

static void on_sender_gone(void *userdata) {
        waiter_free(userdata);
}

static bool check(const Task *task, int timeout_msec, unsigned limit, GError **error) {
        if (timeout_msec < -1 || timeout_msec > TIMEOUT_MAX_MSEC) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The timeout must be -1 or 0 to %d milliseconds", TIMEOUT_MAX_MSEC);
                return false;
        }
        if (task->waiters.length >= limit) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_LIMITS_EXCEEDED,
                                "%u callers wait for the task already", task->waiters.length);
                return false;
        }
        return true;
}

bool waiter_add(Task *task,
                sd_bus_message *call,
                WaiterKind kind,
                int timeout_msec,
                GError **error) {
        const TaskListContext *context = task_list_context(task->list);
        Waiter *waiter;

        if (!check(task, timeout_msec, context->limits.waiters, error))
                return false;
        if (task_is_complete(task) || timeout_msec == 0) {
                answer(call, kind, task);
                return true;
        }

        waiter = g_new0(Waiter, 1);
        waiter->task = task;
        waiter->kind = kind;
        waiter->call = sd_bus_message_ref(call);
        g_queue_push_tail(&task->waiters, waiter);
        waiter->watch = peer_watch_new(context->peers, call, on_sender_gone, waiter);
        if (timeout_msec > 0)
                (void) sd_event_add_time_relative(sd_bus_get_event(context->bus), &waiter->timer,
                                CLOCK_MONOTONIC, (uint64_t) timeout_msec * 1000, ACCURACY_USEC,
                                on_timeout, waiter);
        if (!waiter->watch)
                waiter_free(waiter);
        return true;
}

void waiter_answer_all(Task *task) {
        Waiter *waiter;

        while ((waiter = g_queue_peek_head(&task->waiters))) {
                answer(waiter->call, waiter->kind, task);
                waiter_free(waiter);
        }
}
