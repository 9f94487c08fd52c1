/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "image-tool"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/image.h"
#include "images.h"
#include "support.h"

static GError *error;

/* Read, and refused by QEMU: a header and nothing behind it. */
static char *write_header(const char *name, const char *backing) {
        uint8_t header[1024] = {'Q', 'F', 'I', 0xFB, [7] = 3, [23] = 16, [103] = 104};
        char *path = images_path(name);

        header[14] = 2; /* the name is at 512 */
        header[19] = (uint8_t) strlen(backing);
        memcpy(header + 512, backing, strlen(backing));
        images_write(path, header, sizeof(header));
        return path;
}

static ImageInfo *info_of(const char *path) {
        ImageInfo *info = image_info_read(path, "qcow2", &error);

        g_assert_no_error(error);
        return info;
}

static char *make_overlay(const char *name, const char *base, const char *format) {
        char *path = images_path(name);
        bool ok = image_create_overlay(path, base, format, &error);

        g_assert_no_error(error);
        g_assert_true(ok);
        return path;
}

/* Overlays */

static void an_overlay_rests_on_its_base(void) {
        g_autofree char *base = images_make("a, b:c\"d %s", "raw", "preallocation=off");
        g_autofree char *path = make_overlay("o, p:q\"r %n", base, "raw");
        g_autoptr(ImageInfo) info = info_of(path);

        g_assert_cmpstr(info->backing, ==, base);
        g_assert_cmpstr(info->backing_format, ==, "raw");
        g_assert_cmpuint(info->virtual_size, ==, 16 * MEBIBYTE);
        g_assert_true(image_check(path, "qcow2", &error));
}

static void an_overlay_belongs_to_the_owner_of_its_base(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1"), *path = NULL;
        struct stat st;

        if (geteuid() == 0)
                g_assert_cmpint(chown(base, 12345, 23456), ==, 0);
        g_assert_cmpint(chmod(base, 0464), ==, 0);
        path = make_overlay("overlay", base, "qcow2");
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode, ==, S_IFREG | 0664);
        if (geteuid() == 0) {
                g_assert_cmpuint(st.st_uid, ==, 12345);
                g_assert_cmpuint(st.st_gid, ==, 23456);
        }
}

static void nothing_is_overwritten(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1"),
                        *path = images_path("overlay");
        g_autofree char *link = images_path("link"), *elsewhere = images_path("elsewhere"),
                        *text = NULL;

        test_write(images_directory, "overlay", "precious");
        g_assert_false(image_create_overlay(path, base, "qcow2", &error));
        assert_error(error, FAILED);
        text = test_read(images_directory, "overlay");
        g_assert_cmpstr(text, ==, "precious");

        g_assert_cmpint(symlink(elsewhere, link), ==, 0);
        g_assert_false(image_create_overlay(link, base, "qcow2", &error));
        assert_error(error, FAILED);
        g_assert_false(g_file_test(elsewhere, G_FILE_TEST_EXISTS));
}

/* Somebody else who may write to the directory is quick. */
static void a_name_that_changes_hands_is_not_followed(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1"),
                        *path = images_path("overlay"), *tool = images_path("qemu-img"),
                        *real = g_find_program_in_path("qemu-img"), *text = NULL,
                        *before = g_strdup(g_getenv("PATH")),
                        *with = g_strconcat(images_directory, ":", before, NULL),
                        *script = g_strdup_printf("#!/bin/sh\ncd '%s' && ln -sf victim overlay\n"
                                                  "exec '%s' \"$@\"\n",
                                        images_directory, real);

        test_write(images_directory, "victim", "precious");
        test_write(images_directory, "qemu-img", script);
        g_assert_cmpint(chmod(tool, 0755), ==, 0);
        g_setenv("PATH", with, true);
        g_assert_true(image_create_overlay(path, base, "qcow2", &error));
        g_setenv("PATH", before, true);
        text = test_read(images_directory, "victim");
        g_assert_cmpstr(text, ==, "precious");
}

static void a_bad_base_gets_no_overlay(void) {
        g_autofree char *base = NULL, *path = images_path("overlay"),
                        *missing = images_path("missing");

        base = write_header("base", "json:{}");
        g_assert_false(image_create_overlay(path, base, "qcow2", &error));
        assert_error(error, NOT_SUPPORTED);
        g_assert_false(image_create_overlay(path, missing, "qcow2", &error));
        assert_error(error, FILE_NOT_FOUND);
        g_assert_false(image_create_overlay("overlay", base, "raw", &error));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(image_create_overlay(path, "base", "raw", &error));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void a_failure_leaves_no_overlay(void) {
        g_autofree char *base = NULL, *path = images_path("overlay");

        base = write_header("base", "");
        g_assert_false(image_create_overlay(path, base, "qcow2", &error));
        assert_error(error, BACKEND);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void an_overlay_is_replaced_as_a_whole(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1"),
                        *missing = images_path("missing"), *rest = images_path("overlay.new");
        g_autofree char *path = make_overlay("overlay", base, "qcow2");
        struct stat before, after;

        test_write(images_directory, "overlay.new", "left by an interruption");
        g_assert_cmpint(stat(path, &before), ==, 0);
        g_assert_false(image_replace_overlay(path, missing, "qcow2", &error));
        assert_error(error, FILE_NOT_FOUND);
        g_assert_cmpint(stat(path, &after), ==, 0);
        g_assert_cmpuint(after.st_ino, ==, before.st_ino);
        g_assert_true(image_replace_overlay(path, base, "qcow2", &error));
        g_assert_cmpint(stat(path, &after), ==, 0);
        g_assert_cmpuint(after.st_ino, !=, before.st_ino);
        g_assert_false(g_file_test(rest, G_FILE_TEST_EXISTS));
        g_assert_true(image_check(path, "qcow2", &error));
}

/* Commit */

typedef struct Progress {
        double percent;
        unsigned count;
        bool stop_at_once, stop_on_progress;
} Progress;

static void on_percent(double percent, void *userdata) {
        Progress *progress = userdata;

        g_assert_cmpfloat(percent, >=, progress->percent);
        progress->percent = percent;
        progress->count++;
}

static bool on_stop(void *userdata) {
        const Progress *progress = userdata;

        return progress->stop_at_once || (progress->stop_on_progress && progress->count > 0);
}

static bool commit(const char *path, const char *base, Progress *progress) {
        const ImageHooks hooks = {on_percent, on_stop, progress};

        return image_commit(path, "qcow2", base, &hooks, &error);
}

static void a_commit_writes_into_the_base(void) {
        g_autofree char *base = images_make("base", "raw", "preallocation=off");
        g_autofree char *top = make_overlay("top", base, "raw");
        Progress progress = {0};

        images_io(top, "qcow2", "write -P 7 1M 2M");
        g_assert_true(commit(top, base, &progress));
        g_assert_no_error(error);
        g_assert_cmpfloat(progress.percent, ==, 100);
        images_io(base, "raw", "read -P 0 0 1M");
        images_io(base, "raw", "read -P 7 1M 2M");
        images_io(top, "qcow2", "read -P 7 1M 2M");
}

static void a_commit_may_go_deeper(void) {
        g_autofree char *root = images_make("root", "qcow2", "compat=1.1");
        g_autofree char *middle = make_overlay("middle", root, "qcow2");
        g_autofree char *top = make_overlay("top", middle, "qcow2");

        images_io(middle, "qcow2", "write -P 5 0 1M");
        images_io(top, "qcow2", "write -P 7 1M 1M");
        g_assert_true(image_commit(top, "qcow2", root, NULL, &error));
        images_io(root, "qcow2", "read -P 5 0 1M");
        images_io(root, "qcow2", "read -P 7 1M 1M");
        g_assert_true(image_check(root, "qcow2", &error));
}

/* Each takes as much memory as an image can. */
static void a_commit_in_a_deep_chain_of_large_images_has_room(void) {
        g_autofree char *base = NULL, *top = images_path("0");
        const char *const arguments[] = {
                        "qemu-img", "create", "-q", "-f", "qcow2", top, "1T", NULL};

        images_run(arguments);
        for (int i = 1; i <= 40; i++) {
                g_autofree char *name = g_strdup_printf("%d", i);

                g_free(base);
                base = g_steal_pointer(&top);
                top = images_path(name);
                images_run((const char *const[]){"qemu-img", "create", "-q", "-f", "qcow2", "-F",
                                "qcow2", "-b", base, top, NULL});
        }
        images_io(top, "qcow2", "write -P 7 0 32M");
        g_assert_true(image_commit(top, "qcow2", base, NULL, &error));
        g_assert_no_error(error);
}

static void names_may_hold_anything(void) {
        g_autofree char *base = images_make("a, b:c\"d %s", "raw", "preallocation=off");
        g_autofree char *top = make_overlay("-o, p:q\"r %n", base, "raw");

        images_io(top, "qcow2", "write -P 7 0 1M");
        g_assert_true(image_commit(top, "qcow2", base, NULL, &error));
        g_assert_true(image_rebase_unsafe(top, "qcow2", base, "raw", &error));
        images_io(base, "raw", "read -P 7 0 1M");
}

static void a_commit_is_stopped_before_it_begins(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1");
        g_autofree char *top = make_overlay("top", base, "qcow2");
        Progress progress = {.stop_at_once = true};

        g_assert_false(commit(top, base, &progress));
        assert_error(error, CANCELLED);
}

static void a_commit_that_is_stopped_half_way_does_no_harm(void) {
        g_autofree char *base = images_path("base"), *top = NULL;
        const char *const arguments[] = {
                        "qemu-img", "create", "-q", "-f", "raw", base, "128M", NULL};
        Progress progress = {.stop_on_progress = true}, again = {0};

        images_run(arguments);
        top = make_overlay("top", base, "raw");
        images_io(top, "qcow2", "write -P 7 0 128M");
        if (commit(top, base, &progress)) {
                g_test_skip("the machine is too fast, or too busy to stop in time");
                return;
        }
        assert_error(error, CANCELLED);
        images_io(top, "qcow2", "read -P 7 0 128M");
        g_assert_true(image_check(top, "qcow2", &error));

        g_assert_true(commit(top, base, &again));
        g_assert_cmpuint(again.count, >, 2);
        images_io(base, "raw", "read -P 7 0 128M");
}

static void a_commit_into_what_is_not_below_is_an_error(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1"),
                        *other = images_make("other", "qcow2", "compat=1.1");
        g_autofree char *top = make_overlay("top", base, "qcow2");

        g_assert_false(image_commit(top, "qcow2", other, NULL, &error));
        assert_error(error, BACKEND);
        g_assert_false(image_commit(top, "qcow2", "base", NULL, &error));
        assert_error(error, INVALID_ARGUMENT);
}

/* Rebase */

static void a_rebase_changes_the_name_alone(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1"),
                        *other = images_path("other");
        g_autofree char *top = make_overlay("top", base, "qcow2");
        g_autoptr(ImageInfo) moved = NULL, alone = NULL;

        images_io(top, "qcow2", "write -P 7 0 1M");
        g_assert_cmpint(rename(base, other), ==, 0);
        g_assert_true(image_rebase_unsafe(top, "qcow2", other, "qcow2", &error));
        moved = info_of(top);
        g_assert_cmpstr(moved->backing, ==, other);
        g_assert_cmpstr(moved->backing_format, ==, "qcow2");
        g_assert_true(image_rebase_unsafe(top, "qcow2", NULL, NULL, &error));
        alone = info_of(top);
        g_assert_null(alone->backing);
        images_io(top, "qcow2", "read -P 7 0 1M");
}

static void a_rebase_needs_a_path_and_a_format(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1");
        g_autofree char *top = make_overlay("top", base, "qcow2");

        g_assert_false(image_rebase_unsafe(top, "qcow2", "base", "qcow2", &error));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(image_rebase_unsafe(top, "qcow2", base, NULL, &error));
        assert_error(error, INVALID_ARGUMENT);
}

/* Check and removal */

static void damage_is_found(void) {
        g_autofree char *path = images_make("a", "qcow2", "compat=1.1");
        static const char zeros[65536];
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        g_assert_true(image_check(path, "qcow2", &error));
        g_assert_cmpint(pwrite(fd, zeros, sizeof(zeros), 2 * 65536), ==, sizeof(zeros));
        (void) close(fd);
        g_assert_false(image_check(path, "qcow2", &error));
        assert_error(error, BACKEND);
}

static void a_raw_image_has_no_damage(void) {
        g_autofree char *path = images_make("a", "raw", "preallocation=off");
        g_autofree char *missing = images_path("missing");

        g_assert_true(image_check(path, "raw", &error));
        g_assert_false(image_check(missing, "raw", &error));
        assert_error(error, FILE_NOT_FOUND);
}

static void an_image_is_removed(void) {
        g_autofree char *path = images_make("a", "qcow2", "compat=1.1");

        g_assert_true(image_remove(path, &error));
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_true(image_remove(path, &error));
        g_assert_false(image_remove(images_directory, &error));
        assert_error(error, FAILED);
        g_assert_false(image_remove("a", &error));
        assert_error(error, INVALID_ARGUMENT);
}

/* qemu-io plays a machine that runs. */
static void an_image_in_use_can_be_read_but_not_changed(void) {
        g_autofree char *base = images_make("base", "qcow2", "compat=1.1");
        g_autofree char *top = make_overlay("top", base, "qcow2");
        char *arguments[] = {(char *) "qemu-io", (char *) "-f", (char *) "qcow2", top, NULL};
        g_autoptr(ImageInfo) info = NULL;
        int input, output;
        char byte;

        g_assert_true(g_spawn_async_with_pipes(NULL, arguments, NULL, G_SPAWN_SEARCH_PATH, NULL,
                        NULL, NULL, &input, &output, NULL, NULL));
        g_assert_cmpint(read(output, &byte, 1), ==, 1); /* its prompt */
        info = info_of(top);
        g_assert_cmpstr(info->backing, ==, base);
        g_assert_false(image_commit(top, "qcow2", base, NULL, &error));
        assert_error(error, FILE_IN_USE);
        g_assert_false(image_rebase_unsafe(top, "qcow2", NULL, NULL, &error));
        assert_error(error, FILE_IN_USE);
        (void) close(input);
        while (read(output, &byte, 1) > 0)
                ;
        (void) close(output);
}

/* In a mount namespace of our own, where every later test would run: the last one. */
static bool mount_small(const char *path, const char *options) {
        return unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("tmpfs", path, "tmpfs", 0, options) == 0;
}

static void no_space_is_disk_full(void) {
        g_autofree char *small = images_path("small"), *base = images_path("small/base"),
                        *top = NULL;
        g_autofree char *overlay = images_path("small/overlay");
        const char *const arguments[] = {
                        "qemu-img", "create", "-q", "-f", "raw", base, "16M", NULL};

        g_assert_cmpint(mkdir(small, 0700), ==, 0);
        if (!mount_small(small, "size=64k")) {
                g_test_skip("needs the right to mount");
                return;
        }
        images_run(arguments);
        top = make_overlay("top", base, "raw");
        images_io(top, "qcow2", "write -P 7 0 4M");
        g_assert_false(image_commit(top, "qcow2", base, NULL, &error));
        assert_error(error, DISK_FULL);
        images_io(top, "qcow2", "read -P 7 0 4M");
        g_assert_false(image_create_overlay(overlay, base, "raw", &error));
        assert_error(error, DISK_FULL);
        g_assert_false(g_file_test(overlay, G_FILE_TEST_EXISTS));
        (void) umount2(small, MNT_DETACH);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_IMAGE(an_overlay_rests_on_its_base);
        ADD_IMAGE(an_overlay_belongs_to_the_owner_of_its_base);
        ADD_IMAGE(an_overlay_is_replaced_as_a_whole);
        ADD_IMAGE(nothing_is_overwritten);
        ADD_IMAGE(a_name_that_changes_hands_is_not_followed);
        ADD_IMAGE(a_bad_base_gets_no_overlay);
        ADD_IMAGE(a_failure_leaves_no_overlay);
        ADD_IMAGE(a_commit_writes_into_the_base);
        ADD_IMAGE(a_commit_may_go_deeper);
        ADD_IMAGE(a_commit_in_a_deep_chain_of_large_images_has_room);
        ADD_IMAGE(names_may_hold_anything);
        ADD_IMAGE(a_commit_is_stopped_before_it_begins);
        ADD_IMAGE(a_commit_that_is_stopped_half_way_does_no_harm);
        ADD_IMAGE(a_commit_into_what_is_not_below_is_an_error);
        ADD_IMAGE(a_rebase_changes_the_name_alone);
        ADD_IMAGE(a_rebase_needs_a_path_and_a_format);
        ADD_IMAGE(damage_is_found);
        ADD_IMAGE(a_raw_image_has_no_damage);
        ADD_IMAGE(an_image_is_removed);
        ADD_IMAGE(an_image_in_use_can_be_read_but_not_changed);
        ADD_IMAGE(no_space_is_disk_full);
        return g_test_run();
}
