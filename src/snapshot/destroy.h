/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The end of a snapshot, for operations that are not Destroy. Worker. */

#include <libvirt/libvirt.h>

#include "jobs/job.h"

/* Removes the snapshot, with all snapshots below it if that is asked for; reference points
 * below, and what the machine and other snapshots show, stay. Can be repeated after an
 * interruption, from what the job remembers: one that is gone is no error. */
bool snapshot_destroy(
                Job *job, virDomainPtr domain, const char *id, bool with_children, GError **error);

/* The run() and settle() of an operation that destroys what it is called on, without children. */
bool snapshot_destroy_run(Job *job, GError **error);
