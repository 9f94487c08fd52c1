/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The images of a machine that comes in a package. Worker. */

#include "export/import-plan.h"
#include "jobs/job.h"
#include "ovf/ovf-machine.h"

/* Makes an image in each file of the plan, which are empty, of the disk of the same number in the
 * package at "path"; synced. The errors of bundle_child_convert(). */
bool package_images_make(Job *job,
                const ImportPlan *plan,
                const OvfMachine *machine,
                const char *path,
                const char *description,
                GError **error);
