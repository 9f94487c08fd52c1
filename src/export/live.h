/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine that runs is exported from a snapshot that is taken for it and destroyed afterwards:
 * its images stay as they are while they are copied, and the guest runs on. docs/decisions/0011.
 * Worker. */

#include <stdbool.h>

#include "export/settings.h"
#include "jobs/job.h"

/* *ret_id is the snapshot. Whatever comes of it, live_end() has to follow. The errors of a snapshot
 * (snapshot/creation.h). */
bool live_begin(Job *job, const ExportRequest *request, char **ret_id, GError **error);

/* Destroys the snapshot, if there is one by now: what the guest has written since goes into its own
 * images. */
bool live_end(Job *job, GError **error);

/* The same after an interruption, from what the job remembers. */
bool live_settle(Job *job, const ExportRequest *request, GError **error);
