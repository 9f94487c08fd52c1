/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text for people: what may reach a terminal, how wide it is, and how sizes and times read. */

#include <stdbool.h>

#include "buffer.h"

/* Reads the locale; to be called once, before anything else here. */
void text_init(void);

/* Whether block characters and dots can be shown. */
bool text_is_unicode(void);

/* Decodes one character of @text (not at its end); returns its length in bytes, 0 if it is not
 * valid UTF-8. */
size_t text_decode(const char *text, uint32_t *ret_character);

/* A copy in which everything that could steer a terminal (control characters, direction overrides,
 * invisible characters, broken UTF-8) is shown as an escape. With @keep_lines newlines and tabs
 * stay. */
char *text_escape(const char *text);
char *text_escape_lines(const char *text);

/* Columns that an escaped text takes, and a copy cut to @width columns. */
size_t text_width(const char *text);
char *text_ellipsize(const char *text, size_t width);

/* "1.5 GiB"; "1.5/2.0 GiB"; "20 ms", "3.2 s", "2 min 5 s"; "21:57:42"; "2026-11-20 21:57:42". */
void text_add_size(Buffer *b, uint64_t bytes);
void text_add_size_of(Buffer *b, uint64_t bytes, uint64_t total);
void text_add_duration(Buffer *b, uint64_t usec);
void text_add_seconds(Buffer *b, uint64_t usec); /* rounded up: a time that is left */
void text_add_time(Buffer *b, uint64_t usec);
void text_add_date(Buffer *b, uint64_t usec);
