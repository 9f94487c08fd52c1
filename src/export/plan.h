/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an export is to hold: all that virtask-bundle has to know of the machine, and the files that
 * it copies, opened with the rights of the service. Worker. */

#include <glib.h>
#include <json-glib/json-glib.h>

#include "disk/image-server.h"
#include "export/settings.h"
#include "export/source.h"
#include "jobs/job.h"

/* Where the bundle is, or the package: "name" in "directory", "partial" until it is whole. */
typedef struct BundlePlace {
        char *directory, *name, *partial;
} BundlePlace;

typedef struct ExportPlan {
        const char *verb;    /* of virtask-bundle */
        JsonObject *object;  /* bundle/writer.h or bundle/package-writer.h */
        GArray *descriptors; /* of int; the first one is 3 for virtask-bundle */
        GArray *locks;       /* of int: images that it does not get itself */
        ImageServer *server; /* of images that are merged on the way; NULL: none */
} ExportPlan;

/* The images stay as they are while the plan lives: QEMU can not open them for writing. FILE_IN_USE
 * for an image that somebody writes to, and the errors of export_source_check(). */
ExportPlan *export_plan_new(const ExportSource *source,
                const ExportRequest *request,
                const BundlePlace *place,
                GError **error);

/* The same for a package. The job's log has what does not go into one. INVALID_STATE for a machine
 * that is saved. */
ExportPlan *export_plan_new_package(
                Job *job, const ExportSource *source, const BundlePlace *place, GError **error);

/* One with nothing in it. */
ExportPlan *export_plan_empty(const char *verb);
void export_plan_free(ExportPlan *plan);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ExportPlan, export_plan_free)
