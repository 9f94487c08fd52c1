/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Compares what was typed with the names that there are. */

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "buffer.h"
#include "suggest.h"

#define SUGGESTIONS_MAX 5
#define DISTANCE_MAX    3
/* Names are at most 80 characters; longer words are not worth comparing. */
#define DISTANCE_LENGTH_MAX 80

static size_t least(size_t a, size_t b, size_t c) {
        size_t least = a < b ? a : b;

        return least < c ? least : c;
}

size_t suggest_distance(const char *a, const char *b, size_t limit) {
        size_t row[DISTANCE_LENGTH_MAX + 1];
        size_t length_a = strlen(a), length_b = strlen(b);

        if (length_a > DISTANCE_LENGTH_MAX || length_b > DISTANCE_LENGTH_MAX)
                return limit + 1;
        for (size_t j = 0; j <= length_b; j++)
                row[j] = j;
        for (size_t i = 1; i <= length_a; i++) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= length_b; j++) {
                        bool same = tolower((unsigned char) a[i - 1]) ==
                                    tolower((unsigned char) b[j - 1]);
                        size_t value = least(row[j] + 1, row[j - 1] + 1, diagonal + !same);

                        diagonal = row[j];
                        row[j] = value;
                }
        }
        return row[length_b] > limit ? limit + 1 : row[length_b];
}

typedef struct Candidate {
        const char *name;
        size_t distance;
} Candidate;

static int compare_candidates(const void *a, const void *b) {
        const Candidate *x = a, *y = b;

        if (x->distance != y->distance)
                return x->distance < y->distance ? -1 : 1;
        return strverscmp(x->name, y->name);
}

/* How many edits a slip of the finger may be: in a short word fewer. */
static size_t near_limit(const char *argument) {
        size_t limit = strlen(argument) / 3 + 1;

        return limit < DISTANCE_MAX ? limit : DISTANCE_MAX;
}

static Candidate *compare_all(
                const char *argument, const char *const *names, size_t count, size_t limit) {
        Candidate *candidates = xcalloc(count, sizeof(*candidates));

        for (size_t i = 0; i < count; i++) {
                bool part = *argument && strcasestr(names[i], argument);

                candidates[i].name = names[i];
                candidates[i].distance = part ? 1 : suggest_distance(argument, names[i], limit);
        }
        qsort(candidates, count, sizeof(*candidates), compare_candidates);
        return candidates;
}

char *suggest_names(const char *argument, const char *const *names, size_t count) {
        size_t limit = near_limit(argument);
        _cleanup_free_ Candidate *candidates = compare_all(argument, names, count, limit);
        bool near = count > 0 && candidates[0].distance <= limit;
        _cleanup_buffer_ Buffer b = {0};

        for (size_t i = 0; i < count && i < SUGGESTIONS_MAX; i++)
                if (!near || candidates[i].distance <= limit)
                        buffer_add_format(&b, "%s%s", i > 0 ? ", " : "", candidates[i].name);
        if (!near && count > SUGGESTIONS_MAX)
                buffer_add(&b, ", ...");
        return buffer_steal(&b);
}
