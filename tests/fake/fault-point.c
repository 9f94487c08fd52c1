/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* For LD_PRELOAD, with virtask-bundle: something happens at the n-th call that changes a file
 * system or syncs one, $VIRTASK_FAULT_AT (0: never).
 *
 *     VIRTASK_FAULT=kill     the process dies before it
 *     VIRTASK_FAULT=half     it dies after half of it, if it is a write; else before it
 *     VIRTASK_FAULT=term     it gets SIGTERM before it
 *     VIRTASK_FAULT=NUMBER   the call fails with this errno, and all later ones do if
 *                            $VIRTASK_FAULT_LASTS; removals don't, unless it is EIO
 *     VIRTASK_FAULT=short    a write writes one byte
 *
 *     VIRTASK_FAULT=directories  directories can't be synced: EINVAL, whatever is n
 *
 * The number of calls is written to the file $VIRTASK_FAULT_COUNT at the end. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&(name))) dlsym(RTLD_NEXT, #name))

static atomic_int calls;

static int is(const char *fault) {
        const char *wanted = getenv("VIRTASK_FAULT");

        return wanted && strcmp(wanted, fault) == 0;
}

/* The errno of a call that has to fail, or 0. */
static int meet(int removes) {
        int at = atoi(getenv("VIRTASK_FAULT_AT") ?: "0"), n = atomic_fetch_add(&calls, 1) + 1;
        int reason = atoi(getenv("VIRTASK_FAULT") ?: "0");

        if (at == 0 || n < at || (n > at && !getenv("VIRTASK_FAULT_LASTS")))
                return 0;
        if (is("kill"))
                (void) kill(getpid(), SIGKILL);
        if (is("term"))
                (void) kill(getpid(), SIGTERM);
        return removes && reason != EIO ? 0 : reason;
}

/* The length to write, or -1 for an error. */
static ssize_t meet_write(size_t length, int *ret_dies) {
        int at = atoi(getenv("VIRTASK_FAULT_AT") ?: "0"), reason = meet(0);
        int now = at > 0 && atomic_load(&calls) == at;

        *ret_dies = now && is("half");
        if (reason > 0) {
                errno = reason;
                return -1;
        }
        if (*ret_dies)
                return (ssize_t) length / 2;
        return now && is("short") && length > 1 ? 1 : (ssize_t) length;
}

static int meet_other(int removes) {
        int at = atoi(getenv("VIRTASK_FAULT_AT") ?: "0"), reason = meet(removes);

        if (at > 0 && atomic_load(&calls) == at && is("half"))
                (void) kill(getpid(), SIGKILL);
        if (reason > 0)
                errno = reason;
        return reason > 0 ? -1 : 0;
}

ssize_t write(int fd, const void *data, size_t length) {
        int dies;
        ssize_t n = meet_write(length, &dies);

        n = n < 0 ? n : NEXT(write)(fd, data, (size_t) n);
        if (dies)
                (void) kill(getpid(), SIGKILL);
        return n;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
        int dies;
        ssize_t n = meet_write(length, &dies);

        n = n < 0 ? n : NEXT(pwrite64)(fd, data, (size_t) n, offset);
        if (dies)
                (void) kill(getpid(), SIGKILL);
        return n;
}

ssize_t copy_file_range(int from,
                off64_t *from_offset,
                int to,
                off64_t *to_offset,
                size_t length,
                unsigned flags) {
        int dies;
        ssize_t n = meet_write(length, &dies);

        n = n < 0 ? n : NEXT(copy_file_range)(from, from_offset, to, to_offset, (size_t) n, flags);
        if (dies)
                (void) kill(getpid(), SIGKILL);
        return n;
}

int openat64(int directory, const char *path, int flags, ...) {
        mode_t mode = 0;
        va_list args;

        va_start(args, flags);
        if (flags & O_CREAT)
                mode = va_arg(args, mode_t);
        va_end(args);
        if ((flags & O_CREAT) && meet_other(0) < 0)
                return -1;
        return ((int (*)(int, const char *, int, ...)) dlsym(RTLD_NEXT, "openat64"))(
                        directory, path, flags, mode);
}

int mkdirat(int directory, const char *path, mode_t mode) {
        return meet_other(0) < 0 ? -1 : NEXT(mkdirat)(directory, path, mode);
}

int ftruncate64(int fd, off64_t length) {
        return meet_other(0) < 0 ? -1 : NEXT(ftruncate64)(fd, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
        return meet_other(0) < 0 ? -1 : NEXT(fallocate64)(fd, mode, offset, length);
}

int fsync(int fd) {
        struct stat st;

        if (is("directories") && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
                errno = EINVAL;
                return -1;
        }
        return meet_other(0) < 0 ? -1 : NEXT(fsync)(fd);
}

int fdatasync(int fd) {
        return meet_other(0) < 0 ? -1 : NEXT(fdatasync)(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) {
        return meet_other(0) < 0 ? -1 : NEXT(sync_file_range)(fd, offset, length, flags);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
        return meet_other(0) < 0 ? -1 : NEXT(renameat)(from_directory, from, to_directory, to);
}

int renameat2(int from_directory,
                const char *from,
                int to_directory,
                const char *to,
                unsigned flags) {
        return meet_other(0) < 0 ? -1
                                 : NEXT(renameat2)(from_directory, from, to_directory, to, flags);
}

int unlinkat(int directory, const char *path, int flags) {
        return meet_other(1) < 0 ? -1 : NEXT(unlinkat)(directory, path, flags);
}

int ioctl(int fd, unsigned long request, ...) {
        va_list args;
        long argument;

        va_start(args, request);
        argument = va_arg(args, long);
        va_end(args);
        if (request == FICLONE && meet_other(0) < 0)
                return -1;
        return ((int (*)(int, unsigned long, ...)) dlsym(RTLD_NEXT, "ioctl"))(
                        fd, request, argument);
}

static void __attribute__((destructor)) tell(void) {
        const char *path = getenv("VIRTASK_FAULT_COUNT");
        FILE *file = path ? fopen(path, "we") : NULL;

        if (!file)
                return;
        (void) fprintf(file, "%d\n", atomic_load(&calls));
        (void) fclose(file);
}
