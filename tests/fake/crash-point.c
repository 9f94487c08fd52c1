/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* For LD_PRELOAD: a process that dies at a point that no random moment would meet.
 *
 * Right after it has removed the file whose path ends with $VIRTASK_CRASH_AFTER_UNLINK, or has
 * given a file a name that ends with $VIRTASK_CRASH_AFTER_RENAME, or before it gives it for the
 * $VIRTASK_CRASH_COUNT-th time one that ends with $VIRTASK_CRASH_BEFORE_RENAME (only if there is
 * $VIRTASK_CRASH_TEXT in it, where that is given); or after the n-th
 * step since the file $VIRTASK_CRASH_ARM was there, which holds n. A step is a call that
 * makes, renames or removes a file, or that says something to another process; with n = 0 the
 * file's steps are only counted, in $VIRTASK_CRASH_ARM.count. Programs that the service runs do not
 * count.
 *
 * And a syncfs() that the recorder of a power cut hears: the kernel does not tell file systems in
 * user space. $VIRTASK_SYNC_DIRECTORY is synced instead. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&(name))) dlsym(RTLD_NEXT, #name))

static atomic_int steps, matches;

static void write_count(const char *arm, int n) {
        char path[4096], text[16];
        int fd, length = snprintf(text, sizeof(text), "%8d\n",
                                n); /* always as long: nobody reads half */

        (void) snprintf(path, sizeof(path), "%s.count", arm);
        fd = (int) syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        (void) syscall(SYS_write, fd, text, (size_t) length);
        (void) syscall(SYS_close, fd);
}

static void step(void) {
        const char *arm = getenv("VIRTASK_CRASH_ARM");
        int fd, n, saved = errno;
        char text[16] = "";

        if (!arm || strncmp(program_invocation_short_name, "virtaskd", 8) != 0)
                return;
        fd = (int) syscall(SYS_openat, AT_FDCWD, arm, O_RDONLY | O_CLOEXEC, 0);
        if (fd >= 0) {
                (void) syscall(SYS_read, fd, text, sizeof(text) - 1);
                (void) syscall(SYS_close, fd);
                n = atomic_fetch_add(&steps, 1) + 1;
                if (atoi(text) == n)
                        (void) kill(getpid(), SIGKILL);
                if (atoi(text) == 0)
                        write_count(arm, n);
        } else
                atomic_store(&steps, 0);
        errno = saved;
}

static int has_text(int directory, const char *path) {
        const char *wanted = getenv("VIRTASK_CRASH_TEXT");
        static _Thread_local char text[1 << 20];
        ssize_t n;
        int fd;

        if (!wanted)
                return 1;
        fd = (int) syscall(SYS_openat, directory, path, O_RDONLY | O_CLOEXEC, 0);
        n = syscall(SYS_read, fd, text, sizeof(text) - 1);
        (void) syscall(SYS_close, fd);
        text[n > 0 ? n : 0] = '\0';
        return strstr(text, wanted) != NULL;
}

static void die_at(const char *variable, const char *path, int directory, const char *file) {
        const char *end = getenv(variable);

        if (end && strlen(path) >= strlen(end) &&
                        strcmp(path + strlen(path) - strlen(end), end) == 0 &&
                        has_text(directory, file) &&
                        atomic_fetch_add(&matches, 1) + 1 ==
                                        atoi(getenv("VIRTASK_CRASH_COUNT") ?: "1"))
                (void) kill(getpid(), SIGKILL);
}

int unlink(const char *path) {
        int r = NEXT(unlink)(path);

        if (r == 0)
                die_at("VIRTASK_CRASH_AFTER_UNLINK", path, AT_FDCWD, "");
        step();
        return r;
}

int unlinkat(int directory, const char *path, int flags) {
        int r = NEXT(unlinkat)(directory, path, flags);

        step();
        return r;
}

int rename(const char *from, const char *to) {
        int r;

        die_at("VIRTASK_CRASH_BEFORE_RENAME", to, AT_FDCWD, from);
        r = NEXT(rename)(from, to);
        if (r == 0)
                die_at("VIRTASK_CRASH_AFTER_RENAME", to, AT_FDCWD, to);
        step();
        return r;
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
        int r;

        die_at("VIRTASK_CRASH_BEFORE_RENAME", to, from_directory, from);
        r = NEXT(renameat)(from_directory, from, to_directory, to);
        step();
        return r;
}

int renameat2(int from_directory,
                const char *from,
                int to_directory,
                const char *to,
                unsigned flags) {
        int r = NEXT(renameat2)(from_directory, from, to_directory, to, flags);

        step();
        return r;
}

int mkdirat(int directory, const char *path, mode_t mode) {
        int r = NEXT(mkdirat)(directory, path, mode);

        step();
        return r;
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
        int r = NEXT(linkat)(from_directory, from, to_directory, to, flags);

        step();
        return r;
}

/* open64(), as everything that handles large files calls it. */
int open(const char *path, int flags, ...) {
        mode_t mode = 0;
        va_list args;
        int r;

        va_start(args, flags);
        if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
                mode = va_arg(args, mode_t);
        va_end(args);
        r = ((int (*)(const char *, int, ...)) dlsym(RTLD_NEXT, "open64"))(path, flags, mode);
        if (flags & O_CREAT)
                step();
        return r;
}

static int is_socket(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

ssize_t write(int fd, const void *data, size_t length) {
        ssize_t n = NEXT(write)(fd, data, length);
        int saved = errno;

        if (getenv("VIRTASK_CRASH_ARM") && is_socket(fd))
                step();
        errno = saved;
        return n;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
        ssize_t n = NEXT(sendmsg)(fd, message, flags);

        step();
        return n;
}

static int sync_directory(void) {
        const char *directory = getenv("VIRTASK_SYNC_DIRECTORY");
        int fd, r;

        if (!directory)
                return -1;
        fd = (int) syscall(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_CLOEXEC, 0);
        r = fsync(fd);
        (void) syscall(SYS_close, fd);
        return r;
}

int syncfs(int fd) {
        return sync_directory() == 0 ? 0 : NEXT(syncfs)(fd);
}

/* Nobody shall wait for all file systems of the host. */
void sync(void) {
        (void) sync_directory();
        if (getenv("VIRTASK_CRASH_ARM"))
                (void) kill(getpid(), SIGKILL);
}
