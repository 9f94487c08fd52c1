/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The heart of the tool: makes the calls, follows the tasks with a TaskFeed, shows progress, and
 * turns the ends into results, messages and an exit code. One sd-event loop; signals arrive through
 * it (signalfd), never in a handler.
 *
 *     Ctrl-C           first: Task.Cancel for every unfinished task, then wait for the truth.
 * Second: leave. With --detach-on-interrupt: leave, the tasks go on. SIGTERM, SIGHUP  leave, the
 * tasks go on: a lost connection must not abort a save.
 *
 * Calls are made one at a time, because each may raise a dialog; no bar is drawn over a dialog of
 * our own agent. */

#include <signal.h>
#include <string.h>

#include "agent.h"
#include "event-loop.h"
#include "message.h"
#include "progress.h"
#include "text.h"
#include "wait-task.h"

/* After Ctrl-C an unanswered call gets this long to name the task that is to be cancelled. */
#define ANSWER_USEC (3 * USEC_PER_SEC)
/* And the first reading of a task has at least this long, however short --timeout is. */
#define READ_USEC (2 * USEC_PER_SEC)

typedef struct PendingCall {
        sd_bus_message *message;
        char *what;
        char *subject_name;
} PendingCall;

struct TaskWait {
        Session *session;
        TaskWaitMode mode;
        sd_event *event;
        TaskFeed *feed;
        Progress *progress;
        sd_event_source *tick;
        PendingCall *calls;
        size_t n_calls;
        size_t next_call;
        sd_bus_slot *call_slot; /* of the call under way */
        bool timeout_armed;
        bool timeout_extended;
        bool interrupted;
        bool any_ended;
        bool left;
        ExitCode worst;
};

TaskWait *task_wait_free(TaskWait *w) {
        if (!w)
                return NULL;
        progress_free(w->progress);
        sd_bus_slot_unref(w->call_slot);
        sd_event_source_disable_unref(w->tick);
        task_feed_free(w->feed);
        for (size_t i = 0; i < w->n_calls; i++) {
                sd_bus_message_unref(w->calls[i].message);
                free(w->calls[i].what);
                free(w->calls[i].subject_name);
        }
        free(w->calls);
        (void) sd_bus_detach_event(w->session->bus);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

static void leave(TaskWait *w, ExitCode code) {
        progress_hide(w->progress);
        w->worst = exit_code_worst(w->worst, code);
        w->left = true;
        (void) sd_event_exit(w->event, 0);
}

static bool calls_are_done(const TaskWait *w) {
        return !w->call_slot && w->next_call == w->n_calls;
}

static void leave_if_done(TaskWait *w) {
        if (calls_are_done(w) &&
                        (task_feed_count_unfinished(w->feed) == 0 || (w->mode.any && w->any_ended)))
                leave(w, EXIT_CODE_OK);
}

/* "task 9" or "tasks 9, 10": the unfinished ones; NULL if there are none. */
static char *unfinished_tasks(const TaskWait *w) {
        _cleanup_buffer_ Buffer b = {0};
        size_t count, unfinished = task_feed_count_unfinished(w->feed);
        FeedTask *const *tasks = task_feed_tasks(w->feed, &count);

        if (unfinished == 0)
                return NULL;
        for (size_t i = 0; i < count; i++)
                if (!tasks[i]->finished)
                        buffer_add_format(&b, "%s%s",
                                        b.length > 0     ? ", "
                                        : unfinished > 1 ? "tasks "
                                                         : "task ",
                                        task_info_number(tasks[i]->info.path));
        return buffer_steal(&b);
}

static void draw(TaskWait *w) {
        size_t count;
        FeedTask *const *tasks = task_feed_tasks(w->feed, &count);

        if (!w->left && !(w->call_slot && w->session->agent))
                progress_tick(w->progress, tasks, count);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        TaskWait *w = userdata;
        int r;

        draw(w);
        r = sd_event_source_set_time_relative(source, progress_interval(w->progress));
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static bool all_are_ready(const TaskWait *w) {
        size_t count;
        FeedTask *const *tasks = task_feed_tasks(w->feed, &count);

        for (size_t i = 0; i < count; i++)
                if (!tasks[i]->ready && !tasks[i]->finished)
                        return false;
        return true;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        TaskWait *w = userdata;
        _cleanup_free_ char *tasks = unfinished_tasks(w);

        /* A short time must not be over before the service could say that all have ended already.
         */
        if (!w->timeout_extended && !all_are_ready(w)) {
                w->timeout_extended = true;
                (void) sd_event_source_set_time_relative(source, READ_USEC);
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        }
        progress_hide(w->progress);
        message_error("the time is over; still running: %s", tasks ? tasks : "nothing");
        leave(w, EXIT_CODE_TIMEOUT);
        return 0;
}

/* The time of --timeout begins when all tasks have begun: a password dialog is not part of it. */
static void arm_timeout(TaskWait *w) {
        const Options *options = &w->session->options;

        if (options->has_timeout && !w->timeout_armed && !w->left && calls_are_done(w))
                w->timeout_armed = sd_event_add_time_relative(w->event, NULL, CLOCK_MONOTONIC,
                                                   options->timeout_usec, 1, on_timeout, w) >= 0;
}

static int on_cancel_answered(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        FeedTask *t = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        /* One that has just ended tells its end in a moment. */
        if (!error || error_is_already_complete(error->name))
                return 0;
        message_error("task %u can not be cancelled, waiting for its end: %s", t->info.id,
                        error->message ? error->message : error->name);
        return 0;
}

static void cancel(TaskWait *w, FeedTask *t) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(w->session, t->info.path, TASK_INTERFACE, "Cancel");
        int r = sd_bus_call_async(w->session->bus, &t->cancel_slot, m, on_cancel_answered, t,
                        BUS_CLIENT_DIALOG_USEC);

        if (r < 0)
                message_error("cannot cancel task %s: %s", task_info_number(t->info.path),
                                strerror(-r));
}

static void cancel_all(TaskWait *w) {
        size_t count;
        FeedTask *const *tasks = task_feed_tasks(w->feed, &count);

        for (size_t i = 0; i < count; i++)
                if (!tasks[i]->finished && !tasks[i]->cancel_slot)
                        cancel(w, tasks[i]);
}

static int on_answer_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        TaskWait *w = userdata;

        if (!w->call_slot)
                return 0;
        message_error("the service has not answered the call to %s; it may still be carried out",
                        w->calls[w->next_call].what);
        w->call_slot = sd_bus_slot_unref(w->call_slot);
        w->next_call = w->n_calls;
        w->worst = EXIT_CODE_CANCELLED;
        leave_if_done(w);
        return 0;
}

static void interrupt_first(TaskWait *w) {
        _cleanup_free_ char *tasks = unfinished_tasks(w);

        w->interrupted = true;
        if (!w->call_slot)
                w->next_call = w->n_calls;
        if (!tasks && !w->call_slot) {
                leave(w, EXIT_CODE_CANCELLED);
                return;
        }
        message_note("Cancelling %s (press Ctrl-C again to leave without waiting)%s",
                        tasks ? tasks : w->calls[w->next_call].what,
                        text_is_unicode() ? "…" : "...");
        cancel_all(w);
        if (w->call_slot)
                (void) sd_event_add_time_relative(w->event, NULL, CLOCK_MONOTONIC, ANSWER_USEC, 0,
                                on_answer_timeout, w);
}

static void detach(TaskWait *w) {
        _cleanup_free_ char *tasks = unfinished_tasks(w);

        progress_hide(w->progress);
        if (tasks)
                message_note("virtask: left running in the background: %s", tasks);
        leave(w, EXIT_CODE_OK);
}

static int on_interrupt(
                sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        TaskWait *w = userdata;

        progress_hide(w->progress);
        if (!w->mode.cancel_on_interrupt)
                leave(w, EXIT_CODE_CANCELLED);
        else if (w->session->options.detach_on_interrupt)
                detach(w);
        else if (!w->interrupted)
                interrupt_first(w);
        else {
                _cleanup_free_ char *tasks = unfinished_tasks(w);

                message_error("left without waiting; being cancelled: %s",
                                tasks ? tasks : "the call");
                leave(w, EXIT_CODE_CANCELLED);
        }
        return 0;
}

static int on_terminate(
                sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        TaskWait *w = userdata;

        /* Who waits for a task of somebody else may not read a success from our exit code. */
        if (w->mode.cancel_on_interrupt)
                detach(w);
        else
                leave(w, EXIT_CODE_CANCELLED);
        return 0;
}

static void on_changed(FeedTask *t, void *userdata) {
        TaskWait *w = userdata;

        if (!w->session->options.wait && w->n_calls > 0) {
                task_report_json(w->session, &t->info);
                t->finished = true;
                leave_if_done(w);
                return;
        }
        draw(w);
}

static void on_finished(FeedTask *t, void *userdata) {
        TaskWait *w = userdata;

        /* Between the decision to leave and the end of the loop more may arrive; --any has had its
         * one. */
        if (w->left)
                return;
        progress_hide(w->progress);
        w->any_ended = true;
        w->worst = exit_code_worst(w->worst, task_report_end(w->session, t, &w->mode.report));
        leave_if_done(w);
}

static void on_away(bool away, void *userdata) {
        TaskWait *w = userdata;

        progress_hide(w->progress);
        if (!w->session->options.quiet && !w->left)
                message_note(away ? "virtask: the service has gone; waiting for its return"
                                  : "virtask: the service is back");
}

static void on_gone(const char *why, void *userdata) {
        TaskWait *w = userdata;
        _cleanup_free_ char *tasks = unfinished_tasks(w);

        progress_hide(w->progress);
        message_error("%s; what has become of %s is not known", why, tasks ? tasks : "the call");
        leave(w, EXIT_CODE_UNREACHABLE);
}

/* ---- calls ---- */

static void start_next_call(TaskWait *w);

static void add_started(TaskWait *w, const PendingCall *call, const char *path) {
        const Options *options = &w->session->options;

        if (options->wait || options->json != JSON_MODE_OFF) {
                task_feed_add(w->feed, path, call->subject_name);
                return;
        }
        progress_hide(w->progress);
        if (options->quiet)
                message_result("%s", task_info_number(path));
        else
                message_result("Task %s: %s", task_info_number(path), call->what);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        TaskWait *w = userdata;
        const PendingCall *call = w->calls + w->next_call++;
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        const char *path = NULL;
        int r;

        w->call_slot = sd_bus_slot_unref(w->call_slot);
        progress_hide(w->progress);
        if (error) {
                w->worst = exit_code_worst(w->worst, bus_client_report(call->what, error));
                if (bus_client_is_gone(error))
                        w->next_call = w->n_calls;
        } else {
                r = sd_bus_message_read(reply, "o", &path);
                if (r < 0)
                        w->worst = exit_code_worst(w->worst, bus_client_report_reply(r));
                else
                        add_started(w, call, path);
        }
        if (w->interrupted) {
                w->next_call = w->n_calls;
                cancel_all(w);
                if (task_feed_count_unfinished(w->feed) == 0)
                        w->worst = EXIT_CODE_CANCELLED;
        }
        start_next_call(w);
        return 0;
}

static void start_next_call(TaskWait *w) {
        int r;

        if (w->next_call == w->n_calls) {
                arm_timeout(w);
                leave_if_done(w);
                return;
        }
        if (w->session->agent)
                progress_hide(w->progress);
        r = sd_bus_call_async(w->session->bus, &w->call_slot, w->calls[w->next_call].message,
                        on_answer, w, BUS_CLIENT_DIALOG_USEC);
        if (r < 0) {
                message_error("cannot %s: %s", w->calls[w->next_call].what, strerror(-r));
                leave(w, EXIT_CODE_UNREACHABLE);
        }
}

static int add_signals(TaskWait *w) {
        int r = event_loop_add_signal(w->event, SIGINT, on_interrupt, w);

        if (r >= 0)
                r = event_loop_add_signal(w->event, SIGTERM, on_terminate, w);
        if (r >= 0)
                r = event_loop_add_signal(w->event, SIGHUP, on_terminate, w);
        return r;
}

TaskWait *task_wait_new(Session *s, const TaskWaitMode *mode) {
        static const TaskFeedHooks hooks = {on_changed, on_finished, on_away, on_gone};
        _cleanup_(task_wait_freep) TaskWait *w = xcalloc(1, sizeof(*w));
        uint64_t interval;
        int r;

        w->session = s;
        w->mode = *mode;
        w->progress = progress_new(&s->options);
        w->event = event_loop_new(s);
        if (!w->event)
                return NULL;
        w->feed = task_feed_new(s, &hooks, w);
        if (!w->feed)
                return NULL;
        r = add_signals(w);
        interval = progress_interval(w->progress);
        if (r >= 0 && interval > 0)
                r = sd_event_add_time_relative(
                                w->event, &w->tick, CLOCK_MONOTONIC, interval, 0, on_tick, w);
        if (r < 0) {
                message_error("cannot make an event loop: %s", strerror(-r));
                return NULL;
        }
        return STEAL_POINTER(w);
}

void task_wait_add_call(
                TaskWait *w, sd_bus_message *m, const char *what, const char *subject_name) {
        w->calls = array_grow(w->calls, w->n_calls, sizeof(*w->calls));
        w->calls[w->n_calls++] = (PendingCall){sd_bus_message_ref(m), xstrdup(what),
                        subject_name ? xstrdup(subject_name) : NULL};
}

void task_wait_add_task(TaskWait *w, const char *path) {
        task_feed_add(w->feed, path, NULL);
}

ExitCode task_wait_run(TaskWait *w) {
        ExitCode code;

        start_next_call(w);
        code = event_loop_run(w->event);
        return exit_code_worst(code, w->worst);
}

ExitCode task_wait_for_call(Session *s,
                sd_bus_message *m,
                const char *what,
                const char *subject_name,
                const TaskReportMode *report) {
        const TaskWaitMode mode = {.cancel_on_interrupt = true, .report = *report};
        _cleanup_(task_wait_freep) TaskWait *w = NULL;

        agent_open(s);
        w = task_wait_new(s, &mode);
        if (!w)
                return EXIT_CODE_FAILED;
        task_wait_add_call(w, m, what, subject_name);
        return task_wait_run(w);
}
