/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ovf/package-io.h"

#include <errno.h>
#include <unistd.h>

int package_read(int fd, void *data, uint64_t length, uint64_t offset) {
        unsigned char *bytes = data;

        while (length > 0) {
                ssize_t n = pread(fd, bytes, length, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? errno : ESTALE;
                bytes += n;
                offset += (uint64_t) n;
                length -= (uint64_t) n;
        }
        return 0;
}
