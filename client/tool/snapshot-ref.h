/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A snapshot as the user names it: ID, unique name, or object path. */

#include "machine-ref.h"
#include "snapshot-info.h"

typedef struct SnapshotRef {
        char *path;
        char *label; /* name and ID for messages */
} SnapshotRef;

/* Says what is wrong if @machine has no such snapshot, or if several have the name. */
ExitCode snapshot_ref_resolve(
                SnapshotRef *ref, Session *s, const MachineRef *machine, const char *argument);
void snapshot_ref_clear(SnapshotRef *ref);

/* The one that @argument means, NULL if there is none or if it is a name of several; @ret_count
 * tells which of both. An ID always means the snapshot that has it, whatever others are named:
 * nobody can take it away by giving names. */
SnapshotInfo *snapshot_ref_find(
                SnapshotInfo *const *list, size_t count, const char *argument, size_t *ret_count);

/* What completion offers for what has been typed: the ID, or, if only the name begins so, the
 * name, as far as it means this snapshot. NULL: nothing. */
const char *snapshot_ref_candidate(SnapshotInfo *const *list,
                size_t count,
                const SnapshotInfo *snapshot,
                const char *prefix);
