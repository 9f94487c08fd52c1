/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "qcow2-head"

#include "bundle/qcow2-head.h"

#include <fcntl.h>
#include <unistd.h>

#include "disk/image.h"
#include "images.h"
#include "support.h"
#include "util/fd.h"

static GError *error;

static GBytes *head_of(const char *path, const char *backing) {
        auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);

        return qcow2_head_with_backing(fd, backing, &error);
}

/* An overlay; its path. */
static char *new_overlay(void) {
        g_autofree char *base = images_make("base.qcow2", "qcow2", "cluster_size=65536");
        char *top = images_path("top.qcow2");

        g_assert_true(image_create_overlay(top, base, "qcow2", &error));
        return top;
}

static void a_copy_with_the_head_has_the_other_backing_file(void) {
        static const char *const names[] = {
                        "b", "base.qcow2", "../elsewhere/a-much-longer-name-than-that.qcow2"};
        g_autofree char *top = new_overlay();

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autoptr(GBytes) head = head_of(top, names[i]);
                g_autoptr(ImageInfo) info = NULL;
                g_autofree char *wanted = NULL;
                auto_fd fd = open(top, O_WRONLY | O_CLOEXEC);

                g_assert_no_error(error);
                g_assert_cmpint(pwrite(fd, g_bytes_get_data(head, NULL), g_bytes_get_size(head), 0),
                                ==, (ssize_t) g_bytes_get_size(head));
                info = image_info_read(top, "qcow2", &error);
                g_assert_no_error(error);
                wanted = g_build_filename(images_directory, names[i], NULL);
                g_assert_cmpstr(info->backing, ==, wanted);
                g_assert_cmpstr(info->backing_format, ==, "qcow2");
        }
}

static GBytes *head_with_base(const char *path, const char *format) {
        auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);

        return qcow2_head_with_base(fd, "b", format, &error);
}

static void a_copy_with_the_head_has_the_other_format(void) {
        static const char *const formats[] = {"raw", "qcow2", "raw"};
        g_autofree char *top = new_overlay();

        for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
                g_autoptr(GBytes) head = head_with_base(top, formats[i]);
                g_autoptr(ImageInfo) info = NULL;
                auto_fd fd = open(top, O_WRONLY | O_CLOEXEC);

                g_assert_no_error(error);
                g_assert_cmpint(pwrite(fd, g_bytes_get_data(head, NULL), g_bytes_get_size(head), 0),
                                ==, (ssize_t) g_bytes_get_size(head));
                info = image_info_read(top, "qcow2", &error);
                g_assert_no_error(error);
                g_assert_cmpstr(info->backing_format, ==, formats[i]);
                g_assert_true(g_str_has_suffix(info->backing, "/b"));
        }
}

/* Of version 3: where its extensions begin. */
static off_t length_of(const char *path) {
        auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
        uint32_t length;

        g_assert_cmpint(pread(fd, &length, sizeof(length), 100), ==, sizeof(length));
        return GUINT32_FROM_BE(length);
}

static void assert_no_format(const char *path, off_t offset, uint32_t value) {
        auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);

        g_assert_cmpint(pwrite(fd, &value, sizeof(value), offset), ==, sizeof(value));
        g_assert_null(head_with_base(path, "raw"));
        assert_error(error, NOT_SUPPORTED);
        (void) unlink(path);
}

/* An image of long ago may leave it to QEMU to guess. */
static void what_says_no_format_gets_none(void) {
        g_autofree char *top = new_overlay();

        assert_no_format(top, length_of(top), 0);
}

/* Extensions that lead out of the header, or do not end. */
static void a_header_without_an_end_is_refused(void) {
        for (unsigned i = 0; i < 2; i++) {
                g_autofree char *top = new_overlay();

                assert_no_format(top, i == 0 ? 100 : length_of(top) + 4, UINT32_MAX);
        }
}

static void what_has_no_backing_file_gets_none(void) {
        g_autofree char *alone = images_make("alone", "qcow2", "cluster_size=65536");
        g_autofree char *raw = images_make("raw", "raw", "preallocation=off");
        g_autofree char *small = images_path("small");

        images_write(small, "QFI", 3);
        g_assert_null(head_of(alone, "b"));
        assert_error(error, FAILED);
        g_assert_null(head_of(raw, "b"));
        assert_error(error, FAILED);
        g_assert_null(head_of(small, "b"));
        assert_error(error, FAILED);
}

static void a_name_that_does_not_fit_is_refused(void) {
        g_autofree char *top = new_overlay();
        g_autofree char *longer = g_strnfill(1024, 'x'), *longest = g_strnfill(1023, 'x');
        g_autoptr(GBytes) head = NULL;

        g_assert_null(head_of(top, longer));
        assert_error(error, NOT_SUPPORTED);
        head = head_of(top, longest);
        g_assert_no_error(error);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_IMAGE(a_copy_with_the_head_has_the_other_backing_file);
        ADD_IMAGE(a_copy_with_the_head_has_the_other_format);
        ADD_IMAGE(what_says_no_format_gets_none);
        ADD_IMAGE(a_header_without_an_end_is_refused);
        ADD_IMAGE(what_has_no_backing_file_gets_none);
        ADD_IMAGE(a_name_that_does_not_fit_is_refused);
        return g_test_run();
}
