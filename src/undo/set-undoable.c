/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SetUndoable and SetUndoAction: the properties Undoable and UndoAction of IVMVirtualMachine. They
 * are methods, because a person may have to be asked for permission first. */

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "backend/undo-note.h"
#include "jobs/job.h"
#include "undo/operations.h"
#include "undo/undo-disks.h"

typedef struct SetUndoableRequest {
        Request common;
        int undoable; /* as sd-bus reads a boolean */
} SetUndoableRequest;

typedef struct SetUndoActionRequest {
        Request common;
        uint32_t action;
} SetUndoActionRequest;

static bool set_undoable_parse(sd_bus_message *call, void *request, GError **error) {
        if (sd_bus_message_read(call, "b", &((SetUndoableRequest *) request)->undoable) >= 0)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "The argument can not be read");
        return false;
}

static bool set_undo_action_parse(sd_bus_message *call, void *data, GError **error) {
        SetUndoActionRequest *request = data;

        if (sd_bus_message_read(call, "u", &request->action) >= 0 &&
                        request->action < UNDO_ACTION_COUNT)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "The undo action must be 0 (discard), 1 (keep) or 2 (commit)");
        return false;
}

static bool set_undoable_run(Job *job, GError **error) {
        const SetUndoableRequest *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        return request->undoable ? undo_disks_begin(loan.domain, error)
                                 : undo_disks_end(loan.domain, error);
}

/* What a machine that is off has written up to now was kept: the new action is for the next time.
 */
static bool set_undo_action_run(Job *job, GError **error) {
        const SetUndoActionRequest *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(UndoNote) note = NULL;

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        if (virDomainIsPersistent(loan.domain) != 1) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "'%s' is gone when it is turned off",
                                virDomainGetName(loan.domain));
                return false;
        }
        note = undo_note_read(loan.domain, error);
        if (!note)
                return false;
        if (virDomainIsActive(loan.domain) == 0 && saved_image_exists(loan.domain) != 1)
                undo_note_settle(note);
        note->action = request->action;
        return undo_note_write(loan.domain, note, error);
}

const Operation operation_set_undoable = {
                .name = "vm-set-undoable",
                .interface = "VirtualMachine",
                .member = "SetUndoable",
                .signature = "b",
                .argument_names = "enable_undo\0",
                .action = "org.virtask1.configure",
                .gerund = "Changing the undo disks of",
                .refuse = {[MACHINE_SAVED] = VIRTASK_ERROR_MACHINE_ACTIVE,
                                [MACHINE_RUNNING] = VIRTASK_ERROR_MACHINE_ACTIVE,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_MACHINE_ACTIVE},
                .flags = OPERATION_IMMEDIATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(SetUndoableRequest),
                .parse = set_undoable_parse,
                .run = set_undoable_run,
};

const Operation operation_set_undo_action = {
                .name = "vm-set-undo-action",
                .interface = "VirtualMachine",
                .member = "SetUndoAction",
                .signature = "u",
                .argument_names = "undo_action\0",
                .action = "org.virtask1.configure",
                .gerund = "Changing the undo action of",
                .flags = OPERATION_IMMEDIATE | OPERATION_ANY_STATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(SetUndoActionRequest),
                .parse = set_undo_action_parse,
                .run = set_undo_action_run,
};
