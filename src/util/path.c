/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "util/path.h"

#include <limits.h>
#include <string.h>

#include "util/error.h"

static bool has_long_component(const char *path) {
        for (size_t length; *path; path += length + (path[length] == '/')) {
                length = strcspn(path, "/");
                if (length > NAME_MAX)
                        return true;
        }
        return false;
}

static bool has_control_character(const char *path) {
        for (const char *p = path; *p; p = g_utf8_next_char(p))
                if (g_unichar_iscntrl(g_utf8_get_char(p)))
                        return true;
        return false;
}

bool path_check(const char *path, GError **error) {
        VirtaskError code = VIRTASK_ERROR_NONE;
        const char *text = "";

        if (*path != '/') {
                code = VIRTASK_ERROR_BAD_PATH;
                text = "The path is not absolute";
        } else if (strlen(path) >= PATH_MAX || has_long_component(path)) {
                code = VIRTASK_ERROR_PATH_TOO_LONG;
                text = "The path is too long";
        } else if (!g_utf8_validate(path, -1, NULL) || has_control_character(path)) {
                code = VIRTASK_ERROR_NAME_INVALID;
                text = "The path holds a control character or is not UTF-8";
        } else
                return true;
        g_set_error_literal(error, VIRTASK_ERROR, (int) code, text);
        return false;
}
