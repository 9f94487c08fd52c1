/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SetName and SetNotes: the properties Name and Notes of IVMVirtualMachine. They are methods,
 * because a person may have to be asked for permission first. */

#include "backend/backend-error.h"
#include "backend/machine-name.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"
#include "util/name.h"

typedef struct SetTextRequest {
        Request common;
        char *text;
} SetTextRequest;

static bool set_text_parse(sd_bus_message *call, void *request, GError **error) {
        const char *text;

        if (sd_bus_message_read(call, "s", &text) < 0) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The text can not be read");
                return false;
        }
        ((SetTextRequest *) request)->text = g_strdup(text);
        return true;
}

static bool set_name_parse(sd_bus_message *call, void *request, GError **error) {
        return set_text_parse(call, request, error) &&
               name_check(((const SetTextRequest *) request)->text, error);
}

static void set_text_clear(void *request) {
        g_free(((SetTextRequest *) request)->text);
}

static bool set_name_run(Job *job, GError **error) {
        const SetTextRequest *request = job->request;
        const char *name = request->text;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error) ||
                        !machine_name_is_free(
                                        virDomainGetConnect(loan.domain), name, job->uuid, error))
                return false;
        if (g_str_equal(virDomainGetName(loan.domain), name) ||
                        virDomainRename(loan.domain, name, 0) == 0)
                return true;
        backend_error_set(error, "Failed to rename '%s'", virDomainGetName(loan.domain));
        return false;
}

/* The description is changed in the definition and, while the machine runs, in what it runs with.
 */
static bool set_notes_run(Job *job, GError **error) {
        const SetTextRequest *request = job->request;
        const char *notes = request->text;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        unsigned flags = VIR_DOMAIN_AFFECT_CURRENT;

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        if (virDomainIsActive(loan.domain) == 1)
                flags |= VIR_DOMAIN_AFFECT_LIVE;
        if (virDomainIsPersistent(loan.domain) == 1)
                flags |= VIR_DOMAIN_AFFECT_CONFIG;
        if (virDomainSetMetadata(loan.domain, VIR_DOMAIN_METADATA_DESCRIPTION,
                            *notes ? notes : NULL, NULL, NULL, flags) == 0)
                return true;
        backend_error_set(
                        error, "Failed to change the notes of '%s'", virDomainGetName(loan.domain));
        return false;
}

const Operation operation_set_name = {
                .name = "vm-set-name",
                .interface = "VirtualMachine",
                .member = "SetName",
                .signature = "s",
                .argument_names = "name\0",
                .action = "org.virtask1.configure",
                .gerund = "Renaming",
                .refuse = {[MACHINE_SAVED] = VIRTASK_ERROR_MACHINE_ACTIVE,
                                [MACHINE_RUNNING] = VIRTASK_ERROR_MACHINE_ACTIVE,
                                [MACHINE_PAUSED] = VIRTASK_ERROR_MACHINE_ACTIVE},
                .flags = OPERATION_IMMEDIATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(SetTextRequest),
                .parse = set_name_parse,
                .request_clear = set_text_clear,
                .run = set_name_run,
};

const Operation operation_set_notes = {
                .name = "vm-set-notes",
                .interface = "VirtualMachine",
                .member = "SetNotes",
                .signature = "s",
                .argument_names = "notes\0",
                .action = "org.virtask1.configure",
                .gerund = "Changing the notes of",
                .flags = OPERATION_IMMEDIATE | OPERATION_ANY_STATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(SetTextRequest),
                .parse = set_text_parse,
                .request_clear = set_text_clear,
                .run = set_notes_run,
};
