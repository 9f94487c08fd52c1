/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A collection, a snapshot of one, or a member of one as the user names it: name, UUID, unique
 * beginning of a UUID, or object path; a snapshot also as COLLECTION/NAME. */

#include "inventory.h"
#include "object-ref.h"

ExitCode collection_ref_resolve(ObjectRef *ref, Session *s, const char *argument);

/* The name in @ref is COLLECTION/NAME. */
ExitCode collection_ref_resolve_snapshot(ObjectRef *ref, Session *s, const char *argument);

/* All of @arguments (NULL at the end), or none. A member that is gone has its UUID as its name. */
ExitCode collection_ref_resolve_members(
                ObjectRefs *refs, Session *s, const ObjectRef *collection, char **arguments);

/* What the words of a command may mean, each with all its names. */
typedef struct Candidate {
        char *path;
        char *uuid;
        char *name;      /* NULL if it is gone */
        char *qualified; /* COLLECTION/NAME of a snapshot, NULL for others */
} Candidate;

typedef struct CandidateList {
        Candidate *items;
        size_t count;
} CandidateList;

void candidate_list_clear(CandidateList *list);
void candidate_list_add_collections(CandidateList *list, const Inventory *inventory);
void candidate_list_add_snapshots(CandidateList *list, const Inventory *inventory);
void candidate_list_add_members(
                CandidateList *list, const Inventory *inventory, const CollectionInfo *collection);

/* The one that @argument means, NULL if there is none or if it fits several; @ret_count tells which
 * of both. A path or a whole UUID always means the object that has it, whatever others are named.
 */
const Candidate *candidate_list_find(
                const CandidateList *list, const char *argument, size_t *ret_count);

/* The shortest word that means @candidate alone and begins with @prefix; NULL if there is none. */
const char *candidate_list_word(
                const CandidateList *list, const Candidate *candidate, const char *prefix);

/* The UUID in the path of a machine or collection that is gone. */
char *collection_ref_uuid_of(const char *path);
