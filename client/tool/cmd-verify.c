/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* verify: whether an export is as it was written. No task and no service: a child does it, whose
 * lines are shown as the progress of a task would be. Ctrl-C ends it. */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bundle-program.h"
#include "control.h"
#include "event-loop.h"
#include "message.h"
#include "progress.h"
#include "text.h"
#include "verbs.h"

typedef struct Verify {
        Session *session;
        const char *directory;
        sd_event *event;
        sd_event_source *tick;
        sd_event_source *output;
        Progress *progress;
        FeedTask task; /* no task of the service: only what progress.c draws */
        BundleTalk talk;
        Buffer line; /* of which the end has not come yet */
        uint64_t begin;
        pid_t pid;
        int fd;
        bool stopped;
} Verify;

static void verify_clear(Verify *v) {
        progress_free(v->progress);
        sd_event_source_disable_unref(v->tick);
        sd_event_source_disable_unref(v->output);
        sd_event_unref(v->event);
        free(v->task.info.description);
        bundle_talk_clear(&v->talk);
        buffer_clear(&v->line);
        if (v->fd >= 0)
                (void) close(v->fd);
}

/* ---- while it runs ---- */

static void draw(Verify *v) {
        TaskInfo *info = &v->task.info;
        FeedTask *const tasks[] = {&v->task};
        uint64_t usec = now_monotonic() - v->begin;

        info->bytes_total = v->talk.total;
        info->bytes_done = v->talk.done < v->talk.total ? v->talk.done : v->talk.total;
        info->progress_valid = info->bytes_total > 0;
        if (info->progress_valid)
                info->percent = (uint32_t) (info->bytes_done * 100 / info->bytes_total);
        if (usec > 0)
                info->rate = (uint64_t) ((double) info->bytes_done / (double) usec *
                                         (double) USEC_PER_SEC);
        progress_tick(v->progress, tasks, 1);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        Verify *v = userdata;
        int r;

        draw(v);
        r = sd_event_source_set_time_relative(source, progress_interval(v->progress));
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void take(Verify *v, const char *bytes, size_t length) {
        for (const char *end; (end = memchr(bytes, '\n', length));) {
                size_t part = (size_t) (end - bytes);

                buffer_add_bytes(&v->line, bytes, part);
                bundle_talk_read(&v->talk, buffer_text(&v->line));
                buffer_clear(&v->line);
                bytes = end + 1;
                length -= part + 1;
        }
        buffer_add_bytes(&v->line, bytes, length);
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Verify *v = userdata;
        char bytes[4096];
        ssize_t n = read(fd, bytes, sizeof(bytes));

        if (n > 0)
                take(v, bytes, (size_t) n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                (void) sd_event_exit(v->event, 0);
        return 0;
}

/* SIGINT reaches the child of a terminal as well, which does not mind to hear it twice. One that
 * hangs in a file system that does not answer is left there: it ends with us. */
static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Verify *v = userdata;

        progress_hide(v->progress);
        if (v->stopped)
                exit(EXIT_CODE_CANCELLED);
        v->stopped = true;
        (void) kill(v->pid, SIGTERM);
        return 0;
}

static int prepare(Verify *v) {
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
        uint64_t interval;
        int r = sd_event_new(&v->event);

        for (size_t i = 0; r >= 0 && i < ELEMENTS(signals); i++)
                r = event_loop_add_signal(v->event, signals[i], on_stop, v);
        v->progress = progress_new(&v->session->options);
        interval = progress_interval(v->progress);
        if (r >= 0 && interval > 0)
                r = sd_event_add_time_relative(
                                v->event, &v->tick, CLOCK_MONOTONIC, interval, 0, on_tick, v);
        return r;
}

static int follow(Verify *v) {
        TaskInfo *info = &v->task.info;

        info->description = xasprintf("Verifying %s", v->directory);
        info->start_time = now_realtime();
        v->task.ready = true;
        v->begin = now_monotonic();
        return sd_event_add_io(v->event, &v->output, v->fd, EPOLLIN, on_output, v);
}

/* ---- its end ---- */

static void print_json(const Verify *v, const char *state, uint64_t usec) {
        _cleanup_json_ JsonWriter json = {.pretty = v->session->options.json == JSON_MODE_PRETTY};

        json_begin(&json, NULL, '{');
        json_string(&json, "command", "verify");
        json_string(&json, "directory", v->directory);
        json_string(&json, "state", state);
        json_unsigned(&json, "bytes_done", v->talk.done);
        json_unsigned(&json, "duration_us", usec);
        if (v->talk.error_name) {
                json_begin(&json, "error", '{');
                json_string(&json, "name", v->talk.error_name);
                json_string(&json, "message", v->talk.error_text);
                json_end(&json, '}');
        } else
                json_string(&json, "error", NULL);
        json_end(&json, '}');
        json_flush(&json);
}

static void print_whole(const Verify *v, uint64_t usec) {
        _cleanup_buffer_ Buffer b = {0};

        text_add_size(&b, v->talk.done);
        buffer_add(&b, ", ");
        text_add_duration(&b, usec);
        message_result("%s is whole (%s)", v->directory, buffer_text(&b));
}

static ExitCode report(const Verify *v, bool whole) {
        bool cancelled = !whole && v->stopped;
        const Options *options = &v->session->options;
        uint64_t usec = now_monotonic() - v->begin;

        if (options->json != JSON_MODE_OFF)
                print_json(v, whole ? "done" : cancelled ? "cancelled" : "failed", usec);
        else if (cancelled)
                message_error("stopped; whether %s is whole is not known", v->directory);
        else if (!whole)
                message_error("%s is not whole: %s", v->directory, v->talk.error_text);
        else if (!options->quiet)
                print_whole(v, usec);
        if (whole)
                return EXIT_CODE_OK;
        return cancelled ? EXIT_CODE_CANCELLED : exit_code_of_error(v->talk.error_name);
}

ExitCode cmd_verify(Session *s, const char *verb, char **arguments) {
        _cleanup_(verify_clear) Verify v = {.session = s, .directory = arguments[0], .fd = -1};
        ExitCode code;
        int r;

        if (s->options.bus == BUS_KIND_HOST) {
                message_error("\"verify\" does not take --host: run it where the export is");
                return EXIT_CODE_USAGE;
        }
        r = prepare(&v);
        if (r < 0) {
                message_error("cannot make an event loop: %s", strerror(-r));
                return EXIT_CODE_FAILED;
        }
        code = bundle_program_start(v.directory, &v.pid, &v.fd);
        if (code != EXIT_CODE_OK)
                return code;
        r = follow(&v);
        if (r >= 0)
                code = event_loop_run(v.event);
        progress_hide(v.progress);
        return exit_code_worst(code, report(&v, bundle_program_finish(v.pid, &v.talk)));
}
