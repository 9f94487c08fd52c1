/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Long lists are shown by a pager: VIRTASK_PAGER, else PAGER, else less, which shows short ones
 * without stopping. The program is started directly, never by a shell. Under sudo the variables of
 * the caller are not obeyed and less is told to be secure (LESSSECURE): somebody who may list
 * machines as root may not start programs as root. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "pager.h"

#define ARGUMENTS_MAX 16

static pid_t pager_pid;

static bool is_elevated(void) {
        return geteuid() != getuid() || getegid() != getgid() || getenv("SUDO_UID") ||
               getenv("PKEXEC_UID");
}

/* The command as words, NULL if no pager is wanted. @storage holds their text. */
static bool pager_command(char **ret_storage, char *arguments[ARGUMENTS_MAX]) {
        const char *command = is_elevated() ? NULL : getenv("VIRTASK_PAGER");
        char *position = NULL, *word;
        size_t n = 0;

        if (!command && !is_elevated())
                command = getenv("PAGER");
        if (!command)
                command = "less";
        *ret_storage = xstrdup(command);
        for (word = strtok_r(*ret_storage, " \t", &position); word && n + 1 < ARGUMENTS_MAX;
                        word = strtok_r(NULL, " \t", &position))
                arguments[n++] = word;
        arguments[n] = NULL;
        return n > 0 && strcmp(arguments[0], "cat") != 0;
}

static _Noreturn void run_pager(char *arguments[], int input, pid_t parent) {
        (void) dup2(input, STDIN_FILENO);
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                _exit(EXIT_FAILURE);
        (void) setenv("LESS", "FRSX", 0);
        if (is_elevated())
                (void) setenv("LESSSECURE", "1", 1);
        (void) execvp(arguments[0], arguments);
        (void) execlp("more", "more", (char *) NULL);
        (void) execlp("cat", "cat", (char *) NULL);
        _exit(EXIT_FAILURE);
}

void pager_open(const Options *options) {
        _cleanup_free_ char *storage = NULL;
        char *arguments[ARGUMENTS_MAX];
        const char *terminal = getenv("TERM");
        pid_t parent = getpid();
        int fds[2];

        if (!options->pager || options->json != JSON_MODE_OFF || !isatty(STDOUT_FILENO) ||
                        !terminal || strcmp(terminal, "dumb") == 0 ||
                        !pager_command(&storage, arguments))
                return;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        (void) fflush(stdout);
        pager_pid = fork();
        if (pager_pid == 0)
                run_pager(arguments, fds[0], parent);
        (void) close(fds[0]);
        if (pager_pid > 0) {
                (void) dup2(fds[1], STDOUT_FILENO);
                /* Ctrl-C belongs to the pager now, and leaving it early is no failure. */
                (void) signal(SIGINT, SIG_IGN);
                (void) signal(SIGPIPE, SIG_IGN);
        }
        (void) close(fds[1]);
}

void pager_close(void) {
        int null;

        if (pager_pid <= 0)
                return;
        (void) fflush(stdout);
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0) {
                (void) dup2(null, STDOUT_FILENO);
                (void) close(null);
        }
        while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
}
