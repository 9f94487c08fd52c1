/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ovf/package-io.h"

#include <errno.h>

#include "util/io.h"

#define BUFFER_LENGTH (1U << 20)

int package_hash(int fd, uint64_t offset, uint64_t size, Digest *digest, const OvaHooks *hooks) {
        g_autofree unsigned char *buffer = g_malloc(BUFFER_LENGTH);

        for (uint64_t done = 0, n; done < size; done += n) {
                n = MIN(size - done, BUFFER_LENGTH);
                if (hooks && hooks->stop && hooks->stop(hooks->userdata))
                        return ECANCELED;
                if (!io_read(fd, buffer, n, offset + done))
                        return errno;
                digest_add(digest, buffer, n);
                if (hooks && hooks->copied)
                        hooks->copied(n, hooks->userdata);
        }
        return 0;
}
