/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "util/io.h"

#include <errno.h>
#include <unistd.h>

bool io_read(int fd, void *data, uint64_t length, uint64_t offset) {
        unsigned char *next = data;

        while (length > 0) {
                ssize_t n = pread(fd, next, length, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        errno = n < 0 ? errno : ESTALE;
                        return false;
                }
                next += n;
                length -= (uint64_t) n;
                offset += (uint64_t) n;
        }
        return true;
}

bool io_write(int fd, const void *data, uint64_t length, uint64_t offset) {
        const unsigned char *next = data;

        while (length > 0) {
                ssize_t n = pwrite(fd, next, length, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        errno = n < 0 ? errno : EIO;
                        return false;
                }
                next += n;
                length -= (uint64_t) n;
                offset += (uint64_t) n;
        }
        return true;
}
