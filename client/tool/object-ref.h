/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a word of the command line means: an object of the service, and how messages call it. */

#include "session.h"

typedef struct ObjectRef {
        char *path;
        char *name;
} ObjectRef;

typedef struct ObjectRefs {
        ObjectRef *items;
        size_t count;
} ObjectRefs;

/* Finds the object that @argument means, or says what is wrong. */
typedef ExitCode (*ObjectRefResolver)(ObjectRef *ref, Session *s, const char *argument);

/* All of @arguments (NULL at the end), each object once. If one is unknown none is returned, so
 * that a command with a misspelt name does nothing at all. */
ExitCode object_refs_resolve(
                ObjectRefs *refs, Session *s, char **arguments, ObjectRefResolver resolve);

/* Whether @uuid begins with @prefix (dashes optional, any case, at least 4 hex digits). */
bool object_ref_matches_uuid(const char *uuid, const char *prefix);

/* Takes @ref over, or drops it if it is empty or there already. */
void object_refs_add(ObjectRefs *refs, ObjectRef *ref);

void object_ref_clear(ObjectRef *ref);
void object_refs_clear(ObjectRefs *refs);
