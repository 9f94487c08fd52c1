/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finds the machine that a word of the command line means. The service knows names and whole UUIDs;
 * beginnings of a UUID, as people copy them from a list, and suggestions for a misspelt name are
 * made here from the list of machines, which is read only when the service does not know the word.
 */

#include <string.h>

#include "machine-ref.h"
#include "message.h"
#include "suggest.h"

/* The strings point into @reply, which the caller keeps. */
typedef struct Candidate {
        const char *name, *uuid, *path;
} Candidate;

static int read_candidates(sd_bus_message *reply, Candidate **ret, size_t *ret_count) {
        _cleanup_free_ Candidate *candidates = NULL;
        Candidate c = {0};
        size_t count = 0;
        int r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(ssuso)");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reply, "(ssuso)", &c.name, &c.uuid, NULL, NULL, &c.path)) >
                        0) {
                candidates = array_grow(candidates, count, sizeof(c));
                candidates[count++] = c;
        }
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(candidates);
        *ret_count = count;
        return 0;
}

static ExitCode report_unknown(const char *argument, const Candidate *candidates, size_t count) {
        _cleanup_free_ const char **known = xcalloc(count, sizeof(*known));
        _cleanup_free_ char *names = NULL;

        for (size_t i = 0; i < count; i++)
                known[i] = candidates[i].name;
        names = suggest_names(argument, known, count);
        if (count > 0)
                message_error("no virtual machine \"%s\" (try: %s)", argument, names);
        else
                message_error("no virtual machine \"%s\" (there are none)", argument);
        return EXIT_CODE_NOT_FOUND;
}

static ExitCode resolve_from_list(ObjectRef *ref, Session *s, const char *argument) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = bus_client_new_call(
                        s, MANAGER_PATH, MANAGER_INTERFACE, "ListVirtualMachines");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ Candidate *candidates = NULL;
        const Candidate *found = NULL;
        size_t count = 0;
        ExitCode code = bus_client_call(s, m, "list the machines", &reply);
        int r;

        if (code != EXIT_CODE_OK)
                return code;
        r = read_candidates(reply, &candidates, &count);
        if (r < 0)
                return bus_client_report_reply(r);
        for (size_t i = 0; i < count; i++) {
                if (!object_ref_matches_uuid(candidates[i].uuid, argument))
                        continue;
                if (found) {
                        message_error("\"%s\" fits several virtual machines (%s, %s)", argument,
                                        found->name, candidates[i].name);
                        return EXIT_CODE_NOT_FOUND;
                }
                found = candidates + i;
        }
        if (!found)
                return report_unknown(argument, candidates, count);
        *ref = (ObjectRef){xstrdup(found->path), xstrdup(found->name)};
        return EXIT_CODE_OK;
}

static ExitCode resolve_path(ObjectRef *ref, Session *s, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *name = NULL;
        int r;

        if (!sd_bus_object_path_is_valid(path)) {
                message_error("no virtual machine \"%s\"", path);
                return EXIT_CODE_NOT_FOUND;
        }
        m = bus_client_new_call(s, path, PROPERTIES_INTERFACE, "Get");
        r = sd_bus_message_append(m, "ss", MACHINE_INTERFACE, "Name");
        if (r < 0)
                return bus_client_report_reply(r);
        if (bus_client_try(s, m, 0, &error, &reply) < 0) {
                if (bus_client_is_gone(&error))
                        return bus_client_report("find the machine", &error);
                message_error("no virtual machine \"%s\"", path);
                return EXIT_CODE_NOT_FOUND;
        }
        r = sd_bus_message_read(reply, "v", "s", &name);
        if (r < 0)
                return bus_client_report_reply(r);
        *ref = (ObjectRef){xstrdup(path), xstrdup(name)};
        return EXIT_CODE_OK;
}

ExitCode machine_ref_resolve(ObjectRef *ref, Session *s, const char *argument) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path = NULL;
        int r;

        if (strncmp(argument, MACHINE_PATH_PREFIX, strlen(MACHINE_PATH_PREFIX)) == 0)
                return resolve_path(ref, s, argument);
        m = bus_client_new_call(s, MANAGER_PATH, MANAGER_INTERFACE, "FindVirtualMachine");
        if (sd_bus_message_append(m, "s", argument) < 0) {
                message_error("no virtual machine \"%s\"",
                                argument); /* not UTF-8: no name of the bus */
                return EXIT_CODE_NOT_FOUND;
        }
        if (bus_client_try(s, m, 0, &error, &reply) < 0) {
                if (error_is_no_such_machine(error.name))
                        return resolve_from_list(ref, s, argument);
                return bus_client_report("find the machine", &error);
        }
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return bus_client_report_reply(r);
        return resolve_path(ref, s, path);
}
