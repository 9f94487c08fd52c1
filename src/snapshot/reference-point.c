/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reference points: Msvm_VirtualSystemReferencePointService::CreateReferencePoint,
 * DestroyReferencePoint and RemoveAssociatedData, and
 * Msvm_VirtualSystemSnapshotService::ConvertToReferencePoint.
 *
 * A reference point is a snapshot of the disks that our metadata marks as one (see
 * docs/decisions/0014): the images above it hold what has changed since. It is made and destroyed
 * by the code of snapshots, and shown as something else. */

#include "snapshot/reference-point.h"

#include "backend/saved-image.h"
#include "backend/snapshot-metadata.h"
#include "bus/bus-path.h"
#include "disk/image.h"
#include "jobs/job.h"
#include "snapshot/destroy.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/operations.h"
#include "snapshot/tree.h"
#include "util/name.h"

#define TYPE_LOG 1

/* Create */

static bool check_type(uint16_t type, GError **error) {
        if (type == TYPE_LOG)
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                "There are no log based reference points here");
        return type == REFERENCE_POINT_TYPE_TRACKED ||
               error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                               "The type of a reference point must be 1 (log based) or 2 "
                               "(tracked changes)");
}

static bool check_consistency(uint32_t consistency, GError **error) {
        return consistency <= CONSISTENCY_CRASH ||
               error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                               "ConsistencyLevel must be 0, 1 (application consistent) or 2 (crash "
                               "consistent)");
}

bool reference_point_request_read(sd_bus_message *call, SnapshotRequest *request, GError **error) {
        static const OptionSpec own[] = {
                        {"ConsistencyLevel", OPTION_UINT32, offsetof(SnapshotRequest, consistency),
                                        NO_SEEN},
                        {"IgnoreNonSnapshottableDisks", OPTION_BOOLEAN,
                                        offsetof(SnapshotRequest, ignore_others), NO_SEEN},
                        {"ElementName", OPTION_STRING, offsetof(SnapshotRequest, name), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };
        uint16_t type;

        if (sd_bus_message_read(call, "q", &type) < 0)
                return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                "The type of the reference point can not be read");
        request->type = SNAPSHOT_TYPE_REFERENCE_POINT;
        return bus_options_read(call, operation_common_options, own, request, error) &&
               check_type(type, error) && check_consistency(request->consistency, error) &&
               (!request->name || name_check(request->name, error));
}

static bool create_parse(sd_bus_message *call, void *request, GError **error) {
        return reference_point_request_read(call, request, error);
}

/* A guest that does not run can not be frozen, and one that is saved is in the middle of its work.
 */
static bool create_admit(const void *request, const MachineFacts *facts, GError **error) {
        const SnapshotRequest *own = request;
        MachineState state = machine_state_from_facts(facts);

        if (own->consistency != CONSISTENCY_APPLICATION ||
                        (state != MACHINE_PAUSED && state != MACHINE_SAVED))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                        "The agent of '%s' can not freeze file systems while it is %s", facts->name,
                        machine_state_to_string(state));
        return false;
}

const Operation operation_reference_point_create = {
                .name = "reference-point-create",
                .interface = "ReferencePointService",
                .member = "CreateReferencePoint",
                .signature = "qa{sv}",
                .argument_names = "reference_point_type\0reference_point_settings\0task\0",
                .action = "org.virtask1.snapshot",
                .gerund = "Creating a reference point of",
                .job_type = 201,
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_INHIBITS |
                         OPERATION_CHANGES_CHAINS | OPERATION_ENDS_WITH_US | OPERATION_FAMILY_A,
                .lane = LANE_LONG,
                .request_size = sizeof(SnapshotRequest),
                .parse = create_parse,
                .request_store = snapshot_request_store,
                .request_load = snapshot_request_load,
                .request_clear = snapshot_request_clear,
                .admit = create_admit,
                .run = creation_whole_run,
                .settle = creation_whole_settle,
                .cancel = creation_cancel,
};

/* Convert */

bool convert_request_read(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"ConsistencyLevel", OPTION_UINT32, offsetof(ConvertRequest, consistency),
                                        NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };
        const ConvertRequest *convert = request;

        return bus_options_read(call, operation_common_options, own, request, error) &&
               check_consistency(convert->consistency, error);
}

static bool may_convert(const ConvertRequest *request, const SnapshotFacts *snapshot) {
        return snapshot->type == SNAPSHOT_TYPE_RECOVERY ||
               (request->of_group && snapshot->type == SNAPSHOT_TYPE_FULL);
}

static bool convert_admit(const void *request, const MachineFacts *facts, GError **error) {
        const ConvertRequest *own = request;
        const SnapshotFacts *snapshot = snapshot_facts_find(facts->snapshots, own->common.snapshot);

        if (!snapshot)
                return error_fail(VIRTASK_ERROR_NO_SUCH_SNAPSHOT, error, "The snapshot is gone");
        if (!may_convert(own, snapshot))
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                "Only recovery snapshots (type 32768) become reference points");
        return own->consistency != CONSISTENCY_APPLICATION ||
               snapshot->consistency == CONSISTENCY_APPLICATION ||
               error_fail(VIRTASK_ERROR_INVALID_STATE, error,
                               "The snapshot is not application consistent");
}

/* It has to be there: a note of another one would meet it some day. And there are no changes in
 * images above it if it lies inside one. */
static bool check_description(virDomainPtr domain, const char *id, GError **error) {
        g_autofree char *text = snapshot_tree_document(domain, id, error);
        g_autoptr(SnapshotDefinition) snapshot =
                        text ? snapshot_definition_parse(text, error) : NULL;

        return snapshot &&
               (snapshot->external || error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                                      "The snapshot lies inside its image"));
}

static bool mark(virDomainPtr domain, const char *id, GError **error) {
        g_autoptr(GPtrArray) known = snapshot_metadata_read(domain, error);
        SnapshotMetadata entry = {.id = (char *) id};
        const SnapshotMetadata *old;

        if (!known)
                return false;
        old = snapshot_metadata_find(known, id);
        if (old)
                entry = *old;
        entry.type = SNAPSHOT_TYPE_REFERENCE_POINT;
        return snapshot_metadata_set(domain, &entry, error);
}

/* What the saved state of a machine was; nobody goes back to a reference point. */
static bool remove_memory(virDomainPtr domain, const char *id, GError **error) {
        g_autofree char *memory = saved_image_path_of_snapshot(domain, id, "memory");

        return !memory || image_remove(memory, error);
}

/* The mark is one change of the definition; what an interruption leaves is done again. */
static bool convert_run(Job *job, GError **error) {
        const Request *request = job->request;
        const char *id = request->snapshot;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error) ||
                        !check_description(loan.domain, id, error) || !job_commit(job) ||
                        !mark(loan.domain, id, error) || !libvirt_files_sync(loan.domain, error) ||
                        !remove_memory(loan.domain, id, error))
                return false;
        job->result_object = bus_path_reference_point(job->uuid, id);
        job_result(job, "ReferencePointId", id);
        return true;
}

const Operation operation_snapshot_convert = {
                .name = "snapshot-convert",
                .interface = "Snapshot",
                .member = "ConvertToReferencePoint",
                .signature = "a{sv}",
                .argument_names = "reference_point_settings\0task\0",
                .action = "org.virtask1.snapshot",
                .gerund = "Converting a snapshot of",
                .job_type = 200,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_CHANGES_CHAINS |
                         OPERATION_ENDS_WITH_US | OPERATION_FAMILY_A,
                .lane = LANE_LONG,
                .request_size = sizeof(ConvertRequest),
                .parse = convert_request_read,
                .admit = convert_admit,
                .run = convert_run,
                .settle = convert_run,
};

/* Destroy */

const Operation operation_reference_point_destroy = {
                .name = "reference-point-destroy",
                .interface = "ReferencePoint",
                .member = "Destroy",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.snapshot-apply",
                .gerund = "Destroying a reference point of",
                .job_type = 202,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_CHANGES_CHAINS |
                         OPERATION_ENDS_WITH_US,
                .lane = LANE_DISK,
                .request_size = sizeof(Request),
                .parse = operation_parse_common,
                .run = snapshot_destroy_run,
                .settle = snapshot_destroy_run,
                .progress = job_counted,
};

/* RemoveAssociatedData: only log based ones have data. */

static bool remove_data_run(Job *job, GError **error) {
        return true;
}

const Operation operation_reference_point_remove_data = {
                .name = "reference-point-remove-data",
                .interface = "ReferencePoint",
                .member = "RemoveAssociatedData",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.snapshot-apply",
                .gerund = "Removing data of a reference point of",
                .job_type = 204,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .parse = operation_parse_common,
                .run = remove_data_run,
};
