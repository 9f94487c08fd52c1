/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Machine names, notes and error texts come from the bus, and whoever may name a machine may choose
 * their bytes. A terminal obeys some of these bytes. Everything that the tool prints for people
 * passes text_escape() once, at the place where it is printed; JSON has an escape of its own. The
 * rest of the file is how sizes and times read. */

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "text.h"

static bool unicode_locale;
static bool pass_unicode;

void text_init(void) {
        (void) setlocale(LC_CTYPE, "");
        unicode_locale = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        /* A file or a pipe gets the name as it is in any locale; only a terminal that expects
         * another encoding could read a byte of it as a control character. */
        pass_unicode = unicode_locale || (!isatty(STDOUT_FILENO) && !isatty(STDERR_FILENO));
}

bool text_is_unicode(void) {
        return unicode_locale;
}

size_t text_decode(const char *text, uint32_t *ret_character) {
        const unsigned char *s = (const unsigned char *) text;
        uint32_t character, least;
        size_t length;

        if (s[0] < 0x80) {
                *ret_character = s[0];
                return 1;
        }
        if (s[0] >= 0xC2 && s[0] < 0xE0) {
                character = s[0] & 0x1FU;
                length = 2;
                least = 0x80;
        } else if (s[0] >= 0xE0 && s[0] < 0xF0) {
                character = s[0] & 0x0FU;
                length = 3;
                least = 0x800;
        } else if (s[0] >= 0xF0 && s[0] < 0xF5) {
                character = s[0] & 0x07U;
                length = 4;
                least = 0x10000;
        } else
                return 0;
        for (size_t i = 1; i < length; i++) {
                if ((s[i] & 0xC0U) != 0x80)
                        return 0;
                character = character << 6 | (s[i] & 0x3FU);
        }
        if (character < least || character > 0x10FFFF ||
                        (character >= 0xD800 && character < 0xE000))
                return 0;
        *ret_character = character;
        return length;
}

/* Characters that are valid but act instead of showing: C0, DEL, C1, zero-width, line separators,
 * direction marks, overrides and isolates, byte order mark, tags. */
static bool character_acts(uint32_t c) {
        return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x61C || c == 0x180E ||
               (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
               (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) ||
               (c >= 0xE0000 && c <= 0xE007F);
}

static bool character_shows(uint32_t c) {
        if (c < 0x80)
                return !character_acts(c);
        if (!pass_unicode || character_acts(c))
                return false;
        return !unicode_locale || wcwidth((wchar_t) c) >= 0;
}

static void add_escape(Buffer *b, const char *text, size_t length, uint32_t character) {
        if (character == '\n')
                buffer_add(b, "\\n");
        else if (character == '\t')
                buffer_add(b, "\\t");
        else if (length > 1 && pass_unicode)
                buffer_add_format(b, character > 0xFFFF ? "\\U%08x" : "\\u%04x", character);
        else
                for (size_t i = 0; i < (length ? length : 1); i++)
                        buffer_add_format(b, "\\x%02x", (unsigned) (unsigned char) text[i]);
}

static char *escape(const char *text, bool keep_lines) {
        _cleanup_buffer_ Buffer b = {0};

        while (*text) {
                uint32_t character = 0;
                size_t length = text_decode(text, &character);
                bool line = keep_lines && (character == '\n' || character == '\t');

                if (length > 0 && (line || character_shows(character)))
                        buffer_add_bytes(&b, text, length);
                else
                        add_escape(&b, text, length, character);
                text += length ? length : 1;
        }
        return buffer_steal(&b);
}

char *text_escape(const char *text) {
        return escape(text, false);
}

char *text_escape_lines(const char *text) {
        return escape(text, true);
}

static size_t character_width(uint32_t c) {
        int width;

        if (c < 0x80 || !unicode_locale)
                return 1;
        width = wcwidth((wchar_t) c);
        return width < 0 ? 1 : (size_t) width;
}

size_t text_width(const char *text) {
        size_t width = 0;

        while (*text) {
                uint32_t character = 0;
                size_t length = text_decode(text, &character);

                width += length ? character_width(character) : 1;
                text += length ? length : 1;
        }
        return width;
}

char *text_ellipsize(const char *text, size_t width) {
        const char *dots = unicode_locale ? "…" : "~";
        size_t used = 0;
        const char *s = text;

        if (text_width(text) <= width)
                return xstrdup(text);
        if (width == 0)
                return xstrdup("");
        while (*s) {
                uint32_t character = 0;
                size_t length = text_decode(s, &character);
                size_t columns = length ? character_width(character) : 1;

                if (used + columns > width - 1)
                        break;
                used += columns;
                s += length ? length : 1;
        }
        return xasprintf("%.*s%s", (int) (s - text), text, dots);
}

static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

static size_t unit_of(uint64_t bytes) {
        size_t unit = 0;

        for (double value = (double) bytes; value >= 1023.5 && unit + 1 < ELEMENTS(units); unit++)
                value /= 1024;
        return unit;
}

static void add_scaled(Buffer *b, uint64_t bytes, size_t unit) {
        double value = (double) bytes;

        for (size_t i = 0; i < unit; i++)
                value /= 1024;
        buffer_add_format(b, unit > 0 && value < 99.95 ? "%.1f" : "%.0f", value);
}

void text_add_size(Buffer *b, uint64_t bytes) {
        size_t unit = unit_of(bytes);

        add_scaled(b, bytes, unit);
        buffer_add_format(b, " %s", units[unit]);
}

void text_add_size_of(Buffer *b, uint64_t bytes, uint64_t total) {
        size_t unit = unit_of(total);

        add_scaled(b, bytes, unit);
        buffer_add(b, "/");
        add_scaled(b, total, unit);
        buffer_add_format(b, " %s", units[unit]);
}

void text_add_duration(Buffer *b, uint64_t usec) {
        if (usec < USEC_PER_SEC)
                buffer_add_format(b, "%ju ms", (uintmax_t) (usec / USEC_PER_MSEC));
        else if (usec < 10 * USEC_PER_SEC)
                buffer_add_format(b, "%.1f s", (double) usec / (double) USEC_PER_SEC);
        else
                text_add_seconds(b, usec - USEC_PER_SEC + 1);
}

void text_add_seconds(Buffer *b, uint64_t usec) {
        uint64_t seconds = (usec + USEC_PER_SEC - 1) / USEC_PER_SEC;

        if (seconds < 60)
                buffer_add_format(b, "%ju s", (uintmax_t) seconds);
        else if (seconds < 3600)
                buffer_add_format(b, "%ju min %ju s", (uintmax_t) seconds / 60,
                                (uintmax_t) seconds % 60);
        else
                buffer_add_format(b, "%ju h %ju min", (uintmax_t) seconds / 3600,
                                (uintmax_t) seconds / 60 % 60);
}

void text_add_time(Buffer *b, uint64_t usec) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        struct tm local = {0};

        if (localtime_r(&seconds, &local))
                buffer_add_format(b, "%02d:%02d:%02d", local.tm_hour, local.tm_min, local.tm_sec);
}

void text_add_date(Buffer *b, uint64_t usec) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        struct tm local = {0};

        if (localtime_r(&seconds, &local))
                buffer_add_format(b, "%d-%02d-%02d ", local.tm_year + 1900, local.tm_mon + 1,
                                local.tm_mday);
        text_add_time(b, usec);
}
