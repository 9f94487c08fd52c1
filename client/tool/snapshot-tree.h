/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The snapshots of a machine in the order and with the branches of a tree. Pure. */

#include "snapshot-info.h"

typedef struct SnapshotRow {
        const SnapshotInfo *snapshot;
        const SnapshotInfo *parent; /* NULL: none, or not in the list */
        char *branch;               /* what stands before its name */
} SnapshotRow;

typedef struct SnapshotTree {
        SnapshotRow *rows; /* each before its children, brothers in the order of the list */
        size_t count;
} SnapshotTree;

typedef struct SnapshotTreeStyle {
        bool lines;    /* ├─ and └─, otherwise indentation alone */
        size_t levels; /* of more only the last so many are drawn; 0: all */
} SnapshotTreeStyle;

/* @list has to outlive the tree. */
void snapshot_tree_make(SnapshotTree *tree,
                SnapshotInfo *const *list,
                size_t count,
                const SnapshotTreeStyle *style);
void snapshot_tree_clear(SnapshotTree *tree);
