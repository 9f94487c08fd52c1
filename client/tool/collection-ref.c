/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finds what a word of the command line means among the collections, their snapshots, or the
 * members of one collection. Names can be given twice, UUIDs can't. */

#include <string.h>
#include <strings.h>

#include "collection-ref.h"
#include "message.h"
#include "suggest.h"

void candidate_list_clear(CandidateList *list) {
        for (size_t i = 0; i < list->count; i++) {
                free(list->items[i].path);
                free(list->items[i].uuid);
                free(list->items[i].name);
                free(list->items[i].qualified);
        }
        free(list->items);
        *list = (CandidateList){0};
}

static char *copy(const char *text) {
        return text ? xstrdup(text) : NULL;
}

static Candidate *add(CandidateList *list, const char *path, const char *uuid, const char *name) {
        Candidate *candidate;

        list->items = array_grow(list->items, list->count, sizeof(*list->items));
        candidate = list->items + list->count++;
        *candidate = (Candidate){xstrdup(path), xstrdup(uuid ? uuid : ""), copy(name), NULL};
        return candidate;
}

void candidate_list_add_collections(CandidateList *list, const Inventory *inventory) {
        for (size_t i = 0; i < inventory->n_collections; i++) {
                const CollectionInfo *collection = inventory->collections + i;

                add(list, collection->path, collection->uuid, collection->name);
        }
}

void candidate_list_add_snapshots(CandidateList *list, const Inventory *inventory) {
        for (size_t i = 0; i < inventory->n_collection_snapshots; i++) {
                const CollectionSnapshotInfo *snapshot = inventory->collection_snapshots + i;
                Candidate *candidate = add(list, snapshot->path, snapshot->uuid, snapshot->name);

                candidate->qualified = inventory_collection_snapshot_label(inventory, snapshot);
        }
}

char *collection_ref_uuid_of(const char *path) {
        const char *last = strrchr(path, '/');
        char *uuid = xstrdup(last && last[1] == '_' ? last + 2 : path);

        for (char *p = uuid; *p; p++)
                if (*p == '_')
                        *p = '-';
        return uuid;
}

void candidate_list_add_members(
                CandidateList *list, const Inventory *inventory, const CollectionInfo *collection) {
        for (size_t i = 0; i < collection->members.count; i++) {
                const char *path = collection->members.paths[i];
                _cleanup_free_ char *uuid = collection_ref_uuid_of(path);
                const MachineInfo *vm = inventory_find_machine(inventory, path);
                const CollectionInfo *member = inventory_find_collection(inventory, path);

                add(list, path, uuid, vm ? vm->name : member ? member->name : NULL);
        }
}

typedef bool (*MatchFunction)(const Candidate *candidate, const char *argument);

static bool is_text(const char *text, const char *argument) {
        return text && strcmp(text, argument) == 0;
}

static bool is_identity(const Candidate *candidate, const char *argument) {
        return is_text(candidate->path, argument) || strcasecmp(candidate->uuid, argument) == 0;
}

static bool is_name(const Candidate *candidate, const char *argument) {
        return is_text(candidate->name, argument) || is_text(candidate->qualified, argument);
}

static bool is_beginning(const Candidate *candidate, const char *argument) {
        return object_ref_matches_uuid(candidate->uuid, argument);
}

/* The stronger first. */
static const MatchFunction matches[] = {is_identity, is_name, is_beginning};

static const Candidate *find_match(const CandidateList *list,
                const char *argument,
                MatchFunction match,
                size_t *ret_count) {
        const Candidate *found = NULL;
        size_t count = 0;

        for (size_t i = 0; i < list->count; i++)
                if (match(list->items + i, argument)) {
                        found = list->items + i;
                        count++;
                }
        *ret_count = count;
        return count == 1 ? found : NULL;
}

const Candidate *candidate_list_find(
                const CandidateList *list, const char *argument, size_t *ret_count) {
        const Candidate *found = NULL;

        *ret_count = 0;
        for (size_t i = 0; i < ELEMENTS(matches) && *ret_count == 0; i++)
                found = find_match(list, argument, matches[i], ret_count);
        return found;
}

const char *candidate_list_word(
                const CandidateList *list, const Candidate *candidate, const char *prefix) {
        const char *const words[] = {candidate->name, candidate->qualified, candidate->uuid};
        size_t count = 0;

        for (size_t i = 0; i < ELEMENTS(words); i++)
                if (words[i] && strncmp(words[i], prefix, strlen(prefix)) == 0 &&
                                candidate_list_find(list, words[i], &count) == candidate)
                        return words[i];
        return NULL;
}

/* ---- from the command line ---- */

/* What could have been meant: all that fit, or what is near. */
static char *list_words(const CandidateList *list, const char *argument, size_t matching) {
        _cleanup_free_ const char **words = xcalloc(list->count, sizeof(*words));
        _cleanup_buffer_ Buffer b = {0};
        size_t count = 0;

        for (size_t i = 0; i < list->count; i++) {
                const Candidate *candidate = list->items + i;
                const char *word = candidate_list_word(list, candidate, "");

                if (matching == 0 && word)
                        words[count++] = word;
                else if (word &&
                                (is_name(candidate, argument) || is_beginning(candidate, argument)))
                        buffer_add_format(&b, "%s%s", b.length > 0 ? ", " : "", word);
        }
        return matching == 0 ? suggest_names(argument, words, count) : buffer_steal(&b);
}

/* @what and @several as in "no collection", "collections". */
static ExitCode resolve(ObjectRef *ref,
                const CandidateList *list,
                const char *argument,
                const char *what,
                const char *several) {
        _cleanup_free_ char *words = NULL;
        size_t count = 0;
        const Candidate *found = candidate_list_find(list, argument, &count);

        if (found) {
                const char *name = found->qualified ? found->qualified : found->name;

                *ref = (ObjectRef){xstrdup(found->path), xstrdup(name ? name : found->uuid)};
                return EXIT_CODE_OK;
        }
        words = list_words(list, argument, count);
        if (count > 1)
                message_error("\"%s\" fits several %s (%s)", argument, several, words);
        else if (list->count > 0)
                message_error("%s \"%s\" (try: %s)", what, argument, words);
        else
                message_error("%s \"%s\" (there are none)", what, argument);
        return EXIT_CODE_NOT_FOUND;
}

static ExitCode resolve_any(ObjectRef *ref,
                Session *s,
                const char *argument,
                void (*add_all)(CandidateList *list, const Inventory *inventory),
                const char *what,
                const char *several) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_(candidate_list_clear) CandidateList list = {0};
        ExitCode code = inventory_load(&inventory, s);

        if (code != EXIT_CODE_OK)
                return code;
        add_all(&list, &inventory);
        return resolve(ref, &list, argument, what, several);
}

ExitCode collection_ref_resolve(ObjectRef *ref, Session *s, const char *argument) {
        return resolve_any(ref, s, argument, candidate_list_add_collections, "no collection",
                        "collections");
}

ExitCode collection_ref_resolve_snapshot(ObjectRef *ref, Session *s, const char *argument) {
        return resolve_any(ref, s, argument, candidate_list_add_snapshots,
                        "no snapshot of a collection", "snapshots of collections");
}

ExitCode collection_ref_resolve_members(
                ObjectRefs *refs, Session *s, const ObjectRef *collection, char **arguments) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_(candidate_list_clear) CandidateList list = {0};
        _cleanup_free_ char *what = xasprintf("%s has no member", collection->name);
        _cleanup_free_ char *several = xasprintf("members of %s", collection->name);
        ExitCode worst = inventory_load(&inventory, s);
        const CollectionInfo *info = inventory_find_collection(&inventory, collection->path);

        if (worst == EXIT_CODE_OK && info)
                candidate_list_add_members(&list, &inventory, info);
        for (; worst != EXIT_CODE_UNREACHABLE && *arguments; arguments++) {
                ObjectRef ref = {0};

                worst = exit_code_worst(worst, resolve(&ref, &list, *arguments, what, several));
                object_refs_add(refs, &ref);
        }
        if (worst != EXIT_CODE_OK)
                object_refs_clear(refs);
        return worst;
}
