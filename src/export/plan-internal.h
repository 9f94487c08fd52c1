/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the parts of a plan share: the files in plan-images.c, what is said of them in plan.c. */

#include "export/plan.h"

typedef struct Planner {
        const ExportSource *source;
        const ExportRequest *request;
        ExportPlan *plan;
        GHashTable *names;    /* path of an image that is copied -> its name in the bundle */
        GHashTable *copies;   /* path of any file -> the path of its copy */
        GHashTable *replaced; /* target -> path: disks that are a new image in the bundle */
        JsonObject *texts;
        JsonArray *images, *disks; /* what is to be written, what the manifest says of disks */
        char *here;
} Planner;

/* Names all images that are copied, so that they can name each other. */
void plan_name_images(Planner *p);

/* Opens what was named, and adds what is made anew: overlays on images that stay where they are,
 * and images that a chain is merged into. */
bool plan_add_images(Planner *p, GError **error);

/* A file that is copied as it is. True also without one ("path" is NULL); *name is NULL then. */
bool plan_add_state(Planner *p, const char *path, char **name, GError **error);

/* Of a snapshot that travels along. */
bool plan_name_snapshot(Planner *p, const SnapshotDefinition *snapshot, GError **error);

/* Whether it travels along. */
bool plan_has_snapshot(const Planner *p, const SnapshotDefinition *snapshot);
