/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Directories whose content somebody else may change meanwhile: no link is followed. Any thread,
 * may block. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* "errno" is set when it returns false. */
typedef bool (*DirectoryFunction)(int directory, const char *name, unsigned depth);

/* Calls the function for each entry, until it returns false; "errno" is set then. */
bool directory_for_each(int directory, DirectoryFunction function, unsigned depth);

/* Removes a file, or a directory with all that is in it down to so many levels; true also if it is
 * not there. "errno" is set on failure. Not synced. */
bool directory_remove(int parent, const char *name, unsigned depth);

/* DISK_FULL unless the file system of "fd" has so many bytes for us, and a few more, which it needs
 * itself; "path" is for the error. */
bool directory_check_room(int fd, const char *path, uint64_t needed, GError **error);
