/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "log"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support.h"
#include "util/log.h"

/* Standard error leads into a file while a test logs. */
typedef struct Capture {
        FILE *file;
        int saved;
} Capture;

static Capture capture_begin(void) {
        Capture capture = {tmpfile(), dup(STDERR_FILENO)};

        g_assert_nonnull(capture.file);
        (void) fflush(stderr);
        g_assert_cmpint(dup2(fileno(capture.file), STDERR_FILENO), >=, 0);
        return capture;
}

static char *capture_end(Capture *capture) {
        char *text = g_malloc0(8192);

        (void) fflush(stderr);
        g_assert_cmpint(dup2(capture->saved, STDERR_FILENO), >=, 0);
        (void) close(capture->saved);
        rewind(capture->file);
        g_assert_cmpuint(fread(text, 1, 8191, capture->file), <, 8191);
        (void) fclose(capture->file);
        return text;
}

static void a_line_goes_to_standard_error(void) {
        Capture capture = capture_begin();
        g_autofree char *text = NULL;

        log_warning("number %d", 17);
        text = capture_end(&capture);
        g_assert_cmpstr(text, ==, "virtaskd: number 17\n");
}

static void a_line_of_a_task_names_it(void) {
        const LogFields fields = {.task = 17};
        Capture capture = capture_begin();
        g_autofree char *text = NULL;

        log_line(LOG_INFO, &fields, "done");
        text = capture_end(&capture);
        g_assert_cmpstr(text, ==, "virtaskd: task 17: done\n");
}

static void a_line_below_the_priority_is_dropped(void) {
        Capture capture = capture_begin();
        g_autofree char *text = NULL;

        log_debug("first");
        log_set_max_priority(LOG_DEBUG);
        log_debug("second");
        log_set_max_priority(LOG_INFO);
        log_debug("third");
        text = capture_end(&capture);
        g_assert_cmpstr(text, ==, "virtaskd: second\n");
}

static void nobody_can_forge_a_line(void) {
        Capture capture = capture_begin();
        g_autofree char *text = NULL;

        log_info("a name\nvirtaskd: forged\033[2J\xff");
        text = capture_end(&capture);
        g_assert_cmpstr(text, ==, "virtaskd: a name virtaskd: forged [2J\xef\xbf\xbd\n");
}

static void a_long_line_is_cut(void) {
        g_autofree char *name = g_strnfill(100000, 'x');
        Capture capture = capture_begin();
        g_autofree char *text = NULL;

        log_info("%s", name);
        text = capture_end(&capture);
        g_assert_cmpuint(strlen(text), <, 1100);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_unsetenv("JOURNAL_STREAM");
        ADD(a_line_goes_to_standard_error);
        ADD(a_line_of_a_task_names_it);
        ADD(a_line_below_the_priority_is_dropped);
        ADD(nobody_can_forge_a_line);
        ADD(a_long_line_is_cut);
        return g_test_run();
}
