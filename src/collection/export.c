/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SnapshotCollection.ExportSnapshot and ReferencePointCollection.ExportReferencePoint:
 * Msvm_CollectionSnapshotService::ExportSnapshot and
 * Msvm_CollectionReferencePointService::ExportReferencePoint. Each machine's snapshot is exported
 * by itself, into a directory of its own; there are all of them in the end, or none. */

#include "export/export.h"
#include "bus/bus-path.h"
#include "collection/operations.h"
#include "collection/store.h"
#include "collection/together.h"
#include "export/operations.h"
#include "export/settings.h"
#include "jobs/job.h"

#define WIDTH 2 /* machines at a time: disks are the limit */

/* The machines' requests */

static void part_request(const void *request, const MachineFacts *facts, void *ret) {
        export_request_for_part(request, facts->uuid, ret);
}

/* The work */

typedef struct Group {
        Job *job;
        bool (*step)(Job *part, GError **error);
        GMutex lock;
        GError *error; /* the first one */
} Group;

static void do_step(unsigned i, void *userdata) {
        Group *group = userdata;
        Job *part = group->job->parts->pdata[i];
        g_autoptr(GError) cause = NULL;

        part->caller = group->job->caller;
        if (group->step(part, &cause))
                return;
        g_mutex_lock(&group->lock);
        together_propagate(&group->error, part, cause);
        g_mutex_unlock(&group->lock);
}

static bool do_all(Job *job, bool (*step)(Job *part, GError **error), GError **error) {
        Group group = {.job = job, .step = step};

        g_mutex_init(&group.lock);
        if (job->parts)
                together_do(job->parts->len, WIDTH, do_step, &group);
        g_mutex_clear(&group.lock);
        if (!group.error)
                return true;
        g_propagate_error(error, group.error);
        return false;
}

/* What a machine's export differs from: its snapshot in the collection that is the base of all. */

static Collection *find_base(const Job *job, GError **error) {
        const ExportRequest *request = job->request;
        g_autoptr(Collection) base = NULL;
        char id[UUID_STRING_SIZE];

        if (bus_path_to_snapshot_collection(request->base, id) ||
                        bus_path_to_reference_point_collection(request->base, id))
                base = collection_store_find(job->collections, id, NULL);
        if (base && collection_is_group(base))
                return g_steal_pointer(&base);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_COLLECTION,
                        "'%s' is no collection of snapshots or reference points", request->base);
        return NULL;
}

static bool set_base(Job *part, const Collection *base, GError **error) {
        ExportRequest *request = part->request;
        const char *snapshot = collection_snapshot_of(base, part->uuid);

        g_clear_pointer(&request->base, g_free);
        if (snapshot)
                request->base = base->kind == COLLECTION_OF_POINTS
                                                ? bus_path_reference_point(part->uuid, snapshot)
                                                : bus_path_snapshot(part->uuid, snapshot);
        else
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "'%s' is not part of the base", together_name(part));
        return snapshot;
}

static bool set_bases(Job *job, GError **error) {
        const ExportRequest *request = job->request;
        g_autoptr(Collection) base = NULL;
        bool ok = true;

        if (!request->base)
                return true;
        base = find_base(job, error);
        for (unsigned i = 0; base && ok && job->parts && i < job->parts->len; i++)
                ok = set_base(job->parts->pdata[i], base, error);
        return base && ok;
}

static bool discard(Job *part, GError **error) {
        export_discard(part);
        return true;
}

/* The parts end with the whole, which can be cancelled until then. */
static bool end(Job *job, bool done, GError **error) {
        const ExportRequest *request = job->request;

        if (done && job_commit(job)) {
                job_result(job, "ExportDirectory", request->directory);
                for (unsigned i = 0; job->parts && i < job->parts->len; i++)
                        job_end_part(job->parts->pdata[i], NULL);
                return true;
        }
        (void) do_all(job, discard, NULL);
        return false;
}

static bool has_part(const Job *job, const char *path) {
        char uuid[UUID_STRING_SIZE] = "";

        (void) bus_path_to_machine(path, uuid);
        for (unsigned i = 0; i < job->parts->len; i++)
                if (g_str_equal(((Job *) job->parts->pdata[i])->uuid, uuid))
                        return true;
        return false;
}

/* Somebody may mean a machine that is none of them. */
static bool check_machines(const Job *job, GError **error) {
        GHashTable *table = ((ExportRequest *) job->request)->included_of;
        GHashTableIter iter;
        void *path;

        if (!table)
                return true;
        g_hash_table_iter_init(&iter, table);
        while (g_hash_table_iter_next(&iter, &path, NULL)) {
                if (has_part(job, path))
                        continue;
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "'%s' is not part of the collection", (char *) path);
                return false;
        }
        return true;
}

static bool group_export_run(Job *job, GError **error) {
        return check_machines(job, error) && set_bases(job, error) &&
               end(job, do_all(job, export_write, error), error);
}

static bool group_export_settle(Job *job, GError **error) {
        return end(job, do_all(job, export_settle, error), error);
}

/* clang-format off */
#define EXPORT_OF_GROUP                                                                      \
                .run = group_export_run,                                                     \
                .settle = group_export_settle,                                               \
                .part_request = part_request,                                                \
                EXPORT_DIRECTORY,                                                            \
                EXPORT_OPERATION
/* clang-format on */

const Operation operation_group_export = {
                .name = "group-export",
                .interface = "SnapshotCollection",
                .member = "ExportSnapshot",
                .job_type = 62,
                .parse = export_request_parse_for_group,
                .part = &operation_export_snapshot,
                EXPORT_OF_GROUP,
};

const Operation operation_point_group_export = {
                .name = "reference-point-group-export",
                .interface = "ReferencePointCollection",
                .member = "ExportReferencePoint",
                .job_type = 206,
                .parse = export_request_parse_for_point_group,
                .part = &operation_export_point,
                EXPORT_OF_GROUP,
};
