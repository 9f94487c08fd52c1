/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "fs"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"
#include "util/fs.h"

static int open_directory(const char *path) {
        g_autoptr(GError) error = NULL;
        int fd = fs_open_directory(path, &error);

        g_assert_no_error(error);
        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static void a_new_directory_lets_nobody_else_in(void) {
        auto_directory top = test_directory_new();
        g_autofree char *path = g_build_filename(top, "a/b/c", NULL);
        int fd = open_directory(path);
        struct stat st;

        g_assert_cmpint(fstat(fd, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0700);
        g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        (void) close(fd);
}

static void a_directory_that_is_a_file_is_an_error(void) {
        auto_directory top = test_directory_new();
        g_autofree char *path = g_build_filename(top, "file", NULL);
        g_autoptr(GError) error = NULL;

        test_write(top, "file", "x");
        g_assert_cmpint(fs_open_directory(path, &error), ==, -1);
        assert_error(error, FAILED);
}

static void a_file_is_replaced_as_a_whole(void) {
        auto_directory top = test_directory_new();
        int fd = open_directory(top);
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL, *left = NULL;

        g_assert_true(fs_replace(fd, "f", "a much longer text", false, &error));
        g_assert_true(fs_replace(fd, "f", "short", true, &error));
        text = fs_read(fd, "f", 100, &error);
        g_assert_cmpstr(text, ==, "short");
        left = test_read(top, "f.new");
        g_assert_null(left);
        (void) close(fd);
}

static void a_new_file_is_for_nobody_else(void) {
        auto_directory top = test_directory_new();
        int fd = open_directory(top);
        struct stat st;

        g_assert_true(fs_replace(fd, "f", "x", false, NULL));
        g_assert_cmpint(fstatat(fd, "f", &st, 0), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
        (void) close(fd);
}

static void a_link_is_replaced_and_not_followed(void) {
        auto_directory top = test_directory_new();
        int fd = open_directory(top);
        g_autofree char *target = NULL;

        test_write(top, "target", "old");
        g_assert_cmpint(symlinkat("target", fd, "f"), ==, 0);
        g_assert_true(fs_replace(fd, "f", "new", false, NULL));
        target = test_read(top, "target");
        g_assert_cmpstr(target, ==, "old");
        (void) close(fd);
}

static void a_link_is_not_read(void) {
        auto_directory top = test_directory_new();
        int fd = open_directory(top);
        g_autoptr(GError) error = NULL;

        test_write(top, "target", "secret");
        g_assert_cmpint(symlinkat("target", fd, "f"), ==, 0);
        g_assert_null(fs_read(fd, "f", 100, &error));
        assert_error(error, FAILED);
        (void) close(fd);
}

static void a_file_that_is_too_large_is_not_read(void) {
        auto_directory top = test_directory_new();
        int fd = open_directory(top);
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;

        test_write(top, "f", "12345");
        text = fs_read(fd, "f", 5, &error);
        g_assert_cmpstr(text, ==, "12345");
        g_assert_null(fs_read(fd, "f", 4, &error));
        assert_error(error, FAILED);
        (void) close(fd);
}

static void a_missing_file_is_an_error(void) {
        auto_directory top = test_directory_new();
        int fd = open_directory(top);
        g_autoptr(GError) error = NULL;

        g_assert_null(fs_read(fd, "f", 4, &error));
        assert_error(error, FAILED);
        g_assert_false(fs_sync(fd, "f", &error));
        assert_error(error, FAILED);
        (void) close(fd);
}

static void a_written_file_can_be_synced_later(void) {
        auto_directory top = test_directory_new();
        int fd = open_directory(top);
        g_autoptr(GError) error = NULL;

        g_assert_true(fs_replace(fd, "f", "x", false, &error));
        g_assert_true(fs_sync(fd, "f", &error));
        g_assert_no_error(error);
        (void) close(fd);
}

/* /dev/full says "no space" to every write. */
static void no_space_is_disk_full(void) {
        auto_directory top = test_directory_new();
        int fd = open_directory(top);
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        if (mknodat(fd, "f.new", S_IFCHR | 0600, 1 << 8 | 7) < 0) {
                g_test_skip("needs the right to make a device");
                (void) close(fd);
                return;
        }
        test_write(top, "f", "old");
        if (fs_replace(fd, "f", "new", false, &error) ||
                        !g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_DISK_FULL))
                g_test_skip("devices do not work in the temporary directory");
        else {
                text = fs_read(fd, "f", 10, NULL);
                g_assert_cmpstr(text, ==, "old");
                g_assert_cmpint(faccessat(fd, "f.new", F_OK, 0), <, 0);
        }
        (void) close(fd);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_new_directory_lets_nobody_else_in);
        ADD(a_directory_that_is_a_file_is_an_error);
        ADD(a_file_is_replaced_as_a_whole);
        ADD(a_new_file_is_for_nobody_else);
        ADD(a_link_is_replaced_and_not_followed);
        ADD(a_link_is_not_read);
        ADD(a_file_that_is_too_large_is_not_read);
        ADD(a_missing_file_is_an_error);
        ADD(a_written_file_can_be_synced_later);
        ADD(no_space_is_disk_full);
        return g_test_run();
}
