/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Real disk images, made with qemu-img, for the tests of src/disk. */

#include <glib.h>

#define MEBIBYTE (UINT64_C(1) << 20)

/* Adds the function as "/MODULE/function", in a temporary directory of its own. */
#define ADD_IMAGE(test)                                                                            \
        g_test_add_data_func("/" MODULE "/" #test, (const void *) (test), images_run_test)
void images_run_test(const void *test);

/* Of the test that runs. */
extern char *images_directory;

char *images_path(const char *name);

/* Writes or replaces a whole file; not synced, so it takes no time. */
void images_write(const char *path, const void *data, size_t size);

/* Runs a program that has to succeed. */
void images_run(const char *const *arguments);

/* An image of 16 MiB, and its path. "options" are those of "qemu-img create -o". */
char *images_make(const char *name, const char *format, const char *options);

/* A command of qemu-io: "write -P 7 0 1M", or "read -P 7 0 1M", which fails if there is anything
 * else. */
void images_io(const char *path, const char *format, const char *command);
