/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* g_ascii_string_to_unsigned() is not used: beside other threads its first call may take an errno
 * that was left behind for an error of the number. A counter of task IDs that is not believed for
 * such a reason would give numbers out again. */

#include "util/number.h"

#include <glib.h>
#include <string.h>

bool number_parse(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret) {
        uint64_t number = 0;

        if (!*text)
                return false;
        for (const char *p = text; *p; p++)
                if (!g_ascii_isdigit(*p) || __builtin_mul_overflow(number, 10, &number) ||
                                __builtin_add_overflow(number, *p - '0', &number))
                        return false;
        if (number < minimum || number > maximum)
                return false;
        *ret = number;
        return true;
}

bool number_parse_percent(const char *line, double *ret) {
        const char *begin = strchr(line, '(');
        double percent;
        char *end;

        if (!begin)
                return false;
        percent = g_ascii_strtod(begin + 1, &end);
        if (end == begin + 1 || !g_str_has_prefix(end, "/100%)") || !(percent >= 0) ||
                        percent > 100)
                return false;
        *ret = percent;
        return true;
}
