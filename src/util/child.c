/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One program, one thread that waits for it. The thread sits in poll() on stdout, stderr and a
 * descriptor of the process, so neither a full pipe nor a grandchild that keeps a pipe open holds
 * it up.
 *
 *     fork ── limits, signals, descriptors ── execve
 *       |                                        |
 *       '-- status pipe: closed by execve, or an errno
 *
 * posix_spawn() would do for most of it, but it sets neither limits nor the death signal. Other
 * threads run while we fork, and one of them may hold the lock of malloc(): what the new process
 * does before execve() is made of system calls only, and all it needs is made before. */

#include "util/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fd.h"

#define DEFAULT_PATH   "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MEMORY         (UINT64_C(2) << 30) /* a hostile image has made qemu-img ask for far more */
#define OUTPUT_MAX     (4 << 20)
#define LINE_LENGTH    (PATH_MAX + 64) /* a path and the word before it */
#define MESSAGE_LENGTH 500             /* it goes into a D-Bus property */
#define MESSAGE_HEAD   150             /* of it, when its middle is left out */
#define ASK_MSEC       50              /* between two questions whether to stop */
#define GRACE_USEC     (3 * G_USEC_PER_SEC)
#define FIRST_FD       3 /* of those that the program is given beside stdin, stdout and stderr */

typedef struct Child Child;

typedef struct Stream {
        int fd; /* -1: at its end */
        GString *line;
        void (*take)(Child *child, const char *line);
        GString *whole; /* all of it; NULL: not wanted */
} Stream;

struct Child {
        const char *name;
        const ChildHooks *hooks;
        pid_t pid;
        int process; /* pidfd: readable when the process has ended */
        int status;
        Stream output, errors;
        char *complaint;     /* the last line of stderr */
        VirtaskError reason; /* as far as stderr tells one that has a name; else NONE */
        bool too_much;
        gint64 kill_at; /* 0: it may go on */
};

/* Made before the fork, for the new process. */
typedef struct Plan {
        const char *program;
        const char *const *arguments;
        const char *const *environment;
        const ChildUser *user; /* NULL: ours */
        pid_t parent;
        rlim_t memory;
        int *descriptors; /* what it is to have as 0, 1, …; then the two that it is not to have: the
                             pipe that tells how it began, and the program itself */
        int *moved;       /* room for as many */
        int n_descriptors;
} Plan;

/* Between fork() and execve() */

static bool lower_limit(__rlimit_resource_t resource, rlim_t value) {
        struct rlimit limit;

        if (getrlimit(resource, &limit) < 0)
                return false;
        limit.rlim_max = MIN(limit.rlim_max, value);
        limit.rlim_cur = MIN(limit.rlim_cur, limit.rlim_max);
        return setrlimit(resource, &limit) == 0;
}

/* All are moved out of the way first, because ours may have any number. Everything in this process
 * is close-on-exec; close_range() is for the descriptors of libraries that do not think of it. */
static bool arrange_descriptors(const Plan *plan) {
        int n = plan->n_descriptors;

        for (int i = 0; i < n; i++) {
                plan->moved[i] = fcntl(plan->descriptors[i], F_DUPFD_CLOEXEC, n);
                if (plan->moved[i] < 0)
                        return false;
        }
        for (int i = 0; i < n; i++)
                if (dup3(plan->moved[i], i, i >= n - 2 ? O_CLOEXEC : 0) < 0)
                        return false;
        (void) syscall(SYS_close_range, n, ~0U, 0);
        return true;
}

/* The functions of libc would want to have the other threads do it as well. */
static bool become_user(const ChildUser *user) {
        return !user ||
               (syscall(SYS_setgroups, user->n_groups, user->groups) == 0 &&
                               syscall(SYS_setresgid, user->gid, user->gid, user->gid) == 0 &&
                               syscall(SYS_setresuid, user->uid, user->uid, user->uid) == 0);
}

static void reset_signals(void) {
        const struct sigaction action = {.sa_handler = SIG_DFL};
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                (void) sigaction(i, &action, NULL); /* a few can't be set, and need not */
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The kernel forgets whom to tell of a death when the user changes. */
static bool prepare(const Plan *plan) {
        return setpgid(0, 0) == 0 && lower_limit(RLIMIT_AS, plan->memory) &&
               lower_limit(RLIMIT_CORE, 0) && become_user(plan->user) &&
               prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

static void G_GNUC_NORETURN become_program(const Plan *plan) {
        int status = plan->descriptors[plan->n_descriptors - 2];
        int reason;

        if (arrange_descriptors(plan)) {
                status = plan->n_descriptors - 2;
                reset_signals();
                if (prepare(plan)) {
                        /* It may have died before the kernel knew what to do then. */
                        if (getppid() != plan->parent)
                                _exit(EXIT_FAILURE);
                        if (!plan->user)
                                (void) execve(plan->program, (char *const *) plan->arguments,
                                                (char *const *) plan->environment);
                        /* Another user may not find it by its path. */
                        (void) syscall(SYS_execveat, plan->n_descriptors - 1, "", plan->arguments,
                                        plan->environment, AT_EMPTY_PATH);
                }
        }
        reason = errno;
        (void) !write(status, &reason, sizeof(reason));
        _exit(EXIT_FAILURE);
}

/* Start */

static bool fail_to_start(const Child *child, int reason, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "Failed to start '%s': %s",
                        child->name, g_strerror(reason));
        return false;
}

static bool make_pipe(int *ret_read, int *ret_write) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return false;
        *ret_read = fds[0];
        *ret_write = fds[1];
        return true;
}

/* All signals are blocked meanwhile, so that no handler of ours runs in the new process. */
static pid_t fork_program(const Plan *plan) {
        sigset_t all, before;
        pid_t pid;
        int saved;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        pid = fork();
        if (pid == 0)
                become_program(plan);
        saved = errno;
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = saved;
        return pid;
}

static pid_t fork_with(const Child *child,
                const char *const *arguments,
                const char *program,
                const int *streams,
                int status,
                int file) {
        const ChildHooks none = {0}, *hooks = child->hooks ?: &none;
        g_autofree char *path = g_strconcat("PATH=", g_getenv("PATH") ?: DEFAULT_PATH, NULL);
        const char *const environment[] = {path, "LC_ALL=C", NULL};
        g_autofree int *descriptors = NULL, *moved = NULL;
        unsigned n = FIRST_FD + hooks->n_descriptors;

        descriptors = g_new(int, n + 2);
        moved = g_new(int, n + 2);
        for (unsigned i = 0; i < n; i++)
                descriptors[i] = i < FIRST_FD ? streams[i] : hooks->descriptors[i - FIRST_FD];
        descriptors[n] = status;
        descriptors[n + 1] = file;
        return fork_program(&(Plan){
                        .program = program,
                        .arguments = arguments,
                        .environment = environment,
                        .user = hooks->user,
                        .parent = getpid(),
                        .memory = hooks->memory ?: MEMORY,
                        .descriptors = descriptors,
                        .moved = moved,
                        .n_descriptors = (int) n + 2,
        });
}

/* Our copies of the program's ends are closed when this returns. */
static bool fork_with_pipes(Child *child, const char *const *arguments, GError **error) {
        g_autofree char *program = g_find_program_in_path(arguments[0]);
        auto_fd file = program ? open(program, O_PATH | O_CLOEXEC) : -1;
        auto_fd input = child->hooks && child->hooks->input
                                        ? fcntl(child->hooks->input, F_DUPFD_CLOEXEC, 0)
                                        : open("/dev/null", O_RDONLY | O_CLOEXEC);
        auto_fd output = -1, errors = -1, status = -1;

        if (file < 0)
                return fail_to_start(child, ENOENT, error);
        if (input < 0 || !make_pipe(&child->output.fd, &output) ||
                        !make_pipe(&child->errors.fd, &errors) ||
                        !make_pipe(&child->status, &status))
                return fail_to_start(child, errno, error);
        child->pid = fork_with(child, arguments, program, (const int[]){input, output, errors},
                        status, file);
        return child->pid > 0 || fail_to_start(child, errno, error);
}

static bool wait_for_end(const Child *child, siginfo_t *ret) {
        int r;

        do
                r = waitid(P_PID, (id_t) child->pid, ret, WEXITED);
        while (r < 0 && errno == EINTR);
        return r == 0;
}

static bool start(Child *child, const char *const *arguments, GError **error) {
        siginfo_t info;
        int reason = 0;
        ssize_t n;

        if (!fork_with_pipes(child, arguments, error))
                return false;
        do
                n = read(child->status, &reason, sizeof(reason));
        while (n < 0 && errno == EINTR);
        if (n == 0) {
                child->process = (int) syscall(SYS_pidfd_open, child->pid, 0);
                if (child->process >= 0)
                        return true;
        }
        if (n <= 0)
                reason = errno;
        (void) kill(child->pid, SIGKILL);
        (void) wait_for_end(child, &info);
        return fail_to_start(child, reason, error);
}

/* Output */

static void on_output_line(Child *child, const char *line) {
        if (child->hooks && child->hooks->line)
                child->hooks->line(line, child->hooks->userdata);
}

/* The words of errno in the C locale, and what qemu-img says instead of ENOMEM. */
static const struct {
        const char *words;
        VirtaskError code;
} reasons[] = {
                {"No space left on device", VIRTASK_ERROR_DISK_FULL},
                {"Disk quota exceeded", VIRTASK_ERROR_DISK_FULL},
                {"Cannot allocate memory", VIRTASK_ERROR_OUT_OF_MEMORY},
                {"Could not allocate", VIRTASK_ERROR_OUT_OF_MEMORY},
};

static void on_error_line(Child *child, const char *line) {
        for (unsigned i = 0; i < G_N_ELEMENTS(reasons); i++)
                if (strstr(line, reasons[i].words))
                        child->reason = reasons[i].code;
        if (!line[strspn(line, " \t")])
                return;
        g_free(child->complaint);
        child->complaint = g_strdup(line);
}

static void end_line(Child *child, Stream *stream) {
        g_autofree char *line = NULL;

        if (stream->line->len == 0)
                return;
        line = g_utf8_make_valid(stream->line->str, (gssize) stream->line->len);
        g_string_truncate(stream->line, 0);
        stream->take(child, line);
}

static void split_lines(Child *child, Stream *stream, const char *data, size_t length) {
        for (size_t i = 0; i < length; i++) {
                if (data[i] == '\n' || data[i] == '\r') {
                        end_line(child, stream);
                        continue;
                }
                g_string_append_c(stream->line, data[i]);
                if (stream->line->len >= LINE_LENGTH)
                        end_line(child, stream);
        }
}

static void signal_group(const Child *child, int signal_number) {
        (void) kill(-child->pid, signal_number);
}

static void keep(Child *child, Stream *stream, const char *data, size_t length) {
        if (!stream->whole || child->too_much)
                return;
        if (stream->whole->len + length > OUTPUT_MAX) {
                child->too_much = true;
                signal_group(child, SIGKILL);
                return;
        }
        g_string_append_len(stream->whole, data, (gssize) length);
}

static void read_stream(Child *child, Stream *stream) {
        char data[16384];
        ssize_t n = read(stream->fd, data, sizeof(data));

        if (n < 0 && errno == EINTR)
                return;
        if (n <= 0) {
                fd_close(&stream->fd);
                return;
        }
        keep(child, stream, data, (size_t) n);
        split_lines(child, stream, data, (size_t) n);
}

/* Life and end */

static bool is_to_stop(const Child *child) {
        return child->hooks && child->hooks->stop && child->hooks->stop(child->hooks->userdata);
}

static void stop_if_asked(Child *child) {
        if (child->kill_at == 0 && is_to_stop(child)) {
                child->kill_at = g_get_monotonic_time() + GRACE_USEC;
                signal_group(child, SIGTERM);
        } else if (child->kill_at > 0 && g_get_monotonic_time() >= child->kill_at) {
                child->kill_at = G_MAXINT64;
                signal_group(child, SIGKILL);
        }
}

/* True if there was something to read. */
static bool poll_once(Child *child, int milliseconds, bool *ret_ended) {
        struct pollfd fds[] = {
                        {child->output.fd, POLLIN, 0},
                        {child->errors.fd, POLLIN, 0},
                        {child->process, POLLIN, 0},
        };

        if (poll(fds, G_N_ELEMENTS(fds), milliseconds) <= 0)
                return false;
        if (fds[0].revents)
                read_stream(child, &child->output);
        if (fds[1].revents)
                read_stream(child, &child->errors);
        *ret_ended = fds[2].revents != 0;
        return fds[0].revents || fds[1].revents;
}

static void follow(Child *child) {
        bool ended = false;

        while (!ended) {
                stop_if_asked(child);
                (void) poll_once(child, child->hooks && child->hooks->stop ? ASK_MSEC : -1, &ended);
        }
        /* What it has started itself ends with it. Nobody waited for it yet, so the number of the
         * group is still its own. */
        signal_group(child, SIGKILL);
        while (poll_once(child, 0, &ended))
                ;
        end_line(child, &child->output);
        end_line(child, &child->errors);
}

static bool is_inside_character(const char *p) {
        return ((unsigned char) *p & 0xC0) == 0x80;
}

/* Whole characters, which do nothing to a terminal. What is too long loses its middle: QEMU tells
 * what it did first and the reason last. */
static char *tidy_complaint(const char *text) {
        size_t length = strlen(text), head = MESSAGE_HEAD;
        const char *tail;
        char *tidy;

        if (length > MESSAGE_LENGTH) {
                tail = text + length - (MESSAGE_LENGTH - MESSAGE_HEAD - strlen("…"));
                while (is_inside_character(tail))
                        tail++;
                while (is_inside_character(text + head))
                        head--;
                tidy = g_strdup_printf("%.*s…%s", (int) head, text, tail);
        } else
                tidy = g_strdup(text);
        for (char *p = tidy; *p; p++)
                if (g_ascii_iscntrl(*p))
                        *p = ' ';
        return g_strstrip(tidy);
}

static bool judge_end(const Child *child, const siginfo_t *info, GError **error) {
        bool exited = info->si_code == CLD_EXITED;
        g_autofree char *complaint = tidy_complaint(child->complaint ?: "");

        if (child->too_much)
                return error_fail(
                                VIRTASK_ERROR_FAILED, error, "'%s' printed too much", child->name);
        if (exited && info->si_status == 0)
                return true;
        if (child->kill_at > 0)
                return error_fail(VIRTASK_ERROR_CANCELLED, error, "'%s' was stopped", child->name);
        if (!exited)
                return error_fail(child->reason ?: VIRTASK_ERROR_FAILED, error,
                                "'%s' was killed by signal %d (%s)%s%s", child->name,
                                info->si_status, g_strsignal(info->si_status),
                                *complaint ? ": " : "", complaint);
        if (!*complaint)
                return error_fail(VIRTASK_ERROR_BACKEND, error, "'%s' failed with status %d",
                                child->name, info->si_status);
        return error_fail(child->reason ?: VIRTASK_ERROR_BACKEND, error, "%s", complaint);
}

static bool take_output(Child *child, char **ret_output, GError **error) {
        GString *whole = child->output.whole;

        if (!whole)
                return true;
        if (strlen(whole->str) < whole->len)
                return error_fail(VIRTASK_ERROR_FAILED, error, "'%s' printed what is no text",
                                child->name);
        *ret_output = g_string_free(g_steal_pointer(&child->output.whole), FALSE);
        return true;
}

static bool run(Child *child, const char *const *arguments, char **ret_output, GError **error) {
        siginfo_t info;

        if (!start(child, arguments, error))
                return false;
        follow(child);
        if (!wait_for_end(child, &info))
                return error_fail(VIRTASK_ERROR_FAILED, error, "Nobody knows how '%s' ended: %s",
                                child->name, g_strerror(errno));
        return judge_end(child, &info, error) && take_output(child, ret_output, error);
}

static void stream_clear(Stream *stream) {
        fd_close(&stream->fd);
        (void) g_string_free(stream->line, TRUE);
        if (stream->whole)
                (void) g_string_free(stream->whole, TRUE);
}

bool child_run(const char *const *arguments,
                const ChildHooks *hooks,
                char **ret_output,
                GError **error) {
        Child child = {
                        .name = arguments[0],
                        .hooks = hooks,
                        .process = -1,
                        .status = -1,
                        .output = {-1, g_string_new(NULL), on_output_line,
                                        ret_output ? g_string_new(NULL) : NULL},
                        .errors = {-1, g_string_new(NULL), on_error_line, NULL},
        };
        bool ok = run(&child, arguments, ret_output, error);

        stream_clear(&child.output);
        stream_clear(&child.errors);
        fd_close(&child.process);
        fd_close(&child.status);
        g_free(child.complaint);
        return ok;
}
