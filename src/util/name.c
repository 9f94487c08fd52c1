/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Machines and snapshots are named by the same rules, whether the name is new or changed. */

#include "util/name.h"

#include <string.h>

#include "util/error.h"

#define NAME_CHARACTERS_MAX 80
#define NAME_FORBIDDEN      "*?:<>/|\\\""

static bool fail(GError **error, VirtaskError code, const char *text) {
        g_set_error_literal(error, VIRTASK_ERROR, (int) code, text);
        return false;
}

bool name_check(const char *name, GError **error) {
        if (!*name)
                return fail(error, VIRTASK_ERROR_NAME_EMPTY, "The name is empty");
        if (g_utf8_strlen(name, -1) > NAME_CHARACTERS_MAX)
                return fail(error, VIRTASK_ERROR_NAME_TOO_LONG,
                                "The name is longer than 80 characters");
        for (const char *p = name; *p; p = g_utf8_next_char(p))
                if (strchr(NAME_FORBIDDEN, *p) || g_unichar_iscntrl(g_utf8_get_char(p)))
                        return fail(error, VIRTASK_ERROR_NAME_INVALID_CHAR,
                                        "The name holds one of " NAME_FORBIDDEN
                                        " or a control character");
        return true;
}
