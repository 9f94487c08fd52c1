/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finds the snapshot (or the reference point) that a word of the command line means in the list of
 * those of the machine. Names can be given twice, IDs can't. */

#include <string.h>

#include "inventory.h"
#include "message.h"
#include "snapshot-ref.h"
#include "suggest.h"

static bool is_text(const char *text, const char *argument) {
        return text && strcmp(text, argument) == 0;
}

SnapshotInfo *snapshot_ref_find(
                SnapshotInfo *const *list, size_t count, const char *argument, size_t *ret_count) {
        SnapshotInfo *found = NULL;
        size_t named = 0;

        *ret_count = 1;
        for (size_t i = 0; i < count; i++) {
                if (is_text(list[i]->id, argument) || is_text(list[i]->path, argument))
                        return list[i];
                if (!is_text(list[i]->name, argument))
                        continue;
                found = list[i];
                named++;
        }
        *ret_count = named;
        return named == 1 ? found : NULL;
}

const char *snapshot_ref_candidate(SnapshotInfo *const *list,
                size_t count,
                const SnapshotInfo *snapshot,
                const char *prefix) {
        size_t length = strlen(prefix), matches = 0;

        if (snapshot->id && strncmp(snapshot->id, prefix, length) == 0)
                return snapshot->id;
        if (!snapshot->name || strncmp(snapshot->name, prefix, length) != 0)
                return NULL;
        return snapshot_ref_find(list, count, snapshot->name, &matches) == snapshot ? snapshot->name
                                                                                    : NULL;
}

static void report_ambiguous(SnapshotInfo *const *list,
                size_t count,
                const char *kind,
                const char *machine,
                const char *name) {
        _cleanup_buffer_ Buffer ids = {0};

        for (size_t i = 0; i < count; i++)
                if (is_text(list[i]->name, name))
                        buffer_add_format(&ids, "%s%s", ids.length > 0 ? ", " : "", list[i]->id);
        message_error("\"%s\" is the name of several %ss of %s; take an ID (%s)", name, kind,
                        machine, buffer_text(&ids));
}

static void report_unknown(SnapshotInfo *const *list,
                size_t count,
                const char *kind,
                const char *machine,
                const char *name) {
        _cleanup_free_ const char **known = xcalloc(2 * count, sizeof(*known));
        _cleanup_free_ char *names = NULL;
        size_t n = 0, matches = 0;

        for (size_t i = 0; i < count; i++) {
                const char *id = list[i]->id ? list[i]->id : "";
                const char *other = list[i]->name ? list[i]->name : id;

                known[n++] = id;
                if (strcmp(other, id) != 0 &&
                                snapshot_ref_find(list, count, other, &matches) == list[i])
                        known[n++] = other;
        }
        names = suggest_names(name, known, n);
        if (count > 0)
                message_error("%s has no %s \"%s\" (try: %s)", machine, kind, name, names);
        else
                message_error("%s has no %s \"%s\" (there are none)", machine, kind, name);
}

typedef SnapshotInfo **(*ListFunction)(
                const Inventory *inventory, const char *machine, size_t *ret_count);

/* @kind of what @list has: "snapshot". */
static ExitCode resolve(ObjectRef *ref,
                Session *s,
                const ObjectRef *machine,
                const char *argument,
                const char *kind,
                ListFunction list_of) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_free_ SnapshotInfo **list = NULL;
        const SnapshotInfo *found;
        size_t count = 0, matches = 0;
        ExitCode code = inventory_load(&inventory, s);

        if (code != EXIT_CODE_OK)
                return code;
        list = list_of(&inventory, machine->path, &count);
        found = snapshot_ref_find(list, count, argument, &matches);
        if (found) {
                *ref = (ObjectRef){xstrdup(found->path), snapshot_info_label(found)};
                return EXIT_CODE_OK;
        }
        if (matches > 1)
                report_ambiguous(list, count, kind, machine->name, argument);
        else
                report_unknown(list, count, kind, machine->name, argument);
        return EXIT_CODE_NOT_FOUND;
}

ExitCode snapshot_ref_resolve(
                ObjectRef *ref, Session *s, const ObjectRef *machine, const char *argument) {
        return resolve(ref, s, machine, argument, "snapshot", inventory_snapshots_of);
}

ExitCode snapshot_ref_resolve_point(
                ObjectRef *ref, Session *s, const ObjectRef *machine, const char *argument) {
        return resolve(ref, s, machine, argument, "reference point", inventory_points_of);
}
