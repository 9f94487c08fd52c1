/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The one string builder of the tool. Tables, progress lines and JSON documents are put together in
 * it and leave with a single write, so that a line is never seen half. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"

void buffer_clear(Buffer *b) {
        free(b->text);
        *b = (Buffer){0};
}

static void buffer_reserve(Buffer *b, size_t extra) {
        size_t wanted = b->length + extra + 1;
        char *text;

        if (wanted <= b->allocated)
                return;
        wanted = wanted < 64 ? 64 : wanted * 2;
        text = realloc(b->text, wanted);
        if (!text) {
                (void) fputs("virtask: out of memory\n", stderr);
                exit(EXIT_FAILURE);
        }
        b->text = text;
        b->allocated = wanted;
}

void buffer_add_bytes(Buffer *b, const char *bytes, size_t length) {
        buffer_reserve(b, length);
        memcpy(b->text + b->length, bytes, length);
        b->length += length;
        b->text[b->length] = '\0';
}

void buffer_add(Buffer *b, const char *text) {
        buffer_add_bytes(b, text, strlen(text));
}

void buffer_add_format(Buffer *b, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list arguments;
        int length;

        va_start(arguments, format);
        length = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (length > 0)
                buffer_add_bytes(b, text, (size_t) length);
}

void buffer_add_repeat(Buffer *b, const char *text, size_t times) {
        for (size_t i = 0; i < times; i++)
                buffer_add(b, text);
}

const char *buffer_text(const Buffer *b) {
        return b->text ? b->text : "";
}

char *buffer_steal(Buffer *b) {
        char *text = b->text ? b->text : xstrdup("");

        *b = (Buffer){0};
        return text;
}
