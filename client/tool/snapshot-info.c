/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A snapshot as a plain structure, filled from its properties, and the words for it. */

#include <stddef.h>
#include <string.h>

#include "property-map.h"
#include "snapshot-info.h"

/* clang-format off */
static const PropertyRow rows[] = {
        {"ID",                 's', offsetof(SnapshotInfo, id)},
        {"Name",               's', offsetof(SnapshotInfo, name)},
        {"VirtualMachine",     'o', offsetof(SnapshotInfo, machine)},
        {"Parent",             'o', offsetof(SnapshotInfo, parent)},
        {"Notes",              's', offsetof(SnapshotInfo, notes)},
        {"CreationTime",       't', offsetof(SnapshotInfo, created)},
        {"SnapshotType",       'q', offsetof(SnapshotInfo, type)},
        {"ConsistencyLevel",   'q', offsetof(SnapshotInfo, consistency)},
        {"HasSavedState",      'b', offsetof(SnapshotInfo, has_memory)},
        {"IsCurrent",          'b', offsetof(SnapshotInfo, is_current)},
        {"SnapshotCollection", 'o', offsetof(SnapshotInfo, collection_snapshot)},
};

static const PropertyRow point_rows[] = {
        {"InstanceID",         's', offsetof(SnapshotInfo, id)},
        {"ElementName",        's', offsetof(SnapshotInfo, name)},
        {"VirtualMachine",     'o', offsetof(SnapshotInfo, machine)},
        {"CreationTime",       't', offsetof(SnapshotInfo, created)},
        {"ConsistencyLevel",   'q', offsetof(SnapshotInfo, consistency)},
};

static const struct {
        uint32_t type;
        const char *word;
} types[] = {
        {SNAPSHOT_TYPE_FULL,     "full"},
        {SNAPSHOT_TYPE_DISKS,    "disks"},
        {SNAPSHOT_TYPE_RECOVERY, "recovery"},
};
/* clang-format on */

int snapshot_info_read(SnapshotInfo *snapshot, sd_bus_message *m) {
        return property_map_read(m, rows, ELEMENTS(rows), snapshot);
}

/* Its ID is what stands behind the UUID of the machine. It never changes, so all is read at once.
 */
int snapshot_info_read_point(SnapshotInfo *point, sd_bus_message *m) {
        int r = property_map_read(m, point_rows, ELEMENTS(point_rows), point);
        const char *slash = point->id ? strchr(point->id, '/') : NULL;
        _cleanup_free_ char *id = slash ? xstrdup(slash + 1) : NULL;

        point->is_point = true;
        if (id)
                string_replace(&point->id, id);
        return r;
}

void snapshot_info_clear(SnapshotInfo *snapshot) {
        property_map_clear(rows, ELEMENTS(rows), snapshot);
        free(snapshot->path);
        *snapshot = (SnapshotInfo){0};
}

int snapshot_info_compare(const SnapshotInfo *a, const SnapshotInfo *b) {
        if (a->created != b->created)
                return a->created < b->created ? -1 : 1;
        return strverscmp(a->id ? a->id : "", b->id ? b->id : "");
}

bool snapshot_info_is_root(const SnapshotInfo *snapshot) {
        return !snapshot->parent || strcmp(snapshot->parent, "/") == 0;
}

bool snapshot_info_is_part(const SnapshotInfo *snapshot) {
        return snapshot->collection_snapshot && strcmp(snapshot->collection_snapshot, "/") != 0;
}

const char *snapshot_info_kind_word(const SnapshotInfo *snapshot) {
        return snapshot->is_point ? "reference point" : "snapshot";
}

const char *snapshot_info_consistency_word(const SnapshotInfo *snapshot) {
        switch (snapshot->consistency) {
        case CONSISTENCY_APPLICATION:
                return "application";
        case CONSISTENCY_CRASH:
                return "crash";
        default:
                return "unknown";
        }
}

const char *snapshot_info_type_word(const SnapshotInfo *snapshot) {
        for (size_t i = 0; i < ELEMENTS(types); i++)
                if (types[i].type == snapshot->type)
                        return types[i].word;
        return "unknown";
}

char *snapshot_info_label(const SnapshotInfo *snapshot) {
        const char *id = snapshot->id ? snapshot->id : "";

        if (!snapshot->name || !*snapshot->name || strcmp(snapshot->name, id) == 0)
                return xstrdup(id);
        return xasprintf("%s (%s)", snapshot->name, id);
}

void snapshot_info_point_to_json(const SnapshotInfo *point, JsonWriter *w) {
        json_begin(w, NULL, '{');
        json_string(w, "id", point->id);
        json_string(w, "name", point->name);
        json_unsigned(w, "consistency_level", point->consistency);
        json_unsigned(w, "creation_time_us", point->created);
        json_string(w, "path", point->path);
        json_end(w, '}');
}

void snapshot_info_to_json(const SnapshotInfo *snapshot, JsonWriter *w, const char *parent) {
        json_begin(w, NULL, '{');
        json_string(w, "id", snapshot->id);
        json_string(w, "name", snapshot->name);
        json_string(w, "parent", parent);
        json_boolean(w, "current", snapshot->is_current);
        json_string(w, "type", snapshot_info_type_word(snapshot));
        json_unsigned(w, "snapshot_type", snapshot->type);
        json_boolean(w, "memory", snapshot->has_memory);
        json_unsigned(w, "consistency_level", snapshot->consistency);
        json_unsigned(w, "creation_time_us", snapshot->created);
        json_string(w, "notes", snapshot->notes);
        json_string(w, "collection_snapshot",
                        snapshot_info_is_part(snapshot) ? snapshot->collection_snapshot : NULL);
        json_string(w, "path", snapshot->path);
        json_end(w, '}');
}
