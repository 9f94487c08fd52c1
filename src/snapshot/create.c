/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* CreateSnapshot: Msvm_VirtualSystemSnapshotService::CreateSnapshot. */

#include <string.h>

#include "backend/backend-error.h"
#include "jobs/job.h"
#include "snapshot/creation.h"
#include "snapshot/operations.h"
#include "util/name.h"

#define NOTES_BYTES 1024U

static bool check_numbers(const SnapshotRequest *request, GError **error) {
        if (request->consistency > CONSISTENCY_CRASH)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "ConsistencyLevel must be 0, 1 (application consistent) or 2 "
                                "(crash consistent)");
        else if (request->guest_backup_type > 2)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "GuestBackupType must be 0, 1 (full) or 2 (copy)");
        else
                return true;
        return false;
}

static bool check_type(const SnapshotRequest *request, GError **error) {
        bool full = request->type == SNAPSHOT_TYPE_FULL;

        if (!full && request->type != SNAPSHOT_TYPE_DISKS &&
                        request->type != SNAPSHOT_TYPE_RECOVERY)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The snapshot type must be 2 (full), 3 (disks only) or 32768 "
                                "(recovery)");
        else if (full && request->consistency == CONSISTENCY_APPLICATION)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "A snapshot with memory is consistent by itself; ConsistencyLevel "
                                "1 is for types 3 and 32768");
        else
                return true;
        return false;
}

/* They are part of the machine's definition, of which each snapshot has a copy. */
static bool check_notes(const char *notes, GError **error) {
        bool ok = !notes || strlen(notes) <= NOTES_BYTES;

        for (const char *p = notes; ok && p && *p; p++)
                ok = !g_ascii_iscntrl(*p) || *p == '\n' || *p == '\t';
        if (!ok)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "Notes may have %u bytes and no control characters", NOTES_BYTES);
        return ok;
}

bool snapshot_request_read(sd_bus_message *call, SnapshotRequest *request, GError **error) {
        static const OptionSpec own[] = {
                        {"ConsistencyLevel", OPTION_UINT32, offsetof(SnapshotRequest, consistency),
                                        NO_SEEN},
                        {"IgnoreNonSnapshottableDisks", OPTION_BOOLEAN,
                                        offsetof(SnapshotRequest, ignore_others), NO_SEEN},
                        {"GuestBackupType", OPTION_UINT32,
                                        offsetof(SnapshotRequest, guest_backup_type), NO_SEEN},
                        {"ElementName", OPTION_STRING, offsetof(SnapshotRequest, name), NO_SEEN},
                        {"Notes", OPTION_STRING, offsetof(SnapshotRequest, notes), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };
        uint16_t type;

        if (sd_bus_message_read(call, "q", &type) < 0) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The snapshot type can not be read");
                return false;
        }
        request->type = type;
        return bus_options_read(call, operation_common_options, own, request, error) &&
               check_notes(request->notes, error) &&
               (!request->name || name_check(request->name, error)) &&
               check_numbers(request, error);
}

static bool create_parse(sd_bus_message *call, void *request, GError **error) {
        return snapshot_request_read(call, request, error) && check_type(request, error);
}

void snapshot_request_store(const void *request, GKeyFile *file) {
        const SnapshotRequest *own = request;

        g_key_file_set_uint64(file, "Request", "Type", own->type);
        g_key_file_set_uint64(file, "Request", "Consistency", own->consistency);
        if (own->name)
                g_key_file_set_string(file, "Request", "Name", own->name);
        if (own->notes)
                g_key_file_set_string(file, "Request", "Notes", own->notes);
}

void snapshot_request_load(void *request, GKeyFile *file) {
        SnapshotRequest *own = request;

        own->type = (uint32_t) g_key_file_get_uint64(file, "Request", "Type", NULL);
        own->consistency = (uint32_t) g_key_file_get_uint64(file, "Request", "Consistency", NULL);
        own->name = g_key_file_get_string(file, "Request", "Name", NULL);
        own->notes = g_key_file_get_string(file, "Request", "Notes", NULL);
}

void snapshot_request_clear(void *request) {
        SnapshotRequest *own = request;

        g_free(own->name);
        g_free(own->notes);
}

static bool create_admit(const void *request, const MachineFacts *facts, GError **error) {
        const SnapshotRequest *own = request;
        MachineState state = machine_state_from_facts(facts);

        if (own->consistency == CONSISTENCY_APPLICATION && state == MACHINE_PAUSED)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                                "The agent of '%s' can not freeze file systems while it is paused",
                                facts->name);
        else if (own->type != SNAPSHOT_TYPE_FULL && state == MACHINE_SAVED)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                                "A snapshot of '%s' without its saved state would not fit it; "
                                "discard the saved state or take a full snapshot",
                                facts->name);
        else
                return true;
        return false;
}

/* Progress: of the memory */

static bool create_progress(Job *job, Progress *ret) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        virTypedParameterPtr params = NULL;
        unsigned long long total = 0, remaining = 0;
        int type = VIR_DOMAIN_JOB_NONE, n = 0;

        if (job_counted(job, ret))
                return true;
        if (!job_may_ask(job) ||
                        !backend_open_domain(
                                        job->backend, BACKEND_PROGRESS, job->uuid, &loan, NULL) ||
                        virDomainGetJobStats(loan.domain, &type, &params, &n, 0) < 0)
                return false;
        if (type != VIR_DOMAIN_JOB_NONE) {
                (void) virTypedParamsGetULLong(params, n, VIR_DOMAIN_JOB_DATA_TOTAL, &total);
                (void) virTypedParamsGetULLong(
                                params, n, VIR_DOMAIN_JOB_DATA_REMAINING, &remaining);
        }
        virTypedParamsFree(params, n);
        if (total == 0 || remaining > total)
                return false;
        *ret = (Progress){.done = total - remaining, .total = total};
        return true;
}

const Operation operation_snapshot_create = {
                .name = "snapshot-create",
                .interface = "SnapshotService",
                .member = "CreateSnapshot",
                .signature = "qa{sv}",
                .argument_names = "snapshot_type\0snapshot_settings\0task\0",
                .action = "org.virtask1.snapshot",
                .gerund = "Taking a snapshot of",
                .job_type = 70,
                .operational_status = 32768,
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
                .progress = create_progress,
                .cancel = creation_cancel,
};
