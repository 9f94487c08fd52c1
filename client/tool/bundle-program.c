/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the program is, how it is started, and what its lines mean. The tool runs it itself, so
 * that an export can be verified where there is no service, and by whoever may read it. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/error-table.h"

#include "bundle-program.h"
#include "common.h"
#include "message.h"

#define PROGRAM "virtask-bundle"

/* ---- what it says ---- */

static uint64_t number_of(const char *text) {
        char *end = NULL;
        unsigned long long number = strtoull(text, &end, 10);

        return *text >= '0' && *text <= '9' && !*end ? number : 0;
}

static void set_error(BundleTalk *talk, const char *text) {
        size_t length = strcspn(text, " ");

        if (talk->error_name)
                return;
        talk->error_name = xstrndup(text, length);
        talk->error_text = xstrdup(text[length] ? text + length + 1 : "");
}

void bundle_talk_read(BundleTalk *talk, const char *line) {
        if (strncmp(line, "total ", 6) == 0)
                talk->total = number_of(line + 6);
        else if (strncmp(line, "done ", 5) == 0)
                talk->done = number_of(line + 5);
        else if (strncmp(line, "error ", 6) == 0)
                set_error(talk, line + 6);
}

void bundle_talk_clear(BundleTalk *talk) {
        free(talk->error_name);
        free(talk->error_text);
        *talk = (BundleTalk){0};
}

/* ---- the process ---- */

/* Beside us where nothing is installed yet, otherwise where it was installed. */
static char *find_program(void) {
        char own[PATH_MAX];
        ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
        _cleanup_free_ char *beside = NULL;

        if (length > 0) {
                own[length] = '\0';
                *strrchr(own, '/') = '\0';
                beside = xasprintf("%s/" PROGRAM, own);
                if (access(beside, X_OK) == 0)
                        return STEAL_POINTER(beside);
        }
        if (access(VIRTASK_LIBEXECDIR "/" PROGRAM, X_OK) == 0)
                return xstrdup(VIRTASK_LIBEXECDIR "/" PROGRAM);
        message_error("cannot find " PROGRAM " in " VIRTASK_LIBEXECDIR ": %s", strerror(errno));
        return NULL;
}

static _Noreturn void run(pid_t parent, int output, const char *program, const char *directory) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        sigset_t none;

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        if (null < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent ||
                        dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
                _exit(EXIT_FAILURE);
        (void) execl(program, PROGRAM, "verify", directory, (char *) NULL);
        _exit(EXIT_FAILURE);
}

ExitCode bundle_program_start(const char *directory, pid_t *ret_pid, int *ret_fd) {
        _cleanup_free_ char *program = find_program();
        pid_t parent = getpid(), pid;
        int fds[2];

        if (!program)
                return EXIT_CODE_FAILED;
        if (pipe2(fds, O_CLOEXEC) < 0) {
                message_error("cannot make a pipe: %s", strerror(errno));
                return EXIT_CODE_FAILED;
        }
        pid = fork();
        if (pid == 0)
                run(parent, fds[1], program, directory);
        (void) close(fds[1]);
        if (pid < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
                message_error("cannot start " PROGRAM ": %s", strerror(errno));
                (void) close(fds[0]);
                return EXIT_CODE_FAILED;
        }
        *ret_pid = pid;
        *ret_fd = fds[0];
        return EXIT_CODE_OK;
}

bool bundle_program_finish(pid_t pid, BundleTalk *talk) {
        int status = 0;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return false;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return true;
        set_error(talk, ERROR_PREFIX "Failed " PROGRAM " has ended without a word");
        return false;
}
