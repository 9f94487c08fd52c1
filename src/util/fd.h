/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors that are closed at the end of their scope; GLib has had g_autofd since 2.76. */

#include <unistd.h>

static inline void fd_close(int *fd) {
        if (*fd >= 0)
                (void) close(*fd);
        *fd = -1;
}

/* It is the caller's from now on. */
static inline int fd_take(int *fd) {
        int taken = *fd;

        *fd = -1;
        return taken;
}

#define auto_fd __attribute__((cleanup(fd_close))) int
