/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A snapshot or a reference point as the user names it: ID, unique name, or object path. */

#include "object-ref.h"
#include "snapshot-info.h"

/* Its name tells the ID too. Says what is wrong if @machine has no such snapshot, or if several
 * have the name. */
ExitCode snapshot_ref_resolve(
                ObjectRef *ref, Session *s, const ObjectRef *machine, const char *argument);
ExitCode snapshot_ref_resolve_point(
                ObjectRef *ref, Session *s, const ObjectRef *machine, const char *argument);

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
