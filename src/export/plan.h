/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an export is to hold: all that virtask-bundle has to know of the machine, and the files that
 * it copies, opened with the rights of the service. Worker. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <libvirt/libvirt.h>

#include "export/settings.h"
#include "snapshot/tree.h"

typedef struct ExportPlan {
        JsonObject *object;  /* bundle/writer.h */
        GArray *descriptors; /* of int; the first one is 3 for virtask-bundle */
} ExportPlan;

/* The images stay as they are while the plan lives: QEMU can not open them for writing. "partial"
 * is the name of the unfinished bundle. NOT_SUPPORTED for a disk that is in no file, FILE_IN_USE
 * for one that somebody writes to, NO_SUCH_SNAPSHOT, INVALID_ARGUMENT for an excluded disk that
 * there is not. */
ExportPlan *export_plan_new(virDomainPtr domain,
                const SnapshotTree *tree,
                const ExportRequest *request,
                const char *partial,
                GError **error);
void export_plan_free(ExportPlan *plan);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ExportPlan, export_plan_free)
