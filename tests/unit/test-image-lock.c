/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "image-lock"

#include "disk/image-lock.h"

#include <fcntl.h>
#include <unistd.h>

#include "images.h"
#include "support.h"
#include "util/child.h"
#include "util/fd.h"

static GError *error;

static bool qemu_can(const char *path, const char *flag, const char *command) {
        const char *const arguments[] = {"qemu-io", "-f", "qcow2", flag, "-c", command, path, NULL};

        return child_run(arguments, NULL, NULL, NULL);
}

static void whoever_reads_keeps_writers_out(void) {
        g_autofree char *path = images_make("disk", "qcow2", "cluster_size=65536");
        auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);

        g_assert_true(image_lock_for_reading(fd, path, &error));
        g_assert_false(qemu_can(path, "-n", "write 0 1k"));
        g_assert_true(qemu_can(path, "-r", "read 0 1k"));
        fd_close(&fd);
        g_assert_true(qemu_can(path, "-n", "write 0 1k"));
}

static void readers_do_not_disturb_each_other(void) {
        g_autofree char *path = images_make("disk", "qcow2", "cluster_size=65536");
        auto_fd first = open(path, O_RDONLY | O_CLOEXEC), second = open(path, O_RDONLY | O_CLOEXEC);

        g_assert_true(image_lock_for_reading(first, path, &error));
        g_assert_true(image_lock_for_reading(second, path, &error));
}

/* The lock that QEMU takes to write; a guest that does is among the system tests. */
static void where_somebody_writes_nobody_may_read(void) {
        g_autofree char *path = images_make("disk", "qcow2", "cluster_size=65536");
        auto_fd writer = open(path, O_RDWR | O_CLOEXEC), reader = open(path, O_RDONLY | O_CLOEXEC);
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};

        g_assert_cmpint(fcntl(writer, F_OFD_SETLK, &lock), ==, 0);
        g_assert_false(image_lock_for_reading(reader, path, &error));
        assert_error(error, FILE_IN_USE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_IMAGE(whoever_reads_keeps_writers_out);
        ADD_IMAGE(readers_do_not_disturb_each_other);
        ADD_IMAGE(where_somebody_writes_nobody_may_read);
        return g_test_run();
}
