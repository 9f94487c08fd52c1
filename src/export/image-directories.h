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

/* Where images are made: "wish", or the directory of the connection if that is NULL; as a path
 * without links. Made if it is that of the connection. ACCESS_DENIED for another place than the
 * service's, unless the caller is root or runs the service; NOT_SUPPORTED where there is none;
 * PATH_NOT_FOUND. Worker. */
char *image_directories_choose(
                const Layout *layout, const char *wish, uid_t caller, GError **error);
