/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Packages that come in, read with the rights of this process. Somebody made them whom we do not
 * trust; who made the plan is trusted. */

#include <json-glib/json-glib.h>

#include "bundle/writer.h"

/* A descriptor for reading; -1 with PATH_NOT_FOUND or ACCESS_DENIED. */
int package_open(const char *path, GError **error);

/* What is in it: its machine (bundle/package-json.h) as a text. The disks are not read. The errors
 * of ova_open(). */
char *package_describe(const char *path, GError **error);

/* Verifies the package, if it has a manifest, and copies its disks. The plan is
 *
 *     {"description": "…", "disks": [{"descriptor": 3, "export": "sda"}, …]}
 *
 * with what package_describe() has said, which has to be so still, and for each disk a connection
 * to an NBD server that takes it, with its name there, or null for one that is not copied; without
 * "disks" it is only verified. Of a package that somebody changes meanwhile nothing is good.
 * INVALID_BUNDLE, DISK_FULL, CANCELLED. */
bool package_convert(const char *path, JsonObject *plan, const WriterHooks *hooks, GError **error);
