/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ovf/package-io.h"

#include <errno.h>
#include <unistd.h>

#define BUFFER_LENGTH (1U << 20)

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

int package_hash(int fd, uint64_t offset, uint64_t size, OvfDigest *digest, const OvaHooks *hooks) {
        g_autofree unsigned char *buffer = g_malloc(BUFFER_LENGTH);

        for (uint64_t done = 0, n; done < size; done += n) {
                int reason;

                n = MIN(size - done, BUFFER_LENGTH);
                if (hooks && hooks->stop && hooks->stop(hooks->userdata))
                        return ECANCELED;
                reason = package_read(fd, buffer, n, offset + done);
                if (reason != 0)
                        return reason;
                ovf_digest_add(digest, buffer, n);
                if (hooks && hooks->copied)
                        hooks->copied(n, hooks->userdata);
        }
        return 0;
}
