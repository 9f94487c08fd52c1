/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Startup and Startup2: IVMVirtualMachine::Startup, RequestedState 2. A machine that is off is
 * booted; a saved one goes on from its image.
 *
 * libvirt's own start of a saved machine removes the image as soon as the guest runs, so whoever
 * cancels at that moment kills the guest and has nothing left. Where the image is within reach we
 * restore it ourselves, stopped:
 *
 *     restore, guest stopped ── commit ── remove the image ── let the guest run
 *
 * Until the commit a cancel kills a guest that has not run, and the image is as good as before.
 * After it there is no cancel. Where the image is out of reach (another host), libvirt's way is
 * taken and the restore can't be cancelled. */

#include <syslog.h>

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"
#include "undo/undo-disks.h"

#define LOOK_MSEC      100
#define IDLE_LOOKS_OFF 3 /* before a machine that is off counts as not started */

/* What conclude_active() has to know when the image is gone: a guest that waits shall not run. */
#define LEAVE_PAUSED "LeavePaused"

#define STARTUP_OPTION_MAX 1 /* VMStartupOption */

typedef struct StartupRequest {
        Request common;
        bool paused;
        bool force_boot;
} StartupRequest;

static bool startup_parse(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"Paused", OPTION_BOOLEAN, offsetof(StartupRequest, paused), NO_SEEN},
                        {"ForceBoot", OPTION_BOOLEAN, offsetof(StartupRequest, force_boot),
                                        NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };

        return bus_options_read(call, operation_common_options, own, request, error);
}

static bool startup2_parse(sd_bus_message *call, void *request, GError **error) {
        uint32_t option;

        if (sd_bus_message_read(call, "u", &option) < 0 || option > STARTUP_OPTION_MAX) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The startup option must be 0 (normal) or 1 (accept a changed "
                                "parent)");
                return false;
        }
        return startup_parse(call, request, error);
}

static void startup_store(const void *request, GKeyFile *file) {
        g_key_file_set_boolean(
                        file, "Request", "Paused", ((const StartupRequest *) request)->paused);
}

static void startup_load(void *request, GKeyFile *file) {
        ((StartupRequest *) request)->paused =
                        g_key_file_get_boolean(file, "Request", "Paused", NULL);
}

static bool fail(GError **error, virDomainPtr domain) {
        backend_error_set(error, "Failed to start '%s'", virDomainGetName(domain));
        return false;
}

/* libvirt has no error number for "this image does not fit"; what is left after all errors that
 * mean something else does mean it. */
static bool fail_restore(GError **error, virDomainPtr domain) {
        g_autoptr(GError) cause = NULL;

        backend_error_set(&cause, "Failed to restore '%s'", virDomainGetName(domain));
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND))
                cause->code = VIRTASK_ERROR_INCOMPATIBLE_SAVED_STATE;
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
}

/* Cancelled, and too late to stop it: the guest has not run, or hardly. A guest that can't be ended
 * is no cancelled start. */
static bool take_back(Job *job, virDomainPtr domain, GError **error) {
        if (job_is_disowned(job) || virDomainDestroy(domain) == 0)
                return false;
        backend_error_set(error, "Failed to take the start of '%s' back", virDomainGetName(domain));
        if (virDomainIsActive(domain) == 0)
                g_clear_error(error);
        return false;
}

static bool boot(Job *job, virDomainPtr domain, bool paused, GError **error) {
        if (job_is_cancelled(job))
                return false;
        if (virDomainCreateWithFlags(domain, paused ? VIR_DOMAIN_START_PAUSED : 0) < 0)
                return fail(error, domain);
        return job_commit(job) || take_back(job, domain, error);
}

/* The guest is loaded and has not run. Its image goes first: if it stayed while the guest runs, a
 * later start would lay old memory over new disks. */
static bool let_run(virDomainPtr domain, bool run, GError **error) {
        if (virDomainManagedSaveRemove(domain, 0) < 0) {
                fail(error, domain);
                (void) virDomainDestroy(domain);
                return false;
        }
        if (run && virDomainResume(domain) < 0)
                return fail(error, domain);
        return true;
}

static bool restore(Job *job, virDomainPtr domain, const char *image, bool run, GError **error) {
        virConnectPtr connection = virDomainGetConnect(domain);

        if (virDomainRestoreFlags(connection, image, NULL, VIR_DOMAIN_SAVE_PAUSED) < 0)
                return fail_restore(error, domain);
        if (job_commit(job))
                return let_run(domain, run, error);
        return take_back(job, domain, error);
}

static bool start_saved(Job *job, virDomainPtr domain, bool paused, GError **error) {
        g_autofree char *image = saved_image_path(domain);
        bool was_running = false;

        switch (image ? saved_image_inspect(image, &was_running) : SAVED_IMAGE_UNKNOWN) {
        case SAVED_IMAGE_WHOLE:
                if (!was_running && !job_remember(job, LEAVE_PAUSED, "true", error))
                        return false;
                return restore(job, domain, image, was_running && !paused, error);
        case SAVED_IMAGE_PARTIAL:
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INCOMPATIBLE_SAVED_STATE,
                                "The saved state of '%s' is incomplete; discard it to boot the "
                                "machine",
                                virDomainGetName(domain));
                return false;
        case SAVED_IMAGE_UNKNOWN:
                break;
        }
        if (!job_remember(job, LEAVE_PAUSED, "true", error) || !job_commit(job))
                return false;
        if (virDomainCreateWithFlags(domain, paused ? VIR_DOMAIN_START_PAUSED : 0) < 0)
                return fail_restore(error, domain);
        return true;
}

static bool startup_run(Job *job, GError **error) {
        const StartupRequest *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        bool saved;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        saved = saved_image_exists(loan.domain) == 1;
        if (saved && !request->force_boot)
                return start_saved(job, loan.domain, request->paused, error);
        if (saved && !job_commit(job))
                return false;
        if (saved && virDomainManagedSaveRemove(loan.domain, 0) < 0)
                return fail(error, loan.domain);
        /* Of the last time, if nobody was there when the machine went off. */
        return undo_disks_finish(loan.domain, error) &&
               boot(job, loan.domain, request->paused, error);
}

/* The guest is there, and whatever was left to do when we were cut off is done now. */
static bool conclude_active(Job *job, virDomainPtr domain, int state, int reason, GError **error) {
        const StartupRequest *request = job->request;
        bool waits = state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION;
        g_autofree char *image = saved_image_path(domain);
        bool was_running = true, leave = request->paused || job_recall(job, LEAVE_PAUSED);

        if (saved_image_exists(domain) != 1) {
                if (waits && !leave && virDomainResume(domain) < 0)
                        return fail(error, domain);
                return true;
        }
        if (image)
                (void) saved_image_inspect(image, &was_running);
        /* One that runs was committed before we were cut off. */
        if (waits && !job_commit(job))
                return take_back(job, domain, error);
        return let_run(domain, waits && was_running && !leave, error);
}

static bool startup_settle(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        int state, reason;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        for (unsigned off = 0; off < IDLE_LOOKS_OFF;) {
                if (virDomainGetState(loan.domain, &state, &reason, 0) < 0)
                        return fail(error, loan.domain);
                if (state == VIR_DOMAIN_SHUTOFF)
                        off++;
                else if (state != VIR_DOMAIN_PAUSED || reason != VIR_DOMAIN_PAUSED_STARTING_UP)
                        return conclude_active(job, loan.domain, state, reason, error);
                job_wait(job, LOOK_MSEC);
        }
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "Starting '%s' was interrupted", virDomainGetName(loan.domain));
        return false;
}

/* A boot has no measure; a restore is as far as QEMU has read the image. */
static bool startup_progress(Job *job, Progress *ret) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autofree char *image = NULL;

        if (!backend_open_domain(job->backend, BACKEND_PROGRESS, job->uuid, &loan, NULL))
                return false;
        image = saved_image_path(loan.domain);
        return image && saved_image_progress(loan.domain, image, &ret->done, &ret->total);
}

/* Only what is still starting is killed here: if the guest is there already, run() finds out that
 * it must not be. */
static void startup_cancel(Job *job) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        int state, reason;

        if (backend_open_domain(job->backend, BACKEND_ABORT, job->uuid, &loan, NULL) &&
                        virDomainGetState(loan.domain, &state, &reason, 0) == 0 &&
                        state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_STARTING_UP)
                (void) virDomainDestroy(loan.domain);
}

/* clang-format off */
#define STARTUP_COMMON                                          \
                .action = "org.virtask1.control",               \
                .gerund = "Starting",                           \
                .gerund_saved = "Restoring",                    \
                .job_type = 12,                                 \
                .job_type_saved = 15,                           \
                .during = MACHINE_TURNING_ON,                   \
                .during_saved = MACHINE_RESTORING,              \
                .refuse = {[MACHINE_RUNNING] = VIRTASK_ERROR_ALREADY_RUNNING, \
                           [MACHINE_PAUSED] = VIRTASK_ERROR_ALREADY_RUNNING}, \
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_ENDS_WITH_US, \
                .lane = LANE_LONG,                              \
                .request_size = sizeof(StartupRequest),         \
                .request_store = startup_store,                 \
                .request_load = startup_load,                   \
                .run = startup_run,                             \
                .settle = startup_settle,                       \
                .progress = startup_progress,                   \
                .cancel = startup_cancel
/* clang-format on */

const Operation operation_startup = {
                .name = "vm-startup",
                .interface = "VirtualMachine",
                .member = "Startup",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .requested_state = 2,
                .parse = startup_parse,
                STARTUP_COMMON,
};

const Operation operation_startup2 = {
                .name = "vm-startup2",
                .interface = "VirtualMachine",
                .member = "Startup2",
                .signature = "ua{sv}",
                .argument_names = "startup_option\0options\0task\0",
                .parse = startup2_parse,
                STARTUP_COMMON,
};
