/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "child"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "util/child.h"
#include "util/number.h"

static GError *error;
static char *output;

static bool run_shell(const char *script, const ChildHooks *hooks) {
        const char *const arguments[] = {"sh", "-c", script, NULL};

        g_clear_error(&error);
        g_clear_pointer(&output, g_free);
        return child_run(arguments, hooks, &output, &error);
}

static const char *output_of(const char *script) {
        bool ok = run_shell(script, NULL);

        g_assert_no_error(error);
        g_assert_true(ok);
        return output;
}

/* Lines, one behind the other. */
static void collect(const char *line, void *userdata) {
        g_string_append_printf(userdata, "<%s>", line);
}

static char *lines_of(const char *script) {
        GString *lines = g_string_new(NULL);
        const ChildHooks hooks = {.line = collect, .userdata = lines};
        bool ok = run_shell(script, &hooks);

        g_assert_no_error(error);
        g_assert_true(ok);
        return g_string_free(lines, FALSE);
}

/* Stops once the program has printed something. */
static void note_ready(const char *line, void *userdata) {
        *(bool *) userdata = true;
}

static bool stop_when_ready(void *userdata) {
        return *(bool *) userdata;
}

static bool run_and_stop(const char *script) {
        bool ready = false;
        const ChildHooks hooks = {note_ready, stop_when_ready, &ready};

        return run_shell(script, &hooks);
}

/* Output */

static void the_output_is_given_as_it_is(void) {
        g_assert_cmpstr(output_of("printf 'a\\r\\n\\nb'"), ==, "a\r\n\nb");
        g_assert_cmpstr(output_of("echo x >&2"), ==, "");
}

static void the_output_may_be_unwanted(void) {
        const char *const arguments[] = {"echo", "x", NULL};

        g_assert_true(child_run(arguments, NULL, NULL, NULL));
}

static void a_line_ends_with_either_return(void) {
        g_autofree char *lines = lines_of("printf 'a\\rb\\nc\\r\\nd'");

        g_assert_cmpstr(lines, ==, "<a><b><c><d>");
}

static void an_empty_line_is_left_out(void) {
        g_autofree char *lines = lines_of("printf '\\n\\n \\n\\r'");

        g_assert_cmpstr(lines, ==, "< >");
}

static void a_long_line_comes_in_pieces(void) {
        g_autofree char *lines = lines_of("head -c 10000 /dev/zero | tr '\\0' x");

        g_assert_cmpuint(strlen(lines), ==, 10000 + 3 * strlen("<>"));
}

static void a_line_is_valid_text(void) {
        g_autofree char *lines = lines_of("printf 'a\\377b' | cat; printf '\\n'");

        g_assert_cmpstr(lines, ==,
                        "<a\xEF\xBF\xBD"
                        "b>");
}

static void a_nul_byte_ends_no_line(void) {
        GString *lines = g_string_new(NULL);
        const ChildHooks hooks = {.line = collect, .userdata = lines};
        const char *const arguments[] = {"printf", "a\\0b\\n", NULL};

        g_assert_true(child_run(arguments, &hooks, NULL, NULL));
        g_assert_cmpstr(lines->str, ==,
                        "<a\xEF\xBF\xBD"
                        "b>");
        (void) g_string_free(lines, TRUE);
}

static void output_with_a_nul_byte_is_refused(void) {
        g_assert_false(run_shell("printf 'a\\0b'", NULL));
        assert_error(error, FAILED);
        g_assert_null(output);
}

static void a_lot_on_both_streams_at_once_does_not_block(void) {
        output_of("print() { head -c 1500000 /dev/zero | tr '\\0' $1; }\n"
                  "print o; print e >&2; print o & print e >&2; wait");
        g_assert_cmpuint(strlen(output), ==, 3000000);
}

static void too_much_output_is_refused(void) {
        g_assert_false(run_shell("yes", NULL));
        assert_error(error, FAILED);
        g_assert_null(output);
}

/* Errors */

static void a_missing_program_is_an_error(void) {
        const char *const by_name[] = {"virtask-has-no-such-program", NULL};
        const char *const by_path[] = {"/nonexistent/program", NULL};

        g_assert_false(child_run(by_name, NULL, &output, &error));
        assert_error(error, FAILED);
        g_assert_false(child_run(by_path, NULL, &output, &error));
        assert_error(error, FAILED);
}

static void a_program_that_can_not_be_loaded_is_an_error(void) {
        auto_directory top = test_directory_new();
        g_autofree char *path = g_build_filename(top, "script", NULL);
        const char *const arguments[] = {path, NULL};

        test_write(top, "script", "#!/nonexistent/interpreter\n");
        g_assert_cmpint(chmod(path, 0755), ==, 0);
        g_assert_false(child_run(arguments, NULL, NULL, &error));
        g_assert_nonnull(strstr(error->message, "Failed to start"));
        assert_error(error, FAILED);
}

static void the_last_line_of_stderr_is_the_error(void) {
        g_assert_false(run_shell("echo first >&2; echo last >&2; echo ' ' >&2; exit 3", NULL));
        g_assert_cmpstr(error->message, ==, "last");
        assert_error(error, BACKEND);
}

static void a_failure_without_words_tells_its_status(void) {
        g_assert_false(run_shell("exit 3", NULL));
        g_assert_nonnull(strstr(error->message, "status 3"));
        assert_error(error, BACKEND);
}

static void an_error_is_short_and_valid_text(void) {
        g_assert_false(run_shell("yes 'ä' | head -c 30000 | tr -d '\\n' >&2;"
                                 "printf '\\377\\033[31m\\0' >&2; exit 1",
                        NULL));
        g_assert_cmpuint(strlen(error->message), <=, 500);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        assert_error(error, BACKEND);
        g_assert_false(run_shell("printf '\\033[31mred\\a' >&2; exit 1", NULL));
        g_assert_cmpstr(error->message, ==, "[31mred");
        assert_error(error, BACKEND);
}

static void a_long_error_keeps_its_beginning_and_its_end(void) {
        g_assert_false(run_shell("{ printf begin; head -c 3000 /dev/zero | tr '\\0' x; echo end; }"
                                 " >&2; exit 1",
                        NULL));
        g_assert_true(g_str_has_prefix(error->message, "beginx"));
        g_assert_true(g_str_has_suffix(error->message, "xend"));
        g_assert_cmpuint(strlen(error->message), ==, 500);
        assert_error(error, BACKEND);
}

static void no_space_is_disk_full(void) {
        g_assert_false(run_shell("cat /etc/passwd >/dev/full || { echo more >&2; exit 1; }", NULL));
        assert_error(error, DISK_FULL);
}

static void no_memory_is_out_of_memory(void) {
        g_assert_false(run_shell("echo 'no stack: Cannot allocate memory' >&2; kill -6 $$", NULL));
        g_assert_nonnull(strstr(error->message, "signal 6"));
        g_assert_nonnull(strstr(error->message, "no stack"));
        assert_error(error, OUT_OF_MEMORY);
}

static void a_killed_program_is_an_error(void) {
        g_assert_false(run_shell("kill -9 $$", NULL));
        g_assert_nonnull(strstr(error->message, "signal 9"));
        assert_error(error, FAILED);
}

/* Stopping */

static void a_program_is_stopped(void) {
        gint64 begin = g_get_monotonic_time();

        g_assert_false(run_and_stop("echo ready; exec sleep 60"));
        assert_error(error, CANCELLED);
        g_assert_cmpint(g_get_monotonic_time() - begin, <, DEADLINE_USEC);
}

static void a_program_that_will_not_stop_is_killed(void) {
        gint64 begin = g_get_monotonic_time();

        g_assert_false(run_and_stop("trap '' TERM; echo ready; while :; do sleep 1; done"));
        assert_error(error, CANCELLED);
        g_assert_cmpint(g_get_monotonic_time() - begin, >=, 3 * G_USEC_PER_SEC);
}

static void what_ended_well_was_not_stopped(void) {
        g_assert_true(run_and_stop("trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"));
        g_assert_cmpstr(output, ==, "ready\n");
}

/* Grandchildren come to us, so that their end can be seen. */
static void assert_killed(const char *number) {
        g_autofree char *text = g_strstrip(g_strdup(number));
        uint64_t pid;
        int status;

        g_assert_true(number_parse(text, 2, INT32_MAX, &pid));
        g_assert_cmpint(waitpid((pid_t) pid, &status, 0), ==, (pid_t) pid);
        g_assert_true(WIFSIGNALED(status));
        g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

static void nothing_is_left_of_its_group(void) {
        g_assert_cmpint(prctl(PR_SET_CHILD_SUBREAPER, 1), ==, 0);
        assert_killed(output_of("sleep 60 & echo $!"));
}

static void tell_and_die(const char *line, void *userdata) {
        (void) !write(*(int *) userdata, line, strlen(line));
        (void) kill(getpid(), SIGKILL);
}

static void it_dies_with_a_daemon_that_is_killed(void) {
        char number[32] = "";
        int fds[2];
        pid_t daemon_pid;

        g_assert_cmpint(prctl(PR_SET_CHILD_SUBREAPER, 1), ==, 0);
        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        daemon_pid = fork();
        if (daemon_pid == 0) {
                const ChildHooks hooks = {.line = tell_and_die, .userdata = &fds[1]};

                (void) run_shell("echo $$; exec sleep 60", &hooks);
                _exit(1);
        }
        g_assert_cmpint(waitpid(daemon_pid, NULL, 0), ==, daemon_pid);
        g_assert_cmpint(read(fds[0], number, sizeof(number) - 1), >, 0);
        assert_killed(number);
        (void) close(fds[0]);
        (void) close(fds[1]);
}

/* What it inherits */

static void it_has_no_descriptor_of_ours(void) {
        int fd = open("/dev/null", O_RDONLY); /* as a careless library would */

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpstr(output_of("ls /proc/$$/fd; :"), ==, "0\n1\n2\n");
        (void) close(fd);
}

static void it_may_be_given_our_standard_descriptors(void) {
        int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);

        (void) close(STDIN_FILENO);
        g_assert_cmpstr(output_of("echo x; cat"), ==, "x\n");
        g_assert_cmpint(dup2(saved, STDIN_FILENO), ==, STDIN_FILENO);
        (void) close(saved);
}

static void it_reads_and_writes_what_it_is_given(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *path = g_build_filename(directory, "file", NULL), *text = NULL;
        ChildHooks hooks = {0};

        test_write(directory, "file", "");
        hooks.input = open(path, O_RDWR | O_CLOEXEC);
        g_assert_cmpint(unlink(path), ==, 0);
        test_write(directory, "file", "another");
        g_assert_true(run_shell("echo x >/proc/self/fd/0 && cat /proc/self/fd/0", &hooks));
        g_assert_cmpstr(output, ==, "x\n");
        text = test_read(directory, "file");
        g_assert_cmpstr(text, ==, "another");
        (void) close(hooks.input);
}

static void it_has_nothing_to_read(void) {
        g_assert_cmpstr(output_of("cat"), ==, "");
}

static void its_environment_is_small(void) {
        g_autofree char *expected = g_strdup_printf("PATH=%s\nLC_ALL=C\n", g_getenv("PATH"));
        const char *const arguments[] = {"env", NULL};

        g_clear_pointer(&output, g_free);
        g_assert_true(child_run(arguments, NULL, &output, NULL));
        g_assert_cmpstr(output, ==, expected);
}

static void no_signal_is_blocked_or_ignored(void) {
        sigset_t set, before;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigprocmask(SIG_BLOCK, &set, &before);
        (void) signal(SIGPIPE, SIG_IGN);
        output_of("exec grep -E 'Sig(Blk|Ign)' /proc/self/status");
        g_assert_cmpstr(output, ==, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
        (void) signal(SIGPIPE, SIG_DFL);
        (void) sigprocmask(SIG_SETMASK, &before, NULL);
}

static void it_has_the_descriptors_that_it_is_given(void) {
        auto_directory directory = test_directory_new();
        int descriptors[2];
        const ChildHooks hooks = {.descriptors = descriptors, .n_descriptors = 2};

        for (unsigned i = 0; i < 2; i++) {
                g_autofree char *path = g_build_filename(directory, i ? "second" : "first", NULL);

                test_write(directory, i ? "second" : "first", i ? "2" : "1");
                descriptors[i] = open(path, O_RDONLY | O_CLOEXEC);
        }
        g_assert_true(run_shell("cat <&4; cat <&3; ls /proc/$$/fd; :", &hooks));
        g_assert_cmpstr(output, ==, "210\n1\n2\n3\n4\n");
        for (unsigned i = 0; i < 2; i++)
                (void) close(descriptors[i]);
}

/* Only root can. */
static void it_is_the_user_that_it_is_to_be(void) {
        static const gid_t groups[] = {4321, 1234};
        const ChildUser user = {.uid = 65534, .gid = 65533, .groups = groups, .n_groups = 2};
        const ChildHooks hooks = {.user = &user};
        const char *script = "grep -E '^(Uid|Gid|Groups|CapEff|NoNewPrivs):' /proc/self/status";

        if (geteuid() != 0) {
                g_assert_false(run_shell(script, &hooks));
                assert_error(error, FAILED);
                return;
        }
        g_assert_true(run_shell(script, &hooks));
        g_assert_cmpstr(output, ==,
                        "Uid:\t65534\t65534\t65534\t65534\nGid:\t65533\t65533\t65533\t65533\n"
                        "Groups:\t1234 4321 \nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
}

/* Where only we may look. */
static void another_user_need_not_find_the_program(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *path = g_build_filename(directory, "program", NULL);
        const char *const copy[] = {"cp", "/bin/echo", path, NULL}, *const arguments[] = {path, "x",
                                                                                    NULL};
        const ChildUser user = {.uid = 65534, .gid = 65534};
        const ChildHooks hooks = {.user = geteuid() == 0 ? &user : NULL};

        g_assert_true(child_run(copy, NULL, NULL, &error));
        g_assert_cmpint(chmod(path, 0755), ==, 0);
        g_assert_cmpint(chmod(directory, 0700), ==, 0);
        g_clear_pointer(&output, g_free);
        g_assert_true(child_run(arguments, &hooks, &output, &error));
        g_assert_cmpstr(output, ==, "x\n");
}

/* The kernel forgets it when the user changes. */
static void another_user_dies_with_us_too(void) {
        const ChildUser user = {.uid = 65534, .gid = 65534};
        const ChildHooks hooks = {.user = &user};
        int ready[2];
        char byte;
        pid_t pid;

        if (geteuid() != 0)
                return;
        g_assert_cmpint(pipe2(ready, 0), ==, 0);
        pid = fork();
        if (pid == 0) {
                const ChildHooks own = {
                                .user = hooks.user, .descriptors = &ready[1], .n_descriptors = 1};

                (void) fcntl(ready[1], F_SETFD, FD_CLOEXEC);
                (void) run_shell("echo >&3; exec sleep 1000", &own);
                _exit(0);
        }
        (void) close(ready[1]);
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 0); /* nobody has it any more */
        (void) close(ready[0]);
}

static void its_memory_and_its_core_are_limited(void) {
        const ChildHooks hooks = {.memory = UINT64_C(3) << 30};

        g_assert_cmpstr(output_of("ulimit -v; ulimit -c"), ==, "2097152\n0\n");
        g_assert_true(run_shell("ulimit -v; ulimit -c", &hooks));
        g_assert_cmpstr(output, ==, "3145728\n0\n");
}

static void it_leads_a_group_of_its_own(void) {
        int pid, parent, group;

        output_of("exec cat /proc/self/stat");
        g_assert_cmpint(sscanf(output, "%d (cat) %*c %d %d", &pid, &parent, &group), ==, 3);
        g_assert_cmpint(parent, ==, getpid());
        g_assert_cmpint(group, ==, pid);
}

/* Threads */

static unsigned count_descriptors(void) {
        g_autoptr(GDir) directory = g_dir_open("/proc/self/fd", 0, NULL);
        unsigned count = 0;

        while (g_dir_read_name(directory))
                count++;
        return count;
}

static void *run_many(void *data) {
        const char *const good[] = {"echo", "x", NULL};
        const char *const bad[] = {"virtask-has-no-such-program", NULL};

        for (int i = 0; i < 20; i++) {
                g_autofree char *text = NULL;

                g_assert_true(child_run(good, NULL, &text, NULL));
                g_assert_cmpstr(text, ==, "x\n");
                g_assert_false(child_run(bad, NULL, NULL, NULL));
        }
        return NULL;
}

static void threads_do_not_disturb_each_other(void) {
        unsigned before = count_descriptors();
        pthread_t threads[8];

        for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
                g_assert_cmpint(pthread_create(&threads[i], NULL, run_many, NULL), ==, 0);
        for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
                g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
        g_assert_cmpuint(count_descriptors(), ==, before);
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        ADD(the_output_is_given_as_it_is);
        ADD(the_output_may_be_unwanted);
        ADD(a_line_ends_with_either_return);
        ADD(an_empty_line_is_left_out);
        ADD(a_long_line_comes_in_pieces);
        ADD(a_line_is_valid_text);
        ADD(a_nul_byte_ends_no_line);
        ADD(output_with_a_nul_byte_is_refused);
        ADD(a_lot_on_both_streams_at_once_does_not_block);
        ADD(too_much_output_is_refused);
        ADD(a_missing_program_is_an_error);
        ADD(a_program_that_can_not_be_loaded_is_an_error);
        ADD(the_last_line_of_stderr_is_the_error);
        ADD(a_failure_without_words_tells_its_status);
        ADD(an_error_is_short_and_valid_text);
        ADD(a_long_error_keeps_its_beginning_and_its_end);
        ADD(no_space_is_disk_full);
        ADD(no_memory_is_out_of_memory);
        ADD(a_killed_program_is_an_error);
        ADD(a_program_is_stopped);
        ADD(a_program_that_will_not_stop_is_killed);
        ADD(what_ended_well_was_not_stopped);
        ADD(nothing_is_left_of_its_group);
        ADD(it_dies_with_a_daemon_that_is_killed);
        ADD(it_has_no_descriptor_of_ours);
        ADD(it_may_be_given_our_standard_descriptors);
        ADD(it_reads_and_writes_what_it_is_given);
        ADD(it_has_nothing_to_read);
        ADD(its_environment_is_small);
        ADD(no_signal_is_blocked_or_ignored);
        ADD(it_has_the_descriptors_that_it_is_given);
        ADD(it_is_the_user_that_it_is_to_be);
        ADD(another_user_need_not_find_the_program);
        ADD(another_user_dies_with_us_too);
        ADD(its_memory_and_its_core_are_limited);
        ADD(it_leads_a_group_of_its_own);
        ADD(threads_do_not_disturb_each_other);
        status = g_test_run();
        g_clear_error(&error);
        g_free(output);
        return status;
}
