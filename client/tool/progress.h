/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The progress of running tasks on standard error: bars on a terminal, lines elsewhere. */

#include "task-feed.h"

typedef struct Progress Progress;

Progress *progress_new(const Options *options);
Progress *progress_free(Progress *p); /* takes the bars away */
static inline void progress_freep(Progress **p) {
        (void) progress_free(*p);
}

/* How often to call progress_tick() in microseconds, 0 never. */
uint64_t progress_interval(const Progress *p);

/* Shows the tasks as they are now; cheap when nothing changed. */
void progress_tick(Progress *p, FeedTask *const *tasks, size_t count);

/* Takes the bars away, because something else is to be printed. */
void progress_hide(Progress *p);

/* Pure functions for a bar of @width columns: the part of @percent; a block that goes to and fro
 * with @step. */
void progress_add_bar(Buffer *b, unsigned percent, size_t width);
void progress_add_pulse(Buffer *b, uint64_t step, size_t width);

/* "62 %  1.2/2.0 GiB  180 MiB/s  3 s left", as much of it as fits into @room columns. */
void progress_add_details(Buffer *b, const TaskInfo *t, size_t room);
