/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A path that comes from the bus is taken apart with its length in mind: one that is shorter than
 * the prefix, or equal to it, is simply no path of ours. */

#include "bus/bus-path.h"

#include <glib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "util/number.h"

char *bus_path_task(uint32_t id) {
        return g_strdup_printf(PATH_TASKS "/%u", id);
}

static char *with_uuid(const char *prefix, const char *uuid) {
        char *path = g_strconcat(prefix, "/_", uuid, NULL);

        for (char *p = path + strlen(prefix); *p; p++)
                if (*p == '-')
                        *p = '_';
        return path;
}

char *bus_path_machine(const char *uuid) {
        return with_uuid(PATH_VMS, uuid);
}

char *bus_path_collection(const char *id) {
        return with_uuid(PATH_COLLECTIONS, id);
}

char *bus_path_snapshot_collection(const char *id) {
        return with_uuid(PATH_SNAPSHOT_COLLECTIONS, id);
}

char *bus_path_reference_point_collection(const char *id) {
        return with_uuid(PATH_REFERENCE_POINT_COLLECTIONS, id);
}

char *bus_path_hard_disk(const char *file) {
        g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, file, -1);

        return g_strdup_printf(PATH_HARD_DISKS "/%.32s", digest);
}

bool bus_path_to_task(const char *path, uint32_t *ret_id) {
        const char *digits = path + strlen(PATH_TASKS "/");
        uint64_t id;

        if (!g_str_has_prefix(path, PATH_TASKS "/") || *digits == '0')
                return false;
        if (!number_parse(digits, 1, UINT32_MAX, &id))
                return false;
        *ret_id = (uint32_t) id;
        return true;
}

static bool to_uuid(const char *path, const char *prefix, char ret_uuid[static UUID_STRING_SIZE]) {
        const char *encoded = path + strlen(prefix) + strlen("/_");
        char uuid[UUID_STRING_SIZE];

        if (!g_str_has_prefix(path, prefix) || !g_str_has_prefix(path + strlen(prefix), "/_") ||
                        strlen(encoded) != UUID_STRING_SIZE - 1)
                return false;

        for (int i = 0; i < UUID_STRING_SIZE - 1; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;
                bool hex = g_ascii_isxdigit(encoded[i]) && !g_ascii_isupper(encoded[i]);

                if (dash ? encoded[i] != '_' : !hex)
                        return false;
                uuid[i] = dash ? '-' : encoded[i];
        }
        uuid[UUID_STRING_SIZE - 1] = 0;
        memcpy(ret_uuid, uuid, sizeof(uuid));
        return true;
}

bool bus_path_to_machine(const char *path, char ret_uuid[static UUID_STRING_SIZE]) {
        return to_uuid(path, PATH_VMS, ret_uuid);
}

bool bus_path_to_collection(const char *path, char ret_id[static UUID_STRING_SIZE]) {
        return to_uuid(path, PATH_COLLECTIONS, ret_id);
}

bool bus_path_to_snapshot_collection(const char *path, char ret_id[static UUID_STRING_SIZE]) {
        return to_uuid(path, PATH_SNAPSHOT_COLLECTIONS, ret_id);
}

bool bus_path_to_reference_point_collection(
                const char *path, char ret_id[static UUID_STRING_SIZE]) {
        return to_uuid(path, PATH_REFERENCE_POINT_COLLECTIONS, ret_id);
}

static char *below_machine(const char *uuid, const char *room, const char *id) {
        g_autofree char *machine = bus_path_machine(uuid);
        g_autofree char *prefix = g_strconcat(machine, room, NULL);
        char *path;
        int r = sd_bus_path_encode(prefix, id, &path);

        if (r < 0) /* out of memory, or an invalid prefix */
                g_error("Failed to make an object path: %s", g_strerror(-r));
        return path;
}

char *bus_path_snapshot(const char *uuid, const char *id) {
        return below_machine(uuid, PATH_OF_SNAPSHOTS, id);
}

char *bus_path_reference_point(const char *uuid, const char *id) {
        return below_machine(uuid, PATH_OF_REFERENCE_POINTS, id);
}

static bool to_id_below_machine(const char *path,
                const char *room,
                char ret_uuid[static UUID_STRING_SIZE],
                char **ret_id) {
        const char *end = strrchr(path, '/');
        g_autofree char *prefix = end ? g_strndup(path, (gsize) (end - path)) : NULL;
        g_autofree char *machine = NULL, *id = NULL, *again = NULL;
        char uuid[UUID_STRING_SIZE];

        if (!prefix || !g_str_has_suffix(prefix, room))
                return false;
        machine = g_strndup(prefix, strlen(prefix) - strlen(room));
        if (!bus_path_to_machine(machine, uuid) || sd_bus_path_decode(path, prefix, &id) <= 0)
                return false;
        /* "_61" and "a" mean the same, and only one of them is a path of ours. */
        again = below_machine(uuid, room, id);
        if (!g_str_equal(path, again))
                return false;
        memcpy(ret_uuid, uuid, sizeof(uuid));
        *ret_id = g_steal_pointer(&id);
        return true;
}

bool bus_path_to_snapshot(const char *path, char ret_uuid[static UUID_STRING_SIZE], char **ret_id) {
        return to_id_below_machine(path, PATH_OF_SNAPSHOTS, ret_uuid, ret_id);
}

bool bus_path_to_reference_point(
                const char *path, char ret_uuid[static UUID_STRING_SIZE], char **ret_id) {
        return to_id_below_machine(path, PATH_OF_REFERENCE_POINTS, ret_uuid, ret_id);
}
