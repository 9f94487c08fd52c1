/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Directories that count as the service's: whoever may import a machine may have its images made
 * there. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "backend/layout.h"

/* ImageDirectories= of the configuration; NULL: none. Before any worker runs. */
void image_directories_set(const char *const *directories);

/* Whether the path is named as one below a directory of the service. Looks at no file. */
bool image_directories_have(const Layout *layout, const char *path);

/* The same path without links in the part that is the directory's; *ret_beneath are all directories
 * of the service. NULL: it is not below one. Worker. */
char *image_directories_find(const Layout *layout, const char *path, char ***ret_beneath);

/* Where images are made: "wish", or the directory of the connection if that is NULL; as a path
 * without links. Made if it is that of the connection. ACCESS_DENIED for another place than the
 * service's, unless the caller is root or runs the service; NOT_SUPPORTED where there is none;
 * PATH_NOT_FOUND. Worker. */
char *image_directories_choose(
                const Layout *layout, const char *wish, uid_t caller, GError **error);
