/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rules for paths that callers name. */

#include <glib.h>
#include <stdbool.h>

/* What can be said of a path without looking at the file system: BAD_PATH if it is empty or not
 * absolute, NAME_INVALID for control characters and for what is not UTF-8, PATH_TOO_LONG for more
 * than 4095 bytes, or 255 between two slashes. Any thread. */
bool path_check(const char *path, GError **error);
