/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine, its snapshots and all images that they rest on, read in one pass. Worker. */

#include <libvirt/libvirt.h>
#include <stdint.h>

#include "disk/disk-set.h"
#include "snapshot/definition.h"

/* An image file that a disk of the machine rests on, now or in one of its snapshots. */
typedef struct TreeImage {
        char *path;
        char *format;
        char *backing; /* NULL: none, or not known */
        char *target;  /* the disk */
        uint64_t size; /* allocated bytes */
        uint64_t virtual_size;
        bool live;        /* a disk or a snapshot shows it: its content must stay */
        bool running;     /* QEMU has it open */
        bool inhabited;   /* has a snapshot inside: it can't be merged with the one below */
        GError *problem;  /* why it can't be read; NULL: it can */
        GPtrArray *users; /* TreeImage: those that lie directly on top of it */
} TreeImage;

typedef struct SnapshotTree {
        bool active;
        DiskSet *disks;       /* as they are now */
        GPtrArray *snapshots; /* SnapshotDefinition */
        GHashTable *images;   /* path -> TreeImage */
        GError *problem;      /* the first one; then there may be more images than these, and more
                                 that lie on them: NULL for none */
} SnapshotTree;

/* An image that can't be read is no reason to fail: it may belong to another branch than the one
 * that matters. */
SnapshotTree *snapshot_tree_read(virDomainPtr domain, GError **error);
void snapshot_tree_free(SnapshotTree *tree);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnapshotTree, snapshot_tree_free)

/* NULL: there is none. */
SnapshotDefinition *snapshot_tree_find(const SnapshotTree *tree, const char *id);

/* The definition with secrets, as the machine runs or for its next start. */
char *snapshot_tree_definition(virDomainPtr domain, bool inactive, GError **error);

/* Gives the machine this definition for its next start. */
bool snapshot_tree_define(virDomainPtr domain, const char *text, GError **error);

/* The description with secrets, as libvirt takes it back. */
char *snapshot_tree_document(virDomainPtr domain, const char *id, GError **error);

/* Gives the snapshot this description; it stays the current one if it was. DISK_FULL while there
 * may be no room for it. */
bool snapshot_tree_redefine(virDomainPtr domain, const char *id, const char *text, GError **error);

/* The one that the machine's present follows. */
bool snapshot_tree_make_current(virDomainPtr domain, const char *id, GError **error);

/* DISK_FULL if one of these would fail so. */
bool snapshot_tree_check_room(virDomainPtr domain, const char *id, GError **error);
