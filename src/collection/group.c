/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SnapshotCollection.Apply and Destroy: Msvm_CollectionSnapshotService::ApplySnapshot and
 * DestroySnapshot. Each machine is brought back, or relieved, by itself, as for one snapshot; what
 * is begun is finished for all of them. */

#include "collection/operations.h"
#include "collection/store.h"
#include "collection/together.h"
#include "jobs/job.h"
#include "snapshot/operations.h"

#define WIDTH 2 /* machines at a time: disks are the limit */

#define MEMORY_FAILED "Failed" /* the first failure, for a restart that does not see it */

typedef struct Outcome {
        Job *job;
        GMutex lock;
        GError *error;
} Outcome;

static void run_part(unsigned i, void *userdata) {
        Outcome *outcome = userdata;
        Job *part = outcome->job->parts->pdata[i];
        g_autoptr(GError) cause = NULL;

        part->insists = true;
        if (part->ended || job_run_part(part, &cause))
                return;
        g_mutex_lock(&outcome->lock);
        together_propagate(&outcome->error, part, cause);
        if (!job_recall(outcome->job, MEMORY_FAILED))
                (void) job_remember(outcome->job, MEMORY_FAILED, outcome->error->message, NULL);
        g_mutex_unlock(&outcome->lock);
}

static bool run_parts(Job *job, GError **error) {
        Outcome outcome = {.job = job};
        const char *earlier = job_recall(job, MEMORY_FAILED);

        if (!job_commit(job))
                return false;
        g_mutex_init(&outcome.lock);
        if (job->parts)
                together_do(job->parts->len, WIDTH, run_part, &outcome);
        g_mutex_clear(&outcome.lock);
        if (outcome.error) {
                g_propagate_error(error, outcome.error);
                return false;
        }
        if (earlier)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "%s", earlier);
        return !earlier;
}

static bool apply_run(Job *job, GError **error) {
        return run_parts(job, error);
}

static bool destroy_run(Job *job, GError **error) {
        const Request *request = job->request;

        return run_parts(job, error) &&
               collection_store_remove(job->collections, request->collection, error);
}

/* clang-format off */
#define GROUP_COMMON                                            \
                .interface = "SnapshotCollection",              \
                .signature = "a{sv}",                           \
                .argument_names = "options\0task\0",            \
                .action = "org.virtask1.snapshot-apply",        \
                .request_size = sizeof(Request),                \
                .parse = operation_parse_common
/* clang-format on */

const Operation operation_group_apply = {
                .name = "group-apply",
                .member = "Apply",
                .gerund = "Applying",
                .job_type = 71,
                .flags = OPERATION_DURABLE | OPERATION_ENDS_WITH_US | OPERATION_FAMILY_A,
                .lane = LANE_LONG,
                .run = apply_run,
                .settle = apply_run,
                .part = &operation_snapshot_apply,
                GROUP_COMMON,
};

const Operation operation_group_destroy = {
                .name = "group-destroy",
                .member = "Destroy",
                .gerund = "Destroying",
                .job_type = 72,
                .flags = OPERATION_DURABLE | OPERATION_ENDS_WITH_US | OPERATION_FAMILY_A |
                         OPERATION_SKIPS_MISSING,
                .lane = LANE_DISK,
                .run = destroy_run,
                .settle = destroy_run,
                .part = &operation_snapshot_destroy,
                GROUP_COMMON,
};
