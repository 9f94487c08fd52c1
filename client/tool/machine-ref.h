/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine as the user names it: name, UUID, unique beginning of a UUID, or object path. */

#include "bus-client.h"

typedef struct MachineRef {
        char *path;
        char *name;
} MachineRef;

/* Says what is wrong if there is no such machine, or if the beginning fits several. */
ExitCode machine_ref_resolve(MachineRef *ref, Session *s, const char *argument);

/* All of @arguments (NULL at the end), each machine once. If one is unknown none is returned, so
 * that a command with a misspelt name does nothing at all. */
ExitCode machine_ref_resolve_all(
                MachineRef **ret_refs, size_t *ret_count, Session *s, char **arguments);

void machine_ref_clear(MachineRef *ref);
MachineRef *machine_ref_free_all(MachineRef *refs, size_t count);

/* Whether @uuid begins with @prefix (dashes optional, any case, at least 4 hex digits). */
bool machine_ref_matches_uuid(const char *uuid, const char *prefix);
