/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "images.h"

#include "support.h"
#include "util/child.h"

char *images_directory;

void images_run_test(const void *test) {
        images_directory = test_directory_new();
        ((void (*)(void)) test)();
        test_directory_clear(&images_directory);
}

char *images_path(const char *name) {
        return g_build_filename(images_directory, name, NULL);
}

void images_write(const char *path, const void *data, size_t size) {
        g_assert_true(g_file_set_contents_full(
                        path, data, (gssize) size, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

void images_run(const char *const *arguments) {
        const ChildHooks hooks = {.memory = UINT64_C(16) << 30}; /* chains may be deep */
        g_autoptr(GError) error = NULL;
        bool ok = child_run(arguments, &hooks, NULL, &error);

        g_assert_no_error(error);
        g_assert_true(ok);
}

char *images_make(const char *name, const char *format, const char *options) {
        char *path = images_path(name);
        const char *const arguments[] = {
                        "qemu-img", "create", "-q", "-f", format, "-o", options, path, "16M", NULL};

        images_run(arguments);
        return path;
}

void images_io(const char *path, const char *format, const char *command) {
        const char *const arguments[] = {"qemu-io", "-f", format, "-c", command, path, NULL};

        images_run(arguments);
}
