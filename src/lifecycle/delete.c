/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Delete and Unregister: IVMVirtualPC::DeleteVirtualMachine and UnregisterVirtualMachine. Delete
 * takes the definition with all that libvirt keeps beside it (saved state, metadata of snapshots
 * and checkpoints, UEFI variables, TPM state), and what libvirt does not know of: the memory and
 * variables of snapshots, and undo disks; Unregister takes the definition alone. Disk images stay
 * in both, those that snapshots made as well: the last of them is what the machine had. */

#include <syslog.h>

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "backend/undo-note.h"
#include "disk/image.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"

#define METADATA (VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)

/* Drivers without checkpoints, firmware variables and TPM refuse the flags for them. */
static bool undefine(Job *job,
                unsigned flags,
                unsigned flags_of_simple_drivers,
                const char *verb,
                GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        /* libvirt would make a running machine a transient one. */
        if (virDomainIsActive(loan.domain) == 1) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_ALREADY_RUNNING,
                                "The virtual machine '%s' is running",
                                virDomainGetName(loan.domain));
                return false;
        }
        if (virDomainUndefineFlags(loan.domain, flags) == 0)
                return true;
        backend_error_set(error, "Failed to %s '%s'", verb, virDomainGetName(loan.domain));
        if (!g_error_matches(*error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED))
                return false;
        g_clear_error(error);
        if (virDomainUndefineFlags(loan.domain, flags_of_simple_drivers) == 0)
                return true;
        backend_error_set(error, "Failed to %s '%s'", verb, virDomainGetName(loan.domain));
        return false;
}

/* When the machine is gone, nothing tells any more where they are. */
#define MEMORY_FILES "Files"

/* The disks are below them, and while they are merged not whole without them. */
static bool add_undo_disks(virDomainPtr domain, GPtrArray *files, GError **error) {
        g_autoptr(UndoNote) note = undo_note_read(domain, error);

        if (note && note->step == UNDO_STEP_MERGING) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                                "The undo disks of '%s' were not merged to the end; MergeUndoDisks "
                                "does the rest",
                                virDomainGetName(domain));
                return false;
        }
        for (unsigned i = 0; note && i < note->disks->len; i++) {
                const UndoDisk *disk = note->disks->pdata[i];

                g_ptr_array_add(files, g_strdup(disk->overlay));
                g_ptr_array_add(files, g_strconcat(disk->overlay, UNDO_EMPTY_SUFFIX, NULL));
        }
        return note;
}

/* libvirt only removes a saved state that it knows of. */
static void remove_saved_state(virDomainPtr domain) {
        if (virDomainHasManagedSaveImage(domain, 0) == 0 && saved_image_exists(domain) == 1)
                (void) virDomainManagedSaveRemove(domain, 0);
}

static bool remember_files(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GPtrArray) files = NULL;

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        files = saved_image_files_of_snapshots(virDomainGetConnect(loan.domain), job->uuid);
        if (!add_undo_disks(loan.domain, files, error))
                return false;
        remove_saved_state(loan.domain);
        if (files->len == 0)
                return true;
        g_ptr_array_add(files, NULL);
        return job_remember_list(job, MEMORY_FILES, (const char *const *) files->pdata, error);
}

static bool remove_files(Job *job) {
        g_auto(GStrv) files = job_recall_list(job, MEMORY_FILES);

        for (unsigned i = 0; files[i]; i++) {
                g_autoptr(GError) cause = NULL;

                if (!image_remove(files[i], &cause))
                        job_log(job, LOG_WARNING, "A file of the machine stays: %s",
                                        cause->message);
        }
        return true;
}

static bool delete_run(Job *job, GError **error) {
        return remember_files(job, error) &&
               undefine(job,
                               METADATA | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
                                               VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_TPM,
                               METADATA, "delete", error) &&
               remove_files(job);
}

/* After an interruption: looks, and does not act again, because the machine may be used again. */
static bool delete_settle(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GError) cause = NULL;

        if (backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, &cause)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                "Deleting '%s' was interrupted", virDomainGetName(loan.domain));
                return false;
        }
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE))
                return remove_files(job);
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
}

static bool unregister_run(Job *job, GError **error) {
        return undefine(job, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | VIR_DOMAIN_UNDEFINE_KEEP_TPM, 0,
                        "unregister", error);
}

const Operation operation_delete = {
                .name = "vm-delete",
                .interface = "VirtualMachine",
                .member = "Delete",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.define",
                .gerund = "Deleting",
                .job_type = 3,
                .during = MACHINE_DELETING,
                .refuse = {[MACHINE_RUNNING] = VIRTASK_ERROR_ALREADY_RUNNING,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_ALREADY_RUNNING},
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .parse = operation_parse_common,
                .run = delete_run,
                .settle = delete_settle,
};

const Operation operation_unregister = {
                .name = "vm-unregister",
                .interface = "VirtualMachine",
                .member = "Unregister",
                .signature = "",
                .argument_names = "",
                .action = "org.virtask1.define",
                .gerund = "Unregistering",
                .job_type = 64,
                .refuse = {[MACHINE_SAVED] = VIRTASK_ERROR_RUNNING_OR_SAVED,
                                [MACHINE_RUNNING] = VIRTASK_ERROR_RUNNING_OR_SAVED,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_RUNNING_OR_SAVED},
                .flags = OPERATION_IMMEDIATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .run = unregister_run,
};
