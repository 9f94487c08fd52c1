/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Everything that the bus shows of a domain's snapshots, read in one pass. Nobody changes it
 * afterwards, so it may be shared. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

typedef struct SnapshotFacts {
        char *id;             /* libvirt's name of the snapshot; stays */
        char *name;           /* what clients see: the name in our metadata, else the id */
        char *notes;          /* our metadata's, else libvirt's description; NULL without */
        char *parent;         /* id of the parent, NULL for none */
        gint64 created;       /* microseconds of CLOCK_REALTIME */
        unsigned type;        /* 2 full, 3 disks only, 32768 recovery: our metadata's; else 2 with
                                 memory, 3 without */
        unsigned consistency; /* 1 application, 2 crash consistent, 0 not known: our metadata's,
                                 else 0 */
        char *memory_file;    /* external memory image, NULL if there is none or it is not there any
                                 more (ClearState) */
        bool external;        /* overlays and not inside the image */
        bool has_memory;      /* Apply brings the guest's memory back: an external memory file that
                                 exists, or an internal snapshot of a running guest */
        bool current;
} SnapshotFacts;

/* Of SnapshotFacts, owned, parents before children, then by creation; empty without any, also where
 * the driver has no snapshots. NULL and "error" on failure. Worker; may block. */
GPtrArray *snapshot_facts_read(virDomainPtr domain, GError **error);

/* A reference to the one empty list of all who have none. Any thread. */
GPtrArray *snapshot_facts_none(void);

/* The one with the ID, or the current one; NULL if there is none. Any thread. */
const SnapshotFacts *snapshot_facts_find(const GPtrArray *all, const char *id);
const SnapshotFacts *snapshot_facts_current(const GPtrArray *all);
