/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SnapshotCollection.Apply, Destroy and ConvertToReferencePoint, and the end of a
 * ReferencePointCollection: Msvm_CollectionSnapshotService::ApplySnapshot, DestroySnapshot and
 * ConvertToReferencePoint, and Msvm_CollectionReferencePointService::DestroyReferencePoint and
 * RemoveAssociatedData. Each machine is brought back, or relieved, by itself, as for one snapshot;
 * what is begun is finished for all of them. */

#include "bus/bus-path.h"
#include "collection/operations.h"
#include "collection/store.h"
#include "collection/together.h"
#include "jobs/job.h"
#include "snapshot/operations.h"
#include "snapshot/reference-point.h"

#define TYPE_RECOVERY 2 /* of a collection's snapshots */

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

/* One file instead of another, under the same ID: there is always one of the two collections. */
static bool replace(Job *job, const Collection *old, GError **error) {
        g_autoptr(Collection) points = collection_copy(old);

        points->kind = COLLECTION_OF_POINTS;
        points->type = REFERENCE_POINT_TYPE_TRACKED;
        return collection_store_put(job->collections, points, error);
}

static bool check_recovery(const Collection *collection, GError **error) {
        if (collection->kind == COLLECTION_OF_POINTS || collection->type == TYPE_RECOVERY)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "Only recovery snapshots (type 2) become reference points");
        return false;
}

/* After an interruption it may be one of reference points already. */
static bool convert_run(Job *job, GError **error) {
        const Request *request = job->request;
        g_autoptr(Collection) old =
                        collection_store_find(job->collections, request->collection, error);

        if (!old || !check_recovery(old, error) || !run_parts(job, error) ||
                        (old->kind != COLLECTION_OF_POINTS && !replace(job, old, error)))
                return false;
        job->result_object = bus_path_reference_point_collection(old->id);
        return true;
}

static void convert_part_request(const void *request, const MachineFacts *facts, void *ret) {
        ConvertRequest *part = ret;

        part->consistency = ((const ConvertRequest *) request)->consistency;
        part->of_group = true;
}

/* There is none: those of single reference points say more. */
static bool remove_data_run(Job *job, GError **error) {
        return true;
}

/* clang-format off */
#define GROUP_COMMON                                            \
                .signature = "a{sv}",                           \
                .argument_names = "options\0task\0",            \
                .action = "org.virtask1.snapshot-apply",        \
                .request_size = sizeof(Request),                \
                .parse = operation_parse_common
/* clang-format on */

const Operation operation_group_apply = {
                .name = "group-apply",
                .interface = "SnapshotCollection",
                .member = "Apply",
                .gerund = "Applying",
                .job_type = 71,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_ENDS_WITH_US |
                         OPERATION_FAMILY_A,
                .lane = LANE_LONG,
                .run = apply_run,
                .settle = apply_run,
                .part = &operation_snapshot_apply,
                GROUP_COMMON,
};

const Operation operation_group_destroy = {
                .name = "group-destroy",
                .interface = "SnapshotCollection",
                .member = "Destroy",
                .gerund = "Destroying",
                .job_type = 72,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_ENDS_WITH_US |
                         OPERATION_FAMILY_A | OPERATION_SKIPS_MISSING,
                .lane = LANE_DISK,
                .run = destroy_run,
                .settle = destroy_run,
                .part = &operation_snapshot_destroy,
                GROUP_COMMON,
};

const Operation operation_group_convert = {
                .name = "group-convert",
                .interface = "SnapshotCollection",
                .member = "ConvertToReferencePoint",
                .signature = "a{sv}",
                .argument_names = "reference_point_settings\0task\0",
                .action = "org.virtask1.snapshot",
                .gerund = "Converting",
                .job_type = 200,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_ENDS_WITH_US |
                         OPERATION_FAMILY_A | OPERATION_SKIPS_MISSING,
                .lane = LANE_LONG,
                .request_size = sizeof(ConvertRequest),
                .parse = convert_request_read,
                .run = convert_run,
                .settle = convert_run,
                .part = &operation_snapshot_convert,
                .part_request = convert_part_request,
};

const Operation operation_point_group_destroy = {
                .name = "reference-point-group-destroy",
                .interface = "ReferencePointCollection",
                .member = "Destroy",
                .gerund = "Destroying",
                .job_type = 208,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_ENDS_WITH_US |
                         OPERATION_FAMILY_A | OPERATION_SKIPS_MISSING,
                .lane = LANE_DISK,
                .run = destroy_run,
                .settle = destroy_run,
                .part = &operation_reference_point_destroy,
                GROUP_COMMON,
};

const Operation operation_point_group_remove_data = {
                .name = "reference-point-group-remove-data",
                .interface = "ReferencePointCollection",
                .member = "RemoveAssociatedData",
                .gerund = "Removing data of",
                .job_type = 207,
                .flags = OPERATION_FAMILY_A,
                .lane = LANE_SHORT,
                .run = remove_data_run,
                GROUP_COMMON,
};
