/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* polkit asks for passwords through an agent of the caller's session. A desktop has one; on a bare
 * terminal we lend our own: pkttyagent as a child, as systemctl does. With --fallback a desktop's
 * agent wins. It closes its end of a pipe when it is registered; it dies with us (PR_SET_PDEATHSIG)
 * and is ended by agent_close().
 *
 * It makes sense only where polkit decides for this very session: on the local system bus, not for
 * root (never asked), not without a terminal to type on, not when the caller said that nobody is
 * there. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"
#include "common.h"

#define AGENT_PROGRAM "/usr/bin/pkttyagent"
#define REGISTER_MSEC 5000

struct Agent {
        pid_t pid;
        bool has_terminal;
        struct termios terminal; /* as it was: an agent killed in a prompt leaves the echo off */
};

static bool is_useful(const Options *options) {
        return options->bus == BUS_KIND_SYSTEM && options->ask_password &&
               options->json == JSON_MODE_OFF && geteuid() != 0 && isatty(STDIN_FILENO) &&
               access(AGENT_PROGRAM, X_OK) == 0;
}

/* The agent prompts on its standard output and error; where ours are files it gets the terminal. */
static void reopen_terminal(void) {
        int fd;

        if (isatty(STDOUT_FILENO) && isatty(STDERR_FILENO))
                return;
        fd = open("/dev/tty", O_WRONLY | O_NOCTTY);
        if (fd < 0)
                return;
        if (!isatty(STDOUT_FILENO))
                (void) dup2(fd, STDOUT_FILENO);
        if (!isatty(STDERR_FILENO))
                (void) dup2(fd, STDERR_FILENO);
        if (fd > STDERR_FILENO)
                (void) close(fd);
}

/* A session can have an agent of its desktop, which is nicer. polkit finds sessions in the same two
 * ways, and it does not look at a fallback agent for a caller without one (polkit 122), so then
 * ours must be a real one. */
static bool has_session(void) {
        _cleanup_free_ char *session = NULL, *display = NULL;

        return sd_pid_get_session(0, &session) >= 0 || sd_uid_get_display(getuid(), &display) >= 0;
}

static _Noreturn void run_agent(pid_t parent, int notify_fd, const char *fallback) {
        char number[16];
        sigset_t none;

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                _exit(EXIT_FAILURE);
        reopen_terminal();
        if (fcntl(notify_fd, F_SETFD, 0) < 0)
                _exit(EXIT_FAILURE);
        (void) snprintf(number, sizeof(number), "%d", notify_fd);
        (void) execl(AGENT_PROGRAM, "pkttyagent", "--notify-fd", number, fallback, (char *) NULL);
        _exit(EXIT_FAILURE);
}

void agent_open(Session *s) {
        const char *fallback = has_session() ? "--fallback" : NULL;
        pid_t parent = getpid();
        struct pollfd ready = {0};
        int fds[2];
        Agent *agent;

        if (s->agent || !is_useful(&s->options) || pipe2(fds, O_CLOEXEC) < 0)
                return;
        agent = xcalloc(1, sizeof(*agent));
        agent->has_terminal = tcgetattr(STDIN_FILENO, &agent->terminal) == 0;
        agent->pid = fork();
        if (agent->pid == 0)
                run_agent(parent, fds[1], fallback);
        (void) close(fds[1]);
        if (agent->pid < 0) {
                (void) close(fds[0]);
                free(agent);
                return;
        }
        ready.fd = fds[0];
        while (poll(&ready, 1, REGISTER_MSEC) < 0 && errno == EINTR)
                ;
        (void) close(fds[0]);
        s->agent = agent;
}

void agent_close(Session *s) {
        Agent *agent = s->agent;

        if (!agent)
                return;
        s->agent = NULL;
        (void) kill(agent->pid, SIGTERM);
        (void) kill(agent->pid, SIGCONT);
        while (waitpid(agent->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        if (agent->has_terminal && tcgetpgrp(STDIN_FILENO) == getpgrp())
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &agent->terminal);
        free(agent);
}
