/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What we know of snapshots and libvirt has no place for: kept in the <metadata> of the machine's
 * definition, so that it goes where the machine goes. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

#define SNAPSHOT_METADATA_NAMESPACE "https://virtask.org/snapshots/1"

typedef struct SnapshotMetadata {
        char *id;    /* libvirt's name of the snapshot */
        char *name;  /* what clients see; NULL: the id */
        char *notes; /* NULL without, as all that follows */
        char *collection;
        unsigned type, consistency; /* as in SnapshotFacts; 0: not known */
} SnapshotMetadata;

/* Of SnapshotMetadata, owned; empty without any, NULL if they can not be read. There may be entries
 * of snapshots that are gone, or not there yet. */
GPtrArray *snapshot_metadata_read(virDomainPtr domain, GError **error);

/* The entry with the ID, or NULL. */
SnapshotMetadata *snapshot_metadata_find(const GPtrArray *entries, const char *id);

/* Adds the entry, or replaces the one with its ID. */
bool snapshot_metadata_set(virDomainPtr domain, const SnapshotMetadata *entry, GError **error);

/* Accepts an ID that is not known. */
bool snapshot_metadata_remove(virDomainPtr domain, const char *id, GError **error);
