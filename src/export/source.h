/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is exported: a machine as it is while it is off, or as one of its snapshots shows it.
 * Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "export/settings.h"
#include "snapshot/tree.h"

typedef struct ExportSource {
        virDomainPtr domain; /* borrowed */
        SnapshotTree *tree;
        const SnapshotDefinition *shown; /* of the tree; NULL: the present */
        const SnapshotDefinition *base;  /* of the tree; what is in it is left out; NULL: nothing */
        DiskSet *base_disks;             /* of it */
        char *definition;                /* for the next start, with the disks that are shown */
        DiskSet *disks;                  /* of it */
        char *memory;                    /* file; NULL: turned off */
        char *nvram, *tpm;               /* files; NULL: none */
} ExportSource;

/* "snapshot" is the one that is shown, NULL the present; "base" is what it differs from, or NULL.
 * NO_SUCH_SNAPSHOT; NOT_SUPPORTED for a snapshot that is inside its images. */
ExportSource *export_source_read(
                virDomainPtr domain, const char *snapshot, const char *base, GError **error);
void export_source_free(ExportSource *source);

/* Whether each disk can be exported as the request wants it. NOT_SUPPORTED for a disk that is in no
 * file of its own, INVALID_ARGUMENT for an excluded or included one that there is not, and for a
 * base that a disk does not rest on. */
bool export_source_check(const ExportSource *source, const ExportRequest *request, GError **error);

/* A disk of the machine that is not left out. CD-ROMs and floppies are not the machine's own. */
bool export_source_has(const ExportRequest *request, const Disk *disk);

/* The image of the base that the disk rests on; NULL: none. */
const char *export_source_base_of(const ExportSource *source, const Disk *disk);

/* What the disk and all that it rests on holds, in bytes: the most that a copy of it can. */
uint64_t export_source_weigh(const ExportSource *source, const Disk *disk);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ExportSource, export_source_free)
