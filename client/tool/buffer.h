/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A string that grows. Zero-initialised is empty; buffer_clear() frees it. */

#include "common.h"

typedef struct Buffer {
        char *text;
        size_t length;
        size_t allocated;
} Buffer;

#define _cleanup_buffer_ _cleanup_(buffer_clear)

void buffer_clear(Buffer *b);
void buffer_add(Buffer *b, const char *text);
void buffer_add_bytes(Buffer *b, const char *bytes, size_t length);
void buffer_add_format(Buffer *b, const char *format, ...) _printf_(2, 3);
void buffer_add_repeat(Buffer *b, const char *text, size_t times);

/* The text so far, never NULL; valid until the next change. */
const char *buffer_text(const Buffer *b);

/* The text becomes the caller's; the buffer is empty again. */
char *buffer_steal(Buffer *b);
