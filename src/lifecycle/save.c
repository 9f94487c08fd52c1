/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Save: IVMVirtualMachine::Save, RequestedState 6. libvirt stops the guest, streams its memory into
 * a file of its own and ends QEMU; its job statistics are the progress, and aborting the job lets
 * the guest go on and removes the file. A save outlives its client on a libvirtd; with embedded
 * QEMU it dies with us, and libvirt lets the guest go on when the next process opens it, but leaves
 * the file.
 *
 * QEMU treats a save as a migration, and ends one with a phase in which it neither counts nor can
 * be stopped, as soon as it believes to get through the rest within the allowed downtime. The usual
 * 300 ms are a third of a second's writing at full speed, which may be all there is. A guest that
 * is saved is stopped anyway, so the downtime is set to the least there is, and everything is
 * counted. */

#include <syslog.h>

#include "backend/backend-error.h"
#include "backend/guest-disks.h"
#include "backend/saved-image.h"
#include "disk/image-file.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"

#define DOWNTIME_MSEC        1
#define DOWNTIME_PRESET_MSEC 300 /* QEMU's own */

#define LOOK_MSEC       100
#define IDLE_LOOKS_RUNS 3 /* without a job, before a running guest counts as not saved */
#define IDLE_LOOKS_PAUSED                                                                          \
        300 /* the same for a stopped one: QEMU flushes and ends for seconds after the job */

typedef struct SaveRequest {
        Request common;
        bool bypass_cache;
} SaveRequest;

static bool save_parse(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"Bypass", OPTION_BOOLEAN, offsetof(SaveRequest, bypass_cache), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };

        return bus_options_read(call, operation_common_options, own, request, error);
}

/* A guest that is active does not need an image; one that is there is the half of an interrupted
 * save. */
static void remove_half_image(Job *job, virDomainPtr domain) {
        if (virDomainIsActive(domain) == 1 && saved_image_exists(domain) == 1 &&
                        virDomainManagedSaveRemove(domain, 0) == 0)
                job_log(job, LOG_NOTICE, "Removed the image of the interrupted save");
}

static void note_result(Job *job, virDomainPtr domain) {
        g_autofree char *path = saved_image_path(domain);

        if (path)
                job_result(job, "SavedStateFilePath", path);
}

/* For a guest that goes on; drivers without migration have nothing to set. */
static void set_downtime(virDomainPtr domain, unsigned long long milliseconds) {
        (void) virDomainMigrateSetMaxDowntime(domain, milliseconds, 0);
}

/* The downtime of now, or 0 if it is not ours to change: there is none, or a job of others runs,
 * which may be a migration that has its own. */
static unsigned long long get_downtime(virDomainPtr domain) {
        unsigned long long milliseconds = 0;
        virDomainJobInfo info;

        if (virDomainGetJobInfo(domain, &info) < 0 || info.type != VIR_DOMAIN_JOB_NONE ||
                        virDomainMigrateGetMaxDowntime(domain, &milliseconds, 0) < 0)
                return 0;
        return milliseconds;
}

/* libvirt does not. The guest is gone, so nobody waits for it; a save that was reported must not be
 * lost in a power cut. */
static bool sync_image(virDomainPtr domain, GError **error) {
        g_autofree char *path = saved_image_path(domain);

        return !path || (image_file_sync(path, error) && image_file_sync_directory(path, error));
}

static bool save_admit(const void *request, const MachineFacts *facts, GError **error) {
        if (!facts->undoable || facts->undo_action != UNDO_ACTION_DISCARD)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_UNDO_DISKS_MARKED_FOR_DELETION,
                        "The undo disks of '%s' are to be discarded when it goes off", facts->name);
        return false;
}

static bool save_run(Job *job, GError **error) {
        const SaveRequest *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        unsigned flags = request->bypass_cache ? VIR_DOMAIN_SAVE_BYPASS_CACHE : 0;
        unsigned long long downtime;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error) ||
                        !guest_disks_check(loan.domain, error))
                return false;
        downtime = get_downtime(loan.domain);
        if (downtime > 0)
                set_downtime(loan.domain, DOWNTIME_MSEC);
        if (virDomainManagedSave(loan.domain, flags) == 0) {
                note_result(job, loan.domain);
                return sync_image(loan.domain, error);
        }
        backend_error_set(error, "Failed to save '%s'", virDomainGetName(loan.domain));
        if (downtime > 0)
                set_downtime(loan.domain, downtime);
        /* After a cancel libvirt has removed it, and the machine may be another task's. */
        if (!job_is_cancelled(job))
                remove_half_image(job, loan.domain);
        return false;
}

/* Somebody else's job on the domain, such as a backup, is none of ours. */
static bool save_is_active(virDomainPtr domain) {
        virTypedParameterPtr params = NULL;
        int type = VIR_DOMAIN_JOB_NONE, operation = 0, n = 0;

        if (virDomainGetJobStats(domain, &type, &params, &n, 0) < 0)
                return false;
        (void) virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation);
        virTypedParamsFree(params, n);
        return type != VIR_DOMAIN_JOB_NONE && operation == VIR_DOMAIN_JOB_OPERATION_SAVE;
}

static bool fail_cut_off(virDomainPtr domain, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "Saving '%s' was interrupted; the machine is off and nothing is saved",
                        virDomainGetName(domain));
        return false;
}

/* Half an image is removed; one that can't be judged is left alone. */
static bool check_image(Job *job, virDomainPtr domain, GError **error) {
        g_autofree char *path = saved_image_path(domain);
        char *definition = virDomainManagedSaveGetXMLDesc(domain, 0);
        virErrorPtr cause = definition ? NULL : virSaveLastError();
        bool was_running;

        if (definition) {
                free(definition);
                note_result(job, domain);
                return true;
        }
        if (!path || saved_image_inspect(path, &was_running) != SAVED_IMAGE_PARTIAL) {
                backend_error_take(error, cause, "Failed to check what was saved");
                return false;
        }
        virFreeError(cause);
        (void) virDomainManagedSaveRemove(domain, 0);
        return fail_cut_off(domain, error);
}

/* The machine is off: with a whole image it is saved, with half of one it was cut off. */
static bool conclude_inactive(Job *job, virDomainPtr domain, GError **error) {
        int saved = saved_image_exists(domain);

        if (saved < 0) {
                backend_error_set(error, "Failed to look at '%s'", virDomainGetName(domain));
                return false;
        }
        if (saved > 0)
                return check_image(job, domain, error);
        return fail_cut_off(domain, error);
}

static bool conclude_active(Job *job, virDomainPtr domain, GError **error) {
        int state, reason;

        set_downtime(domain, DOWNTIME_PRESET_MSEC);
        remove_half_image(job, domain);
        if (virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED &&
                        reason == VIR_DOMAIN_PAUSED_SAVE)
                (void) virDomainResume(domain);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "Saving '%s' was interrupted; the guest goes on", virDomainGetName(domain));
        return false;
}

static bool save_settle(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        int state, reason;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        for (unsigned idle = 0;; idle++) {
                if (virDomainGetState(loan.domain, &state, &reason, 0) < 0) {
                        backend_error_set(error, "Failed to look at '%s'",
                                        virDomainGetName(loan.domain));
                        return false;
                }
                if (state == VIR_DOMAIN_SHUTOFF)
                        return conclude_inactive(job, loan.domain, error);
                if (save_is_active(loan.domain))
                        idle = 0;
                if (idle > (state == VIR_DOMAIN_PAUSED ? IDLE_LOOKS_PAUSED : IDLE_LOOKS_RUNS))
                        return conclude_active(job, loan.domain, error);
                job_wait(job, LOOK_MSEC);
        }
}

/* While the guest is being written its image goes to the disk, so that little is left when it ends.
 */
static void begin_sync(virDomainPtr domain) {
        g_autofree char *path = saved_image_path(domain);

        if (path)
                image_file_begin_sync(path);
}

/* "remaining" also falls by pages that need not be written, so it tells more than "processed"
 * (libvirt.md 1.2). */
static bool save_progress(Job *job, Progress *ret) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        virTypedParameterPtr params = NULL;
        unsigned long long total = 0, remaining = 0;
        int type, n = 0;

        if (!backend_open_domain(job->backend, BACKEND_PROGRESS, job->uuid, &loan, NULL) ||
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
        begin_sync(loan.domain);
        *ret = (Progress){.done = total - remaining, .total = total};
        return true;
}

static void save_cancel(Job *job) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (backend_open_domain(job->backend, BACKEND_ABORT, job->uuid, &loan, NULL) &&
                        save_is_active(loan.domain))
                (void) virDomainAbortJob(loan.domain);
}

const Operation operation_save = {
                .name = "vm-save",
                .interface = "VirtualMachine",
                .member = "Save",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.control",
                .gerund = "Saving",
                .requested_state = 6,
                .job_type = 14,
                .during = MACHINE_SAVING,
                .refuse = {[MACHINE_TURNED_OFF] = VIRTASK_ERROR_NOT_RUNNING,
                                [MACHINE_SAVED] = VIRTASK_ERROR_NOT_RUNNING},
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_INHIBITS,
                .lane = LANE_LONG,
                .request_size = sizeof(SaveRequest),
                .parse = save_parse,
                .admit = save_admit,
                .run = save_run,
                .settle = save_settle,
                .progress = save_progress,
                .cancel = save_cancel,
};
