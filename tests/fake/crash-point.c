/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* For LD_PRELOAD: a process that dies at a point that no random moment would meet, right after it
 * has removed the file whose path ends with $VIRTASK_CRASH_AFTER_UNLINK. */

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int unlink(const char *path) {
        int (*next)(const char *path) = (int (*)(const char *)) dlsym(RTLD_NEXT, "unlink");
        const char *end = getenv("VIRTASK_CRASH_AFTER_UNLINK");
        int r = next(path);

        if (r == 0 && end && strlen(path) >= strlen(end) &&
                        strcmp(path + strlen(path) - strlen(end), end) == 0)
                (void) kill(getpid(), SIGKILL);
        return r;
}
