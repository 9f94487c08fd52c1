/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Copies files of a bundle into descriptors that somebody else has opened: who copies is the
 * caller, where to is the service's. What the files have to be is in the plan, which the service
 * made of the manifest that it has checked; a file that has been exchanged since is refused.
 *
 * The plan is
 *
 *     {"manifest": "…", "files": [{"file": "disks/vda.qcow2", "descriptor": 3, "head": 0}]}
 *
 * With a "head" only so many bytes of the file are copied, and all are compared. Files of the
 * manifest that are not among them are compared as well. */

#include "bundle/writer.h"

/* INVALID_BUNDLE, PATH_NOT_FOUND, ACCESS_DENIED, DISK_FULL, CANCELLED. */
bool bundle_extract(
                const char *directory, JsonObject *plan, const WriterHooks *hooks, GError **error);
