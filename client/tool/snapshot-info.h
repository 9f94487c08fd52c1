/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the bus says about one snapshot, or about a reference point, which libvirt takes for one. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "json.h"

typedef struct SnapshotInfo {
        char *path;
        char *id;
        char *name;
        char *machine; /* path of the machine that it is of */
        char *parent;  /* path, "/" for none */
        char *notes;
        uint64_t created;
        uint32_t type;
        uint32_t consistency;
        bool has_memory;
        bool is_current;
        bool is_point;
        char *collection_snapshot; /* path of what it is a part of, "/" for nothing */
} SnapshotInfo;

int snapshot_info_read(SnapshotInfo *snapshot, sd_bus_message *m);
int snapshot_info_read_point(SnapshotInfo *point, sd_bus_message *m);
void snapshot_info_clear(SnapshotInfo *snapshot);

/* The oldest first; of the same second by ID, with numbers in order. */
int snapshot_info_compare(const SnapshotInfo *a, const SnapshotInfo *b);

/* Whether it was made when no snapshot was the current one. */
bool snapshot_info_is_root(const SnapshotInfo *snapshot);

/* Whether it was taken together with those of other machines. */
bool snapshot_info_is_part(const SnapshotInfo *snapshot);

/* snapshot, reference point. */
const char *snapshot_info_kind_word(const SnapshotInfo *snapshot);

/* application, crash, unknown. */
const char *snapshot_info_consistency_word(const SnapshotInfo *snapshot);

/* full, disks, recovery. */
const char *snapshot_info_type_word(const SnapshotInfo *snapshot);

/* "before the update (snapshot-3)": the name, and the ID where it differs. */
char *snapshot_info_label(const SnapshotInfo *snapshot);

/* The object of points --json. */
void snapshot_info_point_to_json(const SnapshotInfo *point, JsonWriter *w);

/* The object of snapshots --json. @parent is the ID of the parent, NULL without one. */
void snapshot_info_to_json(const SnapshotInfo *snapshot, JsonWriter *w, const char *parent);
