/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of new snapshots and of the files that they make. Worker. */

#include "snapshot/tree.h"

/* A name for libvirt that no snapshot of the tree has: letters, digits and . _ - of "wish" (NULL:
 * of "otherwise"), with a number where it has to be told from others. */
char *snapshot_new_id(const SnapshotTree *tree, const char *wish, const char *otherwise);

/* A file that does not exist and that nothing of the tree names, beside the image "base" of the
 * disk "target": STEM.ID.UUID-TARGET.qcow2, with the beginning of the machine's UUID, or with a
 * number. */
char *snapshot_overlay_path(const SnapshotTree *tree,
                const char *base,
                const char *id,
                const char *uuid,
                const char *target);

/* An error if a disk of the machine can't be read; LIMITS_EXCEEDED if another snapshot would make a
 * chain of images longer than a machine can be expected to start with. */
bool snapshot_check_room(const SnapshotTree *tree, GError **error);
