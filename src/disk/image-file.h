/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the parts of image.h share: image files as files. Any thread, may block. */

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Sets the error of an errno: FILE_NOT_FOUND, or that of error_of_errno(). Returns false. */
bool image_file_fail(int reason, const char *verb, const char *path, GError **error);

/* INVALID_ARGUMENT unless the path is absolute: everything else might be read as an option or as a
 * protocol. */
bool image_file_check_path(const char *path, GError **error);

/* Opens a regular file, or also a block device, for reading; *ret is its fstat(). Links are
 * followed, as QEMU follows them. Anything else is refused without being opened, because a FIFO
 * would wait for ever and some devices do something when they are opened. -1 and "error". */
int image_file_open(const char *path, bool allow_device, struct stat *ret, GError **error);

/* Begins to write to the disk what is only in memory, and does not wait for it: image_file_sync()
 * has less to do then. */
void image_file_begin_sync(const char *path);

/* What was written to the file survives a power cut. */
bool image_file_sync(const char *path, GError **error);

/* The same for the entry of the file in its directory. */
bool image_file_sync_directory(const char *path, GError **error);
