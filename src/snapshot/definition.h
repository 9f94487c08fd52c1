/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libvirt's descriptions of snapshots and domains as texts: read and changed with libxml2. They
 * come from libvirt itself. Any thread. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "disk/disk-set.h"

/* What a snapshot's description says of it. */
typedef struct SnapshotDefinition {
        char *id;
        char *parent;           /* NULL: none */
        char *state;            /* of the guest: "running", "paused", "shutoff", "disk-snapshot" */
        char *memory_file;      /* NULL: none */
        int64_t created;        /* seconds since 1970 */
        bool external;          /* at least one disk, or the memory, is a file of its own */
        GHashTable *overlays;   /* set of the files that its disks went on with */
        GPtrArray *targets;     /* disks that are part of it */
        char *domain;           /* definition of the machine at that time, as it ran */
        char *domain_to_define; /* the same for its next start */
        bool has_inactive;      /* which is then an element of its own */
} SnapshotDefinition;

SnapshotDefinition *snapshot_definition_parse(const char *text, GError **error);
void snapshot_definition_free(SnapshotDefinition *definition);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnapshotDefinition, snapshot_definition_free)

/* The text with another file and format wherever a disk has the file "old"; NULL without an error
 * if there is no such disk. */
char *definition_replace_image(const char *text,
                const char *old_path,
                const char *new_path,
                const char *new_format,
                GError **error);

/* The definition without what it says of the images below a disk, if the file is one of them; NULL
 * without an error if it is not. libvirt notes them when it makes an overlay while the machine
 * runs, and without them reads them from the images. */
char *definition_forget_chain(const char *text, const char *path, GError **error);

/* The text with another file and format for the disk "target" of the definition that it is, or of
 * the one in the element "section" of it. NULL without an error if that changes nothing. */
char *definition_set_image(const char *text,
                const char *section,
                const char *target,
                const char *path,
                const char *format,
                GError **error);

/* The definition "text" with the <name> and the <metadata> of the definition "from", which may have
 * none. */
char *definition_with_identity(const char *text, const char *from, GError **error);

/* The description of a snapshot with another parent; NULL: without. */
char *definition_with_parent(const char *text, const char *parent, GError **error);

/* Whether it is the definition of a machine with this name. */
bool definition_has_name(const char *text, const char *name);

/* The definition with the file and format that each of its disks has in "disks". */
char *definition_with_disks_of(const char *text, const DiskSet *disks, GError **error);

/* The definition (taken) with the file and format that the disks outside of "except" (a set of
 * targets) have in "disks". */
char *definition_with_other_disks(char *text, const DiskSet *disks, GHashTable *except);

/* What virDomainSnapshotCreateXML() wants: "overlays" maps targets to files, other disks are left
 * out. "memory" and "notes" may be NULL. */
char *definition_of_new_snapshot(const char *id,
                const char *notes,
                const char *memory,
                GPtrArray *targets,
                GHashTable *overlays);
