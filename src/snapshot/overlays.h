/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The overlays of a snapshot that was not made after all. Worker. */

#include <libvirt/libvirt.h>

#include "jobs/job.h"

/* Removes those that nobody uses. What the machine has written to one already goes back into the
 * image below. A file of somebody else in the place of an overlay stays. "overlays" are paths; NULL
 * ends them. */
bool overlays_remove(Job *job, virDomainPtr domain, char **overlays, GError **error);
