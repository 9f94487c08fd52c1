/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "state-file"

#include "snapshot/state-file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static GError *error;

static void a_copy_is_whole_and_has_the_permissions(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *from = g_build_filename(directory, "from", NULL),
                        *to = g_build_filename(directory, "to", NULL), *text = NULL;
        struct stat st;

        test_write(directory, "from", "content");
        test_write(directory, "to", "another");
        test_write(directory, "to.new", "left by an interruption");
        g_assert_cmpint(chmod(from, 07640), ==, 0);
        g_assert_true(state_file_copy(from, to, NULL, &error));
        text = test_read(directory, "to");
        g_assert_cmpstr(text, ==, "content");
        g_assert_cmpint(stat(to, &st), ==, 0);
        g_assert_cmpuint(st.st_mode, ==, S_IFREG | 0640);
}

static void only_a_regular_file_is_copied(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *link = g_build_filename(directory, "link", NULL),
                        *fifo = g_build_filename(directory, "fifo", NULL),
                        *missing = g_build_filename(directory, "missing", NULL),
                        *to = g_build_filename(directory, "to", NULL);

        test_write(directory, "secret", "content");
        g_assert_cmpint(symlink("secret", link), ==, 0);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        g_assert_false(state_file_copy(link, to, NULL, &error));
        assert_error(error, FAILED);
        g_assert_false(state_file_copy(fifo, to, NULL, &error));
        assert_error(error, NOT_SUPPORTED);
        g_assert_false(state_file_copy(missing, to, NULL, &error));
        assert_error(error, FILE_NOT_FOUND);
        g_assert_false(g_file_test(to, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_copy_is_whole_and_has_the_permissions);
        ADD(only_a_regular_file_is_copied);
        return g_test_run();
}
