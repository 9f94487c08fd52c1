/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Collection.CreateSnapshot and CreateReferencePoint:
 * Msvm_CollectionSnapshotService::CreateSnapshot and
 * Msvm_CollectionReferencePointService::CreateReferencePoint. The machines take each step together,
 * so that what their disks hold is of one moment:
 *
 *     prepare one by one ── freeze all ── stop all ── take all ── all go on ── thaw all ── note
 *
 * Nothing that one guest was told by another before it stopped is missing on the other's disk. The
 * collection of snapshots is written last; while it is not there, an interruption and a failure end
 * with every machine as it was. */

#include <string.h>

#include "backend/stop-watch.h"
#include "bus/bus-path.h"
#include "collection/operations.h"
#include "collection/store.h"
#include "collection/together.h"
#include "jobs/job.h"
#include "snapshot/creation.h"
#include "snapshot/destroy.h"
#include "snapshot/operations.h"
#include "snapshot/reference-point.h"

#define TYPE_STANDARD 1
#define TYPE_RECOVERY 2

#define WIDTH COLLECTION_MEMBERS_MAX /* machines at a time */

#define EVENT_LOOKS 100
#define EVENT_MSEC  10

#define MEMORY_ID "Id" /* of the collection of snapshots */

static bool snapshot_parse(sd_bus_message *call, void *request, GError **error) {
        SnapshotRequest *own = request;

        if (!snapshot_request_read(call, own, error))
                return false;
        if (own->type == TYPE_STANDARD || own->type == TYPE_RECOVERY)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "The snapshot type must be 1 (standard) or 2 (recovery)");
        return false;
}

static bool point_parse(sd_bus_message *call, void *request, GError **error) {
        return reference_point_request_read(call, request, error);
}

static bool is_of_points(const Job *job) {
        return ((SnapshotRequest *) job->request)->type == SNAPSHOT_TYPE_REFERENCE_POINT;
}

/* Disks alone do not fit a saved state. Nobody goes back to a reference point. */
static uint32_t type_of_part(const SnapshotRequest *whole, bool saved) {
        if (whole->type == SNAPSHOT_TYPE_REFERENCE_POINT)
                return whole->type;
        if (saved)
                return SNAPSHOT_TYPE_FULL;
        return whole->type == TYPE_RECOVERY ? SNAPSHOT_TYPE_RECOVERY : SNAPSHOT_TYPE_DISKS;
}

static void part_request(const void *request, const MachineFacts *facts, void *ret) {
        const SnapshotRequest *whole = request;
        SnapshotRequest *part = ret;
        bool saved = machine_state_from_facts(facts) == MACHINE_SAVED;

        part->type = type_of_part(whole, saved);
        part->consistency = saved ? CONSISTENCY_CRASH : whole->consistency;
        part->guest_backup_type = whole->guest_backup_type;
        part->ignore_others = whole->ignore_others;
        part->name = g_strdup(whole->name);
        part->notes = g_strdup(whole->notes);
}

/* A step that all machines take */

typedef struct Member {
        Job *job;
        Creation *creation;
        StopWatch *watch;
        gint64 stopped_at; /* CLOCK_REALTIME; as we know it, see the watch */
        bool taken;
        GError *error; /* the first */
} Member;

typedef struct Group {
        Job *job;
        Member *members;
        unsigned n;
        bool (*step)(Member *member, GError **error);
} Group;

static void take_step(unsigned i, void *userdata) {
        const Group *group = userdata;
        Member *member = group->members + i;

        /* The first error is the one that counts. */
        (void) group->step(member, member->error ? NULL : &member->error);
}

static bool all_well(const Group *group) {
        for (unsigned i = 0; i < group->n; i++)
                if (group->members[i].error)
                        return false;
        return true;
}

static bool do_together(Group *group, bool (*step)(Member *member, GError **error)) {
        group->step = step;
        together_do(group->n, WIDTH, take_step, group);
        return all_well(group);
}

static bool freeze(Member *member, GError **error) {
        return creation_freeze(member->creation, error);
}

static bool stop(Member *member, GError **error) {
        bool ok = creation_stop(member->creation, error);

        member->stopped_at = g_get_real_time();
        return ok;
}

static bool take(Member *member, GError **error) {
        member->taken = creation_take(member->creation, error);
        return member->taken;
}

static bool go_on(Member *member, GError **error) {
        return creation_go_on(member->creation, error);
}

static bool thaw(Member *member, GError **error) {
        return creation_thaw(member->creation, error);
}

static bool conclude(Member *member, GError **error) {
        return creation_conclude(member->creation, error);
}

/* Also what was taken goes: the disk that goes on is the one from before, with what was written to
 * the other since. */
static bool take_back(Member *member, GError **error) {
        if (!member->creation)
                return true;
        if (!member->taken) {
                creation_undo(member->creation, &member->error);
                return false;
        }
        return snapshot_destroy(member->job, creation_domain(member->creation),
                        creation_id(member->creation), false, error);
}

/* The steps in their order */

static bool prepare(Group *group) {
        for (unsigned i = 0; i < group->n && !job_is_cancelled(group->job); i++) {
                Member *member = group->members + i;

                member->creation = creation_prepare(member->job, member->job->request,
                                CREATION_TOGETHER, &member->error);
                if (!member->creation)
                        return false;
                if (creation_is_running(member->creation))
                        member->watch = stop_watch_new(creation_domain(member->creation));
        }
        return !job_is_cancelled(group->job);
}

/* The event comes by another thread; by now it should be here. */
static gint64 time_of_stop(const Member *member) {
        gint64 at = stop_watch_read(member->watch);

        for (unsigned i = 0; member->watch && at == 0 && i < EVENT_LOOKS; i++) {
                job_wait(member->job, EVENT_MSEC);
                at = stop_watch_read(member->watch);
        }
        return at ?: member->stopped_at;
}

/* How far apart the guests stopped, and for how long. A machine that does not run stands still. */
static void report_moment(const Group *group, gint64 gone_on) {
        gint64 first = INT64_MAX, last = 0;
        g_autofree char *spread = NULL, *stopped = NULL;

        for (unsigned i = 0; i < group->n; i++) {
                const Member *member = group->members + i;
                gint64 at;

                if (!creation_is_running(member->creation))
                        continue;
                at = time_of_stop(member);
                first = MIN(first, at);
                last = MAX(last, at);
        }
        if (last == 0)
                return;
        spread = g_strdup_printf("%" G_GINT64_FORMAT, last - first);
        stopped = g_strdup_printf("%" G_GINT64_FORMAT, gone_on - first);
        job_result(group->job, "SpreadUSec", spread);
        job_result(group->job, "StoppedUSec", stopped);
}

/* Whoever was stopped and frozen goes on, whatever happened. */
static bool catch_moment(Group *group) {
        gint64 gone_on;
        bool ok = do_together(group, freeze) && job_commit(group->job) &&
                  do_together(group, stop) && do_together(group, take);

        ok = do_together(group, go_on) && ok;
        gone_on = g_get_real_time();
        if (!do_together(group, thaw) || !ok)
                return false;
        report_moment(group, gone_on);
        return do_together(group, conclude);
}

static Collection *describe(const Group *group, const char *id, uint64_t created) {
        const SnapshotRequest *request = group->job->request;
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        g_autofree char *date = g_date_time_format(now, "%F %H.%M.%S");
        bool points = is_of_points(group->job);
        Collection *snapshots =
                        collection_new(points ? COLLECTION_OF_POINTS : COLLECTION_OF_SNAPSHOTS, id,
                                        request->name ?: date);

        for (unsigned i = 0; i < group->n; i++)
                collection_add(snapshots, group->members[i].job->uuid,
                                creation_id(group->members[i].creation));
        g_strlcpy(snapshots->origin, request->common.collection, sizeof(snapshots->origin));
        snapshots->type = points ? REFERENCE_POINT_TYPE_TRACKED : (uint16_t) request->type;
        snapshots->consistency = request->consistency == CONSISTENCY_APPLICATION
                                                 ? CONSISTENCY_APPLICATION
                                                 : CONSISTENCY_CRASH;
        snapshots->created = created;
        return snapshots;
}

static void set_result(Job *job, const char *id) {
        job->result_object = is_of_points(job) ? bus_path_reference_point_collection(id)
                                               : bus_path_snapshot_collection(id);
}

static bool note(Group *group, const char *id, uint64_t created, GError **error) {
        g_autoptr(Collection) snapshots = describe(group, id, created);

        if (!collection_store_put(group->job->collections, snapshots, error))
                return false;
        set_result(group->job, id);
        return true;
}

/* A lost connection is the whole's: settle() begins anew with all of them. */
static const Member *find_lost(const Group *group) {
        for (unsigned i = 0; i < group->n; i++)
                if (g_error_matches(group->members[i].error, VIRTASK_ERROR,
                                    VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE))
                        return group->members + i;
        return NULL;
}

static void set_failure(const Group *group, GError **error) {
        const Member *lost = find_lost(group);

        if (lost)
                together_propagate(error, lost->job, lost->error);
        for (unsigned i = 0; i < group->n; i++)
                if (group->members[i].error)
                        together_propagate(error, group->members[i].job, group->members[i].error);
}

static void group_clear(Group *group) {
        for (unsigned i = 0; i < group->n; i++) {
                stop_watch_free(group->members[i].watch);
                creation_free(group->members[i].creation);
                g_clear_error(&group->members[i].error);
        }
        g_free(group->members);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Group, group_clear)

static void group_init(Group *group, Job *job) {
        group->job = job;
        group->n = job->parts->len;
        group->members = g_new0(Member, group->n);
        for (unsigned i = 0; i < group->n; i++)
                group->members[i].job = job->parts->pdata[i];
}

static bool snapshot_run(Job *job, GError **error) {
        g_autofree char *id = g_uuid_string_random();
        uint64_t created = (uint64_t) g_get_real_time();
        g_auto(Group) group = {0};

        group_init(&group, job);
        if (!job_remember(job, MEMORY_ID, id, error))
                return false;
        if (prepare(&group) && catch_moment(&group) && note(&group, id, created, error))
                return true;
        if (!find_lost(&group))
                (void) do_together(&group, take_back);
        if (find_lost(&group) || !*error) {
                g_clear_error(error);
                set_failure(&group, error);
        }
        return false;
}

/* After an interruption */

/* A snapshot that is whole has to go if the group is not. */
static bool take_back_settled(Member *member, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        const char *id = creation_recall(member->job);

        if (!creation_settle(member->job, member->job->request, CREATION_TOGETHER, error))
                return false;
        return backend_open_domain(member->job->backend, BACKEND_LONG, member->job->uuid, &loan,
                               error) &&
               snapshot_destroy(member->job, loan.domain, id, false, error);
}

static bool settle_whole(Member *member, GError **error) {
        return creation_settle(member->job, member->job->request, CREATION_TOGETHER, error);
}

static bool snapshot_settle(Job *job, GError **error) {
        const char *id = job_recall(job, MEMORY_ID);
        g_autoptr(Collection) snapshots =
                        id ? collection_store_find(job->collections, id, NULL) : NULL;
        g_auto(Group) group = {0};

        if (job->parts)
                group_init(&group, job);
        for (unsigned i = 0; i < group.n; i++)
                creation_wake(group.members[i].job);
        if (snapshots) {
                set_result(job, id);
                if (do_together(&group, settle_whole))
                        return true;
        } else
                (void) do_together(&group, take_back_settled);
        set_failure(&group, error);
        if (!*error)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                "Taking the %s was interrupted; nothing has changed",
                                is_of_points(job) ? "reference point" : "snapshot");
        return false;
}

/* clang-format off */
#define CREATE_COMMON                                                           \
                .interface = "Collection",                                      \
                .signature = "qa{sv}",                                          \
                .action = "org.virtask1.snapshot",                              \
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_CHANGES_CHAINS | OPERATION_ENDS_WITH_US | \
                         OPERATION_FAMILY_A,                                    \
                .lane = LANE_LONG,                                              \
                .request_size = sizeof(SnapshotRequest),                        \
                .request_store = snapshot_request_store,                        \
                .request_load = snapshot_request_load,                          \
                .request_clear = snapshot_request_clear,                        \
                .run = snapshot_run,                                            \
                .settle = snapshot_settle,                                      \
                .part_request = part_request
/* clang-format on */

const Operation operation_collection_snapshot = {
                .name = "collection-snapshot",
                .member = "CreateSnapshot",
                .argument_names = "snapshot_type\0snapshot_settings\0task\0",
                .gerund = "Taking a snapshot of",
                .job_type = 198,
                .parse = snapshot_parse,
                .part = &operation_snapshot_create,
                CREATE_COMMON,
};

const Operation operation_collection_point = {
                .name = "collection-reference-point",
                .member = "CreateReferencePoint",
                .argument_names = "reference_point_type\0reference_point_settings\0task\0",
                .gerund = "Creating a reference point of",
                .job_type = 205,
                .parse = point_parse,
                .part = &operation_reference_point_create,
                CREATE_COMMON,
};
