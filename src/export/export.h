/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An export, for operations that are made of several. The job's request is an ExportRequest. All
 * worker. */

#include <stdbool.h>

#include "jobs/job.h"

/* Writes the bundle and tells the job where it is. */
bool export_write(Job *job, GError **error);

/* After an interruption: true if the bundle is whole; SERVICE_RESTARTED if there is none. */
bool export_settle(Job *job, GError **error);

/* Removes the bundle that the job has made, whole or not. */
void export_discard(Job *job);
