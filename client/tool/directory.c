/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Paths are made absolute here, because only we know where the user stands. Whether there is
 * something at the path, and whether he may use it, the service finds out with his rights. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "directory.h"
#include "message.h"

static char *absolute(const char *path) {
        _cleanup_free_ char *here = NULL;

        if (*path == '/')
                return xstrdup(path);
        here = getcwd(NULL, 0);
        return here ? xasprintf("%s/%s", here, path) : NULL;
}

/* *ret_up: there are "..", whose meaning depends on links. */
static char *clean(const char *path, bool *ret_up) {
        _cleanup_buffer_ Buffer b = {0};

        *ret_up = false;
        while (*path) {
                size_t length = strcspn(path, "/");

                if (length > 0 && strncmp(path, ".", length) != 0) {
                        buffer_add(&b, "/");
                        buffer_add_bytes(&b, path, length);
                }
                *ret_up = *ret_up || (length == 2 && strncmp(path, "..", 2) == 0);
                path += length + (path[length] == '/');
        }
        return b.length > 0 ? buffer_steal(&b) : xstrdup("/");
}

char *directory_from_argument(const Options *options, const char *argument) {
        _cleanup_free_ char *path = NULL, *cleaned = NULL;
        bool up = false;
        char *real;

        if (*argument != '/' && options->bus == BUS_KIND_HOST) {
                message_error("a directory of another host is named by its path from the root, "
                              "not \"%s\"",
                                argument);
                return NULL;
        }
        if (!*argument) {
                message_error("the name of the directory is empty");
                return NULL;
        }
        path = absolute(argument);
        if (!path) {
                message_error("cannot find the present directory: %s", strerror(errno));
                return NULL;
        }
        cleaned = clean(path, &up);
        /* One that is not there is an error of the service, with this path. */
        real = up && options->bus != BUS_KIND_HOST ? realpath(cleaned, NULL) : NULL;
        return real ? real : STEAL_POINTER(cleaned);
}
