/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Draws the tasks that are waited for. On a terminal one line for each task is drawn over and over:
 *
 *     Saving alpine  [██████████████████······]  74 %  1.5/2.0 GiB  180 MiB/s  3 s left
 *     Starting web1  [········▓▓▓▓············]  2.0 s
 *
 * the second for a task whose percent is not measured: a block that moves says "busy" where 0 %
 * would be a lie. A whole picture is one write; the window is measured each time, so resizing needs
 * no more than a new picture. Elsewhere (a pipe, a log) a line is printed at every tenth and at
 * least every five seconds. */

#include <string.h>
#include <unistd.h>

#include "message.h"
#include "progress.h"
#include "terminal.h"
#include "text.h"

#define BAR_INTERVAL_USEC  (150 * USEC_PER_MSEC)
#define LINE_INTERVAL_USEC (500 * USEC_PER_MSEC)
#define LINE_SILENCE_USEC  (5 * USEC_PER_SEC)
#define LINE_STEP_PERCENT  10
/* Quicker tasks end without a flash of a bar. */
#define FIRST_DRAW_USEC (300 * USEC_PER_MSEC)
#define BAR_WIDTH_MAX   24
#define BAR_WIDTH_MIN   6
#define PULSE_WIDTH     4
/* The terminal prints "^C" behind the picture, which must not begin another row. */
#define SPARE_COLUMNS   3
#define LABEL_WIDTH_MAX 40

struct Progress {
        ProgressMode mode; /* never auto */
        uint64_t begin;    /* of the display */
        char *picture;     /* on the screen now, the cursor is at its end */
};

static ProgressMode choose_mode(const Options *options) {
        const char *terminal = getenv("TERM");

        if (options->progress != PROGRESS_MODE_AUTO)
                return options->progress;
        if (options->quiet || options->json != JSON_MODE_OFF)
                return PROGRESS_MODE_NONE;
        if (!isatty(STDERR_FILENO) || !terminal || strcmp(terminal, "dumb") == 0)
                return PROGRESS_MODE_PLAIN;
        return PROGRESS_MODE_BAR;
}

Progress *progress_new(const Options *options) {
        Progress *p = xcalloc(1, sizeof(*p));

        p->mode = choose_mode(options);
        p->begin = now_monotonic();
        return p;
}

Progress *progress_free(Progress *p) {
        if (!p)
                return NULL;
        progress_hide(p);
        free(p->picture);
        free(p);
        return NULL;
}

uint64_t progress_interval(const Progress *p) {
        switch (p->mode) {
        case PROGRESS_MODE_BAR:
                return BAR_INTERVAL_USEC;
        case PROGRESS_MODE_PLAIN:
                return LINE_INTERVAL_USEC;
        case PROGRESS_MODE_AUTO:
        case PROGRESS_MODE_NONE:
                break;
        }
        return 0;
}

void progress_add_bar(Buffer *b, unsigned percent, size_t width) {
        bool unicode = text_is_unicode();
        size_t full = width * (percent > 100 ? 100 : percent) / 100;

        buffer_add_repeat(b, unicode ? "█" : "#", full);
        buffer_add_repeat(b, unicode ? "·" : ".", width - full);
}

void progress_add_pulse(Buffer *b, uint64_t step, size_t width) {
        bool unicode = text_is_unicode();
        size_t block = width < PULSE_WIDTH ? width : PULSE_WIDTH;
        size_t way = width - block;
        size_t position = way > 0 ? (size_t) (step % (2 * way)) : 0;

        if (position > way)
                position = 2 * way - position;
        buffer_add_repeat(b, unicode ? "·" : ".", position);
        buffer_add_repeat(b, unicode ? "▓" : "=", block);
        buffer_add_repeat(b, unicode ? "·" : ".", way - position);
}

/* Adds @detail if there is room for it, so that a narrow window loses whole details, the last ones
 * first. */
static bool add_detail(Buffer *b, Buffer *detail, size_t *room) {
        _cleanup_free_ char *raw = buffer_steal(detail);
        _cleanup_free_ char *safe = text_escape(raw);
        size_t width = text_width(safe) + (b->length > 0 ? 2 : 0);

        if (width > *room)
                return false;
        buffer_add_format(b, "%s%s", b->length > 0 ? "  " : "", safe);
        *room -= width;
        return true;
}

void progress_add_details(Buffer *b, const TaskInfo *t, size_t room) {
        _cleanup_buffer_ Buffer line = {0}, detail = {0};
        uint64_t left = task_info_left(t);
        bool fits = true;

        if (t->progress_valid)
                buffer_add_format(&detail, "%3u %%", t->percent);
        else
                text_add_duration(&detail, task_info_duration(t));
        fits = add_detail(&line, &detail, &room);
        if (fits && t->status_text && *t->status_text) {
                buffer_add(&detail, t->status_text);
                fits = add_detail(&line, &detail, &room);
        }
        if (fits && t->bytes_total > 0) {
                text_add_size_of(&detail, t->bytes_done, t->bytes_total);
                fits = add_detail(&line, &detail, &room);
        }
        if (fits && t->rate > 0) {
                text_add_size(&detail, t->rate);
                buffer_add(&detail, "/s");
                fits = add_detail(&line, &detail, &room);
        }
        if (fits && t->progress_valid && left > 0) {
                text_add_seconds(&detail, left);
                buffer_add(&detail, " left");
                (void) add_detail(&line, &detail, &room);
        }
        buffer_add(b, buffer_text(&line));
}

static char *task_label(const TaskInfo *t) {
        return text_escape(t->description && *t->description ? t->description
                                                             : task_info_number(t->path));
}

static void add_line(Buffer *b, FeedTask *t, size_t label_width, size_t columns) {
        _cleanup_free_ char *raw = task_label(&t->info), *label = text_ellipsize(raw, label_width);
        size_t used = text_width(label);
        size_t bar = columns / 4;

        buffer_add(b, label);
        buffer_add_repeat(b, " ", label_width - used);
        bar = bar > BAR_WIDTH_MAX ? BAR_WIDTH_MAX : bar;
        if (bar >= BAR_WIDTH_MIN) {
                buffer_add(b, "  [");
                if (t->info.progress_valid)
                        progress_add_bar(b, t->drawn_percent, bar);
                else
                        progress_add_pulse(b, now_monotonic() / BAR_INTERVAL_USEC, bar);
                buffer_add(b, "]");
                label_width += bar + 4;
        }
        if (label_width + 2 >= columns)
                return;
        buffer_add(b, "  ");
        progress_add_details(b, &t->info, columns - label_width - 2);
}

static bool is_drawn(const FeedTask *t) {
        return t->ready && !t->finished && !t->info.is_complete;
}

/* The widest label, as far as it leaves room for the rest. */
static size_t measure_labels(FeedTask *const *tasks, size_t count, size_t columns) {
        size_t limit = columns / 2 < LABEL_WIDTH_MAX ? columns / 2 : LABEL_WIDTH_MAX;
        size_t widest = 0;

        for (size_t i = 0; i < count; i++) {
                _cleanup_free_ char *label =
                                is_drawn(tasks[i]) ? task_label(&tasks[i]->info) : NULL;
                size_t width = label ? text_width(label) : 0;

                widest = width > widest ? width : widest;
        }
        return widest < limit ? widest : limit;
}

/* Rows that the picture takes on the screen: in a window that has become narrower its lines are
 * wrapped. */
static size_t count_rows(const char *picture) {
        size_t columns = terminal_columns(STDERR_FILENO, 80);
        size_t rows = 0;

        for (;;) {
                size_t length = strcspn(picture, "\n");
                _cleanup_free_ char *line = xstrndup(picture, length);
                size_t width = text_width(line);

                rows += width > columns ? (width + columns - 1) / columns : 1;
                if (picture[length] == '\0')
                        return rows;
                picture += length + 1;
        }
}

static void add_erase(Buffer *b, const Progress *p) {
        size_t rows;

        if (!p->picture)
                return;
        rows = count_rows(p->picture);
        buffer_add(b, "\r");
        if (rows > 1)
                buffer_add_format(b, "\033[%zuA", rows - 1);
        buffer_add(b, "\033[J");
}

static void write_all(const Buffer *b) {
        const char *text = buffer_text(b);
        size_t length = b->length;

        while (length > 0) {
                ssize_t n = write(STDERR_FILENO, text, length);

                if (n <= 0)
                        return;
                text += n;
                length -= (size_t) n;
        }
}

void progress_hide(Progress *p) {
        _cleanup_buffer_ Buffer b = {0};

        add_erase(&b, p);
        write_all(&b);
        string_replace(&p->picture, NULL);
}

/* The lines of all tasks that fit on the screen. */
static size_t add_picture(Buffer *b, FeedTask *const *tasks, size_t count) {
        size_t window = terminal_columns(STDERR_FILENO, 80);
        size_t columns = window > SPARE_COLUMNS ? window - SPARE_COLUMNS : 0;
        size_t rows = terminal_rows(STDERR_FILENO, 24);
        size_t label_width = measure_labels(tasks, count, columns);
        size_t n_lines = 0;

        for (size_t i = 0; i < count && n_lines + 1 < rows; i++) {
                FeedTask *t = tasks[i];

                if (!is_drawn(t))
                        continue;
                if (t->info.percent > t->drawn_percent)
                        t->drawn_percent = t->info.percent;
                buffer_add(b, n_lines > 0 ? "\n" : "");
                add_line(b, t, label_width, columns);
                n_lines++;
        }
        return n_lines;
}

static void draw_bars(Progress *p, FeedTask *const *tasks, size_t count) {
        _cleanup_buffer_ Buffer picture = {0}, b = {0};

        if (now_monotonic() - p->begin < FIRST_DRAW_USEC)
                return;
        if (add_picture(&picture, tasks, count) == 0) {
                progress_hide(p);
                return;
        }
        if (p->picture && strcmp(p->picture, buffer_text(&picture)) == 0)
                return;
        add_erase(&b, p);
        buffer_add(&b, buffer_text(&picture));
        write_all(&b);
        string_replace(&p->picture, buffer_text(&picture));
}

static void print_line(FeedTask *t, uint64_t now) {
        _cleanup_buffer_ Buffer b = {0};

        progress_add_details(&b, &t->info, SIZE_MAX);
        message_note("%s: %s", t->info.description ? t->info.description : "",
                        buffer_text(&b) + strspn(buffer_text(&b), " "));
        t->drawn_percent = t->info.percent;
        t->drawn_time = now;
}

static void print_lines(FeedTask *const *tasks, size_t count) {
        uint64_t now = now_monotonic();

        for (size_t i = 0; i < count; i++) {
                FeedTask *t = tasks[i];
                unsigned tenth = t->info.percent / LINE_STEP_PERCENT;

                if (!is_drawn(t))
                        continue;
                if (t->drawn_time == 0)
                        t->drawn_time = now;
                if (now - t->drawn_time >= LINE_SILENCE_USEC ||
                                (t->info.progress_valid &&
                                                tenth > t->drawn_percent / LINE_STEP_PERCENT))
                        print_line(t, now);
        }
}

void progress_tick(Progress *p, FeedTask *const *tasks, size_t count) {
        switch (p->mode) {
        case PROGRESS_MODE_BAR:
                draw_bars(p, tasks, count);
                break;
        case PROGRESS_MODE_PLAIN:
                print_lines(tasks, count);
                break;
        case PROGRESS_MODE_AUTO:
        case PROGRESS_MODE_NONE:
                break;
        }
}
