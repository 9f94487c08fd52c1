/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Allocation for a program that cannot go on without memory. Used by all files of the tool; nothing
 * here knows about the bus or the terminal. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common.h"

static void *or_die(void *memory) {
        if (!memory) {
                (void) fputs("virtask: out of memory\n", stderr);
                exit(EXIT_FAILURE);
        }
        return memory;
}

void *xcalloc(size_t count, size_t size) {
        return or_die(calloc(count ? count : 1, size));
}

char *xstrdup(const char *text) {
        return or_die(strdup(text));
}

char *xstrndup(const char *text, size_t length) {
        return or_die(strndup(text, length));
}

char *xasprintf(const char *format, ...) {
        char *text = NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = vasprintf(&text, format, arguments);
        va_end(arguments);
        return or_die(r < 0 ? NULL : text);
}

void string_replace(char **string, const char *value) {
        char *copy = value ? xstrdup(value) : NULL;

        free(*string);
        *string = copy;
}

/* The capacity is the power of two at or above the count, so it need not be stored. */
void *array_grow(void *array, size_t count, size_t size) {
        if (count & (count - 1))
                return array;
        return or_die(reallocarray(array, count ? count * 2 : 1, size));
}

static uint64_t now_of(clockid_t clock) {
        struct timespec time = {0};

        (void) clock_gettime(clock, &time);
        return (uint64_t) time.tv_sec * USEC_PER_SEC + (uint64_t) time.tv_nsec / 1000;
}

uint64_t now_realtime(void) {
        return now_of(CLOCK_REALTIME);
}

uint64_t now_monotonic(void) {
        return now_of(CLOCK_MONOTONIC);
}
