/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel knows the size of a terminal and is asked each time: a window can be resized at any
 * moment. */

#include <sys/ioctl.h>
#include <unistd.h>

#include "terminal.h"

size_t terminal_columns(int fd, size_t fallback) {
        struct winsize size = {0};

        return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : fallback;
}

size_t terminal_rows(int fd, size_t fallback) {
        struct winsize size = {0};

        return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : fallback;
}

size_t terminal_table_width(bool full) {
        return isatty(STDOUT_FILENO) && !full ? terminal_columns(STDOUT_FILENO, 80) : 0;
}
