/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Everything that is known of an error is a row of error-table.h; this file only looks rows up. Any
 * thread. */

#include "util/error.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "util/error-text.h"

static const ErrorInfo table[VIRTASK_ERROR_COUNT] = {
#define X(id, name, hresult, symbol, a, b, result, meaning)                                        \
        [VIRTASK_ERROR_##id] = {name, hresult, symbol, a, b, result, meaning},
                ERROR_TABLE(X)
#undef X
};

typedef struct ErrorText {
        const char *de;
        const char *fr;
} ErrorText;

static const ErrorText texts[VIRTASK_ERROR_COUNT] = {
#define X(id, de, fr) [VIRTASK_ERROR_##id] = {de, fr},
                ERROR_TEXTS(X)
#undef X
};

GQuark virtask_error_quark(void) {
        return g_quark_from_static_string("virtask-error");
}

bool error_fail(VirtaskError code, GError **error, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list args;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        g_set_error_literal(error, VIRTASK_ERROR, (int) code, text);
        return false;
}

VirtaskError error_of_errno(int reason) {
        switch (reason) {
        case ENOSPC:
        case EDQUOT:
                return VIRTASK_ERROR_DISK_FULL;
        case EFBIG:
                return VIRTASK_ERROR_FILE_TOO_LARGE;
        case EROFS: /* a file system becomes so when it finds that it is broken */
                return VIRTASK_ERROR_FILE_READ_ONLY;
        default:
                return VIRTASK_ERROR_FAILED;
        }
}

const ErrorInfo *error_info(VirtaskError code) {
        if (code <= VIRTASK_ERROR_NONE || code >= VIRTASK_ERROR_COUNT)
                return &table[VIRTASK_ERROR_FAILED];
        return &table[code];
}

const ErrorInfo *error_info_of(const GError *error) {
        if (error->domain != VIRTASK_ERROR)
                return error_info(VIRTASK_ERROR_FAILED);
        return error_info((VirtaskError) error->code);
}

VirtaskError error_find(const char *name_or_symbol) {
        if (!*name_or_symbol)
                return VIRTASK_ERROR_NONE;

        for (int i = VIRTASK_ERROR_NONE + 1; i < VIRTASK_ERROR_COUNT; i++)
                if (g_str_equal(table[i].name, name_or_symbol) ||
                                g_str_equal(table[i].symbol, name_or_symbol))
                        return (VirtaskError) i;
        return VIRTASK_ERROR_NONE;
}

char *error_to_text(const GError *error) {
        const ErrorInfo *info = error_info_of(error);
        const char *symbol = *info->symbol ? info->symbol : strrchr(info->name, '.') + 1;

        return g_strdup_printf("%s (0x%08X): %s", symbol, info->hresult, error->message);
}

const char *error_meaning(VirtaskError code, const char *locale) {
        const ErrorInfo *info = error_info(code);
        const ErrorText *text = &texts[info - table];

        if (g_str_has_prefix(locale, "de") && !g_ascii_isalpha(locale[2]))
                return text->de;
        if (g_str_has_prefix(locale, "fr") && !g_ascii_isalpha(locale[2]))
                return text->fr;
        return info->meaning;
}

/* A slash in the middle of a word is none ("I/O error"). */
static bool begins_path(const char *text, const char *p) {
        return *p == '/' && (p == text || !g_ascii_isalnum(p[-1])) &&
               !g_str_has_prefix(p, "/org/virtask1/");
}

/* A name in quotes may hold spaces. */
static const char *end_of_path(const char *text, const char *p) {
        char before = p > text ? p[-1] : 0;
        const char *end = before == '\'' || before == '"' ? strchr(p, before) : NULL;

        return end ?: p + strcspn(p, " \t\n'\"");
}

void error_hide_paths(GError *error) {
        GString *shown;

        if (!error)
                return;
        shown = g_string_new(NULL);
        for (const char *p = error->message; *p;)
                if (begins_path(error->message, p)) {
                        g_string_append(shown, "…");
                        p = end_of_path(error->message, p);
                } else
                        g_string_append_c(shown, *p++);
        g_free(error->message);
        error->message = g_string_free(shown, FALSE);
}
