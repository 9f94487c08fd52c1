/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Single images that a caller has named, made and looked at by a process that has his rights
 * (bundle/image-create.h). An image below a directory of the service is the service's own: whoever
 * has been allowed the operation has it done there, and nowhere else, with the service's rights. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "backend/layout.h"
#include "jobs/job.h"

typedef struct ImagePlan {
        uid_t user;         /* whose rights it is done with */
        char **directories; /* of the service, if the image is in one of them; else NULL */
        JsonObject *object; /* for the child; the operation adds what it wants */
} ImagePlan;

/* "path" is the image that is made or looked at. Worker. */
void image_plan_init(ImagePlan *plan, const Layout *layout, uid_t caller, const char *path);

/* Another image, which is used with the same rights. Worker. */
void image_plan_add(ImagePlan *plan, const Layout *layout, const char *key, const char *path);
void image_plan_clear(ImagePlan *plan);

/* As image_create(); the job's progress is the child's, and CANCELLED with the job. A chain of
 * ImageFacts, as the child says: nothing of it can be believed but what is public. Worker. */
GPtrArray *image_child_create(Job *job, const ImagePlan *plan, GError **error);

/* As image_look_at(); TIMED_OUT if it takes very long, which is less for a job that was cancelled
 * ("job" may be NULL). Worker. */
GPtrArray *image_child_read(Job *job, const ImagePlan *plan, GError **error);

/* As image_remove_partial(), and the same of time. Worker. */
bool image_child_remove(Job *job, const ImagePlan *plan, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImagePlan, image_plan_clear)
