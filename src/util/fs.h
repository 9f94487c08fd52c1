/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files of our own: directories that only we may enter, replaced as a whole, synced when it
 * matters. */

#include <glib.h>
#include <stdbool.h>

/* Makes the directory (mode 0700, parents 0755) if it is missing and opens it. -1 and "error" on
 * failure. */
int fs_open_directory(const char *path, GError **error);

/* Makes the file or empties it, for writing. -1 and "error" on failure. */
int fs_create(int directory, const char *name, GError **error);

/* Writes to what fs_create() has opened; "name" is for the error. */
bool fs_write(int fd, const char *name, const char *text, GError **error);

/* Replaces the file "name" of the directory by "text": a reader sees the old text or the new one.
 * With "sync" it also survives a power cut once this returns. Any thread. */
bool fs_replace(int directory, const char *name, const char *text, bool sync, GError **error);

/* Makes an earlier fs_replace() without "sync" survive a power cut. Any thread; may take long. */
bool fs_sync(int directory, const char *name, GError **error);

/* Makes all that was written to the file system of the directory survive a power cut; true where
 * there is no such directory. May take long. */
bool fs_sync_all(const char *directory);

/* Reads a whole file of at most "limit" bytes; NULL and "error" on failure. */
char *fs_read(int directory, const char *name, size_t limit, GError **error);
