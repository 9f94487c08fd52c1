/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* RegisterVirtualMachine: IVMVirtualPC::RegisterVirtualMachine, with a libvirt definition. libvirt
 * would take the definition of a machine that exists as a change of it; that is refused, so the
 * definition's name and UUID are read first. */

#include <string.h>

#include "backend/backend-error.h"
#include "backend/domain-xml.h"
#include "backend/machine-name.h"
#include "bus/bus-path.h"
#include "jobs/job.h"
#include "lifecycle/operations.h"
#include "util/name.h"

typedef struct RegisterRequest {
        Request common;
        char *definition;
        char *name;
        char *uuid; /* NULL: libvirt chooses one */
} RegisterRequest;

static bool register_parse(sd_bus_message *call, void *request, GError **error) {
        RegisterRequest *own = request;
        const char *definition;

        if (sd_bus_message_read(call, "s", &definition) < 0) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The definition can not be read");
                return false;
        }
        own->definition = g_strdup(definition);
        return domain_xml_read_identity(definition, &own->name, &own->uuid, error) &&
               name_check(own->name, error) && bus_options_read(call, NULL, NULL, request, error);
}

static void register_clear(void *request) {
        RegisterRequest *own = request;

        g_free(own->definition);
        g_free(own->name);
        g_free(own->uuid);
}

static bool register_run(Job *job, GError **error) {
        const RegisterRequest *request = job->request;
        g_autoptr(virConnect) connection = backend_lend(job->backend, BACKEND_SHORT, error);
        g_autoptr(virDomain) domain =
                        connection ? machine_define_new(connection, request->name, request->uuid,
                                                     request->definition, error)
                                   : NULL;

        if (!domain)
                return false;
        if (virDomainGetUUIDString(domain, job->uuid) < 0) {
                backend_error_set(error, "Failed to register '%s'", request->name);
                return false;
        }
        job->result_object = bus_path_machine(job->uuid);
        return true;
}

const Operation operation_register = {
                .name = "vm-register",
                .interface = "Manager",
                .member = "RegisterVirtualMachine",
                .signature = "sa{sv}",
                .argument_names = "definition\0options\0machine\0",
                .action = "org.virtask1.define",
                .gerund = "Registering a virtual machine",
                .job_type = 63,
                .flags = OPERATION_IMMEDIATE | OPERATION_ANSWERS_OBJECT,
                .lane = LANE_SHORT,
                .request_size = sizeof(RegisterRequest),
                .parse = register_parse,
                .request_clear = register_clear,
                .run = register_run,
};
