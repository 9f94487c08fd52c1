/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What references to machines, snapshots and collections have in common. How each is found stands
 * in machine-ref.c, snapshot-ref.c and collection-ref.c. */

#include <ctype.h>
#include <string.h>

#include "common.h"
#include "object-ref.h"

#define PREFIX_DIGITS_MIN 4

void object_ref_clear(ObjectRef *ref) {
        free(ref->path);
        free(ref->name);
        *ref = (ObjectRef){0};
}

void object_refs_clear(ObjectRefs *refs) {
        for (size_t i = 0; i < refs->count; i++)
                object_ref_clear(refs->items + i);
        free(refs->items);
        *refs = (ObjectRefs){0};
}

bool object_ref_matches_uuid(const char *uuid, const char *prefix) {
        size_t digits = 0;

        for (; *prefix; prefix++) {
                if (*prefix == '-' || *prefix == '_')
                        continue;
                if (!isxdigit((unsigned char) *prefix))
                        return false;
                while (*uuid == '-')
                        uuid++;
                if (tolower((unsigned char) *uuid) != tolower((unsigned char) *prefix))
                        return false;
                uuid++;
                digits++;
        }
        return digits >= PREFIX_DIGITS_MIN;
}

static bool contains(const ObjectRefs *refs, const char *path) {
        for (size_t i = 0; i < refs->count; i++)
                if (strcmp(refs->items[i].path, path) == 0)
                        return true;
        return false;
}

void object_refs_add(ObjectRefs *refs, ObjectRef *ref) {
        if (!ref->path || contains(refs, ref->path)) {
                object_ref_clear(ref);
                return;
        }
        refs->items = array_grow(refs->items, refs->count, sizeof(*refs->items));
        refs->items[refs->count++] = *ref;
        *ref = (ObjectRef){0};
}

ExitCode object_refs_resolve(
                ObjectRefs *refs, Session *s, char **arguments, ObjectRefResolver resolve) {
        ExitCode worst = EXIT_CODE_OK;

        for (; *arguments && worst != EXIT_CODE_UNREACHABLE; arguments++) {
                ObjectRef ref = {0};

                worst = exit_code_worst(worst, resolve(&ref, s, *arguments));
                object_refs_add(refs, &ref);
        }
        if (worst != EXIT_CODE_OK)
                object_refs_clear(refs);
        return worst;
}
