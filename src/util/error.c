/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Everything that is known of an error is a row of error-table.h; this file only looks rows up. Any
 * thread. */

#include "util/error.h"

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
