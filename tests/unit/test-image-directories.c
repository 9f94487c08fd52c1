/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "image-directories"

#include "disk/image-directories.h"

#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#define SOMEBODY 12345U

static GError *error;

static void root_and_the_owner_may_name_any_directory(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *save = g_build_filename(directory, "save", NULL);
        g_autofree char *images = g_build_filename(directory, "images", NULL);
        g_autofree char *elsewhere = g_build_filename(directory, "else", NULL);
        g_autofree char *beneath = g_build_filename(images, "below", NULL);
        g_autofree char *beside = g_strconcat(images, "-x", NULL);
        const Layout layout = {.save = save, .images = images};
        const char *const configured[] = {elsewhere, NULL};
        g_autofree char *path = image_directories_choose(&layout, NULL, SOMEBODY, &error);

        g_assert_cmpstr(path, ==, images); /* made */
        g_assert_cmpint(mkdir(elsewhere, 0700), ==, 0);
        g_assert_cmpint(mkdir(beneath, 0700), ==, 0);
        g_assert_cmpint(mkdir(beside, 0700), ==, 0);

        g_free(path);
        path = image_directories_choose(&layout, elsewhere, 0, &error);
        g_assert_cmpstr(path, ==, elsewhere);
        g_free(path);
        path = image_directories_choose(&layout, elsewhere, geteuid(), &error);
        g_assert_cmpstr(path, ==, elsewhere);

        /* Another one learns nothing of what is there. */
        g_assert_null(image_directories_choose(&layout, elsewhere, SOMEBODY, &error));
        assert_error(error, ACCESS_DENIED);
        g_assert_null(image_directories_choose(&layout, "/nowhere", SOMEBODY, &error));
        assert_error(error, ACCESS_DENIED);
        g_assert_null(image_directories_choose(&layout, beside, SOMEBODY, &error));
        assert_error(error, ACCESS_DENIED);
        g_free(path);
        path = image_directories_choose(&layout, beneath, SOMEBODY, &error);
        g_assert_cmpstr(path, ==, beneath);
        image_directories_set(configured);
        g_free(path);
        path = image_directories_choose(&layout, elsewhere, SOMEBODY, &error);
        g_assert_cmpstr(path, ==, elsewhere);
        image_directories_set(NULL);
        g_assert_null(image_directories_choose(&layout, "/nowhere", 0, &error));
        assert_error(error, PATH_NOT_FOUND);
}

/* A link leads where it leads. */
static void a_link_out_of_a_directory_is_no_part_of_it(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *save = g_build_filename(directory, "save", NULL);
        g_autofree char *images = g_build_filename(directory, "images", NULL);
        g_autofree char *link = g_build_filename(images, "link", NULL);
        const Layout layout = {.save = save, .images = images};

        g_assert_cmpint(mkdir(images, 0700), ==, 0);
        g_assert_cmpint(symlink("/tmp", link), ==, 0);
        g_assert_null(image_directories_choose(&layout, link, SOMEBODY, &error));
        assert_error(error, ACCESS_DENIED);
}

static void another_host_has_none(void) {
        const Layout layout = {0};

        g_assert_null(image_directories_choose(&layout, "/tmp", 0, &error));
        assert_error(error, NOT_SUPPORTED);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(root_and_the_owner_may_name_any_directory);
        ADD(a_link_out_of_a_directory_is_no_part_of_it);
        ADD(another_host_has_none);
        return g_test_run();
}
