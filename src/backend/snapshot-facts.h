/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Everything that the bus shows of a domain's snapshots and of its reference points, read in one
 * pass. Nobody changes it afterwards, so it may be shared.
 *
 * A reference point is a snapshot of disks for libvirt, and no snapshot for clients: what lies in
 * the images above it has changed since (docs/decisions/0014). */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

#define SNAPSHOT_TYPE_REFERENCE_POINT 32769 /* in our metadata; a number of vendors */

typedef struct SnapshotFacts {
        char *id;             /* libvirt's name of the snapshot; stays */
        char *name;           /* what clients see: the name in our metadata, else the id */
        char *notes;          /* our metadata's, else libvirt's description; NULL without */
        char *parent;         /* id of the nearest snapshot above, reference points left out; NULL
                                 for none */
        gint64 created;       /* microseconds of CLOCK_REALTIME */
        unsigned type;        /* 2 full, 3 disks only, 32768 recovery: our metadata's; else 2 with
                                 memory, 3 without */
        unsigned consistency; /* 1 application, 2 crash consistent, 0 not known: our metadata's,
                                 else 0 */
        char **targets;       /* of the disks that have overlays on it; NULL without */
        char *memory_file;    /* external memory image, NULL if there is none or it is not there any
                                 more (ClearState) */
        bool external;        /* overlays and not inside the image */
        bool has_memory;      /* Apply brings the guest's memory back: an external memory file that
                                 exists, or an internal snapshot of a running guest */
        bool current; /* the nearest snapshot above the machine's present; never a reference point
                       */
} SnapshotFacts;

/* Lists of SnapshotFacts, owned, parents before children, then by creation; empty without any, also
 * where the driver has no snapshots. Worker; may block. */
bool snapshot_facts_read(virDomainPtr domain,
                GPtrArray **ret_snapshots,
                GPtrArray **ret_points,
                GError **error);

/* A reference to the one empty list of all who have none. Any thread. */
GPtrArray *snapshot_facts_none(void);

/* The one with the ID, or the current one; NULL if there is none. Any thread. */
const SnapshotFacts *snapshot_facts_find(const GPtrArray *all, const char *id);
const SnapshotFacts *snapshot_facts_current(const GPtrArray *all);
