/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The only place where a line of text for people leaves the tool, apart from tables and the
 * progress display. A line is formatted, escaped and written as one. */

#include <stdarg.h>
#include <stdio.h>

#include "message.h"
#include "text.h"

static void _printf_(3, 0)
                print_line(FILE *file, const char *prefix, const char *format, va_list arguments) {
        _cleanup_free_ char *raw = NULL, *safe = NULL;

        if (vasprintf(&raw, format, arguments) < 0)
                return;
        safe = text_escape(raw);
        (void) fprintf(file, "%s%s\n", prefix, safe);
        (void) fflush(file);
}

void message_error(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        print_line(stderr, "virtask: ", format, arguments);
        va_end(arguments);
}

void message_note(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        print_line(stderr, "", format, arguments);
        va_end(arguments);
}

void message_result(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        print_line(stdout, "", format, arguments);
        va_end(arguments);
}

void message_field(const char *label, const char *value) {
        if (value && *value)
                message_result("%12s: %s", label, value);
}
