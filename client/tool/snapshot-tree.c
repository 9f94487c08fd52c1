/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Walks from the snapshots without a parent to their children and draws what stands before each
 * name:
 *
 *     base
 *     ├─ update
 *     │  └─ after
 *     └─ other
 *
 * The list comes from the bus, so nothing in it is believed: a snapshot whose parent is not there
 * is a root, and one that is its own ancestor is too, as each is placed only once. */

#include <string.h>

#include "snapshot-tree.h"

typedef struct Walk {
        SnapshotTree *tree;
        SnapshotInfo *const *list;
        size_t count;
        const SnapshotTreeStyle *style;
        bool *placed; /* by index of the list */
        bool *more;   /* by level: whether a brother follows further down */
} Walk;

static bool is_child(const Walk *w, size_t index, const SnapshotInfo *parent) {
        const SnapshotInfo *snapshot = w->list[index];

        return !w->placed[index] && snapshot->parent && parent->path &&
               strcmp(snapshot->parent, parent->path) == 0;
}

static size_t next_child(const Walk *w, size_t index, const SnapshotInfo *parent) {
        while (index < w->count && !is_child(w, index, parent))
                index++;
        return index;
}

/* Roots are level 0, and more[] is of the levels 1 to @level. */
static char *draw_branch(const Walk *w, size_t level) {
        _cleanup_buffer_ Buffer b = {0};
        size_t drawn = w->style->levels && level > w->style->levels ? w->style->levels : level;

        if (drawn < level)
                buffer_add(&b, w->style->lines ? "… " : "~ ");
        for (size_t i = level - drawn + 1; i <= level; i++)
                if (!w->style->lines)
                        buffer_add(&b, "  ");
                else if (i == level)
                        buffer_add(&b, w->more[i] ? "├─ " : "└─ ");
                else
                        buffer_add(&b, w->more[i] ? "│  " : "   ");
        return buffer_steal(&b);
}

/* As deep as the tree, which is far from what a stack holds. */
static void place(Walk *w, size_t index, const SnapshotInfo *parent, size_t level) {
        const SnapshotInfo *snapshot = w->list[index];
        size_t child;

        w->placed[index] = true;
        w->tree->rows[w->tree->count++] = (SnapshotRow){snapshot, parent, draw_branch(w, level)};
        child = next_child(w, 0, snapshot);
        while (child < w->count) {
                size_t next = next_child(w, child + 1, snapshot);

                w->more[level + 1] = next < w->count;
                place(w, child, snapshot, level + 1);
                child = next;
        }
}

static bool has_parent(const Walk *w, size_t index) {
        const SnapshotInfo *snapshot = w->list[index];

        if (snapshot_info_is_root(snapshot))
                return false;
        for (size_t i = 0; i < w->count; i++)
                if (w->list[i]->path && strcmp(w->list[i]->path, snapshot->parent) == 0)
                        return true;
        return false;
}

void snapshot_tree_make(SnapshotTree *tree,
                SnapshotInfo *const *list,
                size_t count,
                const SnapshotTreeStyle *style) {
        _cleanup_free_ bool *placed = xcalloc(count, sizeof(*placed));
        _cleanup_free_ bool *more = xcalloc(count + 1, sizeof(*more));
        Walk w = {tree, list, count, style, placed, more};

        *tree = (SnapshotTree){xcalloc(count, sizeof(SnapshotRow)), 0};
        for (size_t i = 0; i < count; i++)
                if (!has_parent(&w, i))
                        place(&w, i, NULL, 0);
        for (size_t i = 0; i < count; i++)
                if (!placed[i])
                        place(&w, i, NULL, 0);
}

void snapshot_tree_clear(SnapshotTree *tree) {
        for (size_t i = 0; i < tree->count; i++)
                free(tree->rows[i].branch);
        free(tree->rows);
        *tree = (SnapshotTree){0};
}
