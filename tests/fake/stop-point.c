/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* For LD_PRELOAD: a process that stops, as with SIGSTOP, right before it calls the function of
 * libvirt whose name is in the file $VIRTASK_STOP_BEFORE; the file is removed. So a test has time
 * for what it wants to happen at this moment. */

#include <dlfcn.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&(name))) dlsym(RTLD_NEXT, #name))

static void stop_before(const char *name) {
        const char *path = getenv("VIRTASK_STOP_BEFORE");
        char text[64] = "";
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

        if (fd < 0)
                return;
        if (read(fd, text, sizeof(text) - 1) > 0 && strcmp(text, name) == 0) {
                (void) unlink(path);
                (void) raise(SIGSTOP); /* to this thread: another would let it go on a bit */
        }
        (void) close(fd);
}

int virDomainFSFreeze(virDomainPtr domain, const char **points, unsigned n, unsigned flags) {
        stop_before(__func__);
        return NEXT(virDomainFSFreeze)(domain, points, n, flags);
}

virDomainSnapshotPtr virDomainSnapshotCreateXML(
                virDomainPtr domain, const char *text, unsigned flags) {
        stop_before(__func__);
        return NEXT(virDomainSnapshotCreateXML)(domain, text, flags);
}

int virDomainFSThaw(virDomainPtr domain, const char **points, unsigned n, unsigned flags) {
        stop_before(__func__);
        return NEXT(virDomainFSThaw)(domain, points, n, flags);
}
