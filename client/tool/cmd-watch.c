/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* watch: the progress of all tasks as it goes, or of one until its end. On a terminal one line for
 * each unfinished task is kept up to date and ends are printed above; elsewhere lines; with --json
 * every change is an object. Ctrl-C ends the watching and nothing else. */

#include <signal.h>
#include <string.h>

#include "event-loop.h"
#include "inventory.h"
#include "message.h"
#include "progress.h"
#include "task-report.h"
#include "verbs.h"

typedef struct Watch {
        Session *session;
        sd_event *event;
        TaskFeed *feed;
        Progress *progress;
        sd_event_source *tick;
        bool single;
        ExitCode code;
} Watch;

static void watch_clear(Watch *w) {
        progress_free(w->progress);
        sd_event_source_disable_unref(w->tick);
        task_feed_free(w->feed);
        (void) sd_bus_detach_event(w->session->bus);
        sd_event_unref(w->event);
}

static void leave(Watch *w, ExitCode code) {
        progress_hide(w->progress);
        w->code = code;
        (void) sd_event_exit(w->event, 0);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        Watch *w = userdata;
        size_t count;
        FeedTask *const *tasks = task_feed_tasks(w->feed, &count);
        int r;

        progress_tick(w->progress, tasks, count);
        r = sd_event_source_set_time_relative(source, progress_interval(w->progress));
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        leave(userdata, EXIT_CODE_OK);
        return 0;
}

static void on_changed(FeedTask *t, void *userdata) {
        Watch *w = userdata;
        size_t count;
        FeedTask *const *tasks = task_feed_tasks(w->feed, &count);

        if (w->session->options.json == JSON_MODE_OFF)
                progress_tick(w->progress, tasks, count);
        else if (!t->info.is_complete)
                task_report_json(w->session, &t->info);
}

static void on_finished(FeedTask *t, void *userdata) {
        static const TaskReportMode mode = {0};
        Watch *w = userdata;
        ExitCode code;

        progress_hide(w->progress);
        code = task_report_end(w->session, t, &mode);
        if (w->single)
                leave(w, code);
}

static void on_away(bool away, void *userdata) {
        Watch *w = userdata;

        progress_hide(w->progress);
        if (!w->session->options.quiet)
                message_note(away ? "virtask: the service has gone; waiting for its return"
                                  : "virtask: the service is back");
}

static void on_gone(const char *why, void *userdata) {
        Watch *w = userdata;

        progress_hide(w->progress);
        message_error("%s", why);
        leave(w, EXIT_CODE_UNREACHABLE);
}

static int prepare(Watch *w) {
        static const TaskFeedHooks hooks = {on_changed, on_finished, on_away, on_gone};
        uint64_t interval;
        int r;

        w->progress = progress_new(&w->session->options);
        w->event = event_loop_new(w->session);
        w->feed = w->event ? task_feed_new(w->session, &hooks, w) : NULL;
        if (!w->feed)
                return -1;
        r = event_loop_add_signal(w->event, SIGINT, on_stop, w);
        if (r >= 0)
                r = event_loop_add_signal(w->event, SIGTERM, on_stop, w);
        interval = progress_interval(w->progress);
        if (r >= 0 && interval > 0)
                r = sd_event_add_time_relative(
                                w->event, &w->tick, CLOCK_MONOTONIC, interval, 0, on_tick, w);
        if (r >= 0 && !w->single)
                r = task_feed_follow_new(w->feed);
        if (r < 0)
                message_error("cannot make an event loop: %s", strerror(-r));
        return r;
}

/* Subscribed already, so no task can slip between this list and the announcements. */
static ExitCode add_unfinished(Watch *w) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        ExitCode code = inventory_load(&inventory, w->session);

        for (size_t i = 0; code == EXIT_CODE_OK && i < inventory.n_tasks; i++)
                if (!inventory.tasks[i].is_complete)
                        task_feed_add(w->feed, inventory.tasks[i].path,
                                        inventory.tasks[i].subject_name);
        return code;
}

ExitCode cmd_watch(Session *s, const char *verb, char **arguments) {
        _cleanup_(watch_clear) Watch w = {.session = s, .single = arguments[0] != NULL};
        _cleanup_free_ char *path = arguments[0] ? task_info_path(arguments[0]) : NULL;
        ExitCode code = EXIT_CODE_OK;

        if (arguments[0] && !path) {
                message_error("\"%s\" is no number of a task", arguments[0]);
                return EXIT_CODE_USAGE;
        }
        if (prepare(&w) < 0)
                return EXIT_CODE_FAILED;
        if (path)
                task_feed_add(w.feed, path, NULL);
        else
                code = add_unfinished(&w);
        if (code == EXIT_CODE_OK)
                code = event_loop_run(w.event);
        return exit_code_worst(code, w.code);
}
