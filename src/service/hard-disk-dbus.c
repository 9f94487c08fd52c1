/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* HardDisk on the bus: what is known of an image, from memory. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus-object.h"
#include "bus/bus-path.h"
#include "bus/bus-property.h"
#include "service/hard-disk.h"
#include "service/operation-call.h"
#include "util/log.h"

#define INTERFACE "org.virtask1.HardDisk"

static int method_operation(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        HardDisk *disk = userdata;
        const CallSubject subject = {.path = disk->path, .disk = disk};
        const Operation *operation = operation_find("HardDisk", sd_bus_message_get_member(call));

        return operation_call(
                        disk->manager, call, operation, &subject, TASK_REPLY_NOTHING, ret_error);
}

#define TEXT_GETTER(...)   TEXT_GETTER_OF(const HardDisk *disk, __VA_ARGS__)
#define NUMBER_GETTER(...) NUMBER_GETTER_OF(const HardDisk *disk, __VA_ARGS__)

static const char *parent_of(const HardDisk *disk) {
        const HardDisk *parent =
                        disk->facts->parent ? hard_disk_of_file(disk->manager, disk->facts->parent)
                                            : NULL;

        return parent ? parent->path : "/";
}

TEXT_GETTER(file, 's', disk->facts->is_public ? disk->facts->path : "")
TEXT_GETTER(parent, 'o', parent_of(disk))
TEXT_GETTER(format, 's', disk->facts->format)
NUMBER_GETTER(type, 'u', uint32_t, disk->facts->type)
NUMBER_GETTER(size_in_guest, 't', uint64_t, disk->facts->virtual_size)
NUMBER_GETTER(size_on_host, 't', uint64_t, disk->facts->host_size)
NUMBER_GETTER(host_free_disk_space, 't', uint64_t, disk->facts->host_free)

GETTER(in_use_by) {
        const HardDisk *disk = userdata;
        GHashTableIter iter;
        void *uuid;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        g_hash_table_iter_init(&iter, disk->machines);
        while (r >= 0 && g_hash_table_iter_next(&iter, &uuid, NULL)) {
                g_autofree char *machine = bus_path_machine(uuid);

                r = sd_bus_message_append_basic(reply, 'o', machine);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* clang-format off */
static const sd_bus_vtable rows[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("File", "s", property_get_file, 0, EMITS),
        SD_BUS_PROPERTY("Parent", "o", property_get_parent, 0, EMITS),
        SD_BUS_PROPERTY("SizeInGuest", "t", property_get_size_in_guest, 0, EMITS),
        SD_BUS_PROPERTY("SizeOnHost", "t", property_get_size_on_host, 0, 0),
        SD_BUS_PROPERTY("HostFreeDiskSpace", "t", property_get_host_free_disk_space, 0, 0),
        SD_BUS_PROPERTY("Type", "u", property_get_type, 0, EMITS),
        SD_BUS_PROPERTY("Format", "s", property_get_format, 0, EMITS),
        SD_BUS_PROPERTY("InUseBy", "ao", property_get_in_use_by, 0, EMITS),
        SD_BUS_VTABLE_END
};
/* clang-format on */

static const BusInterface interfaces[] = {{INTERFACE, rows}, {NULL, NULL}};

static int find_disk(sd_bus *bus,
                const char *path,
                const char *interface,
                void *userdata,
                void **ret_found,
                sd_bus_error *ret_error) {
        *ret_found = hard_disk_at_path(userdata, path);
        return *ret_found != NULL;
}

static int enumerate_disks(sd_bus *bus,
                const char *prefix,
                void *userdata,
                char ***ret_nodes,
                sd_bus_error *ret_error) {
        const Manager *manager = userdata;
        char **nodes = calloc(g_hash_table_size(manager->hard_disks) + 1, sizeof(char *));
        GHashTableIter iter;
        unsigned n = 0;
        void *path;

        if (!nodes)
                return -ENOMEM;
        g_hash_table_iter_init(&iter, manager->hard_disks);
        while (g_hash_table_iter_next(&iter, &path, NULL))
                nodes[n++] = strdup(path);
        *ret_nodes = nodes; /* freed by sd-bus */
        return 0;
}

int hard_disk_publish(Manager *manager) {
        const sd_bus_vtable *vtable = operation_vtable("HardDisk", rows, method_operation);
        int r = sd_bus_add_fallback_vtable(
                        manager->bus, NULL, PATH_HARD_DISKS, INTERFACE, vtable, find_disk, manager);

        if (r < 0)
                return r;
        return sd_bus_add_node_enumerator(
                        manager->bus, NULL, PATH_HARD_DISKS, enumerate_disks, manager);
}

int hard_disk_append_all(Manager *manager, sd_bus_message *message) {
        GHashTableIter iter;
        void *value;
        int r = 0;

        g_hash_table_iter_init(&iter, manager->hard_disks);
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, &value)) {
                HardDisk *disk = value;

                r = sd_bus_message_open_container(message, 'e', "oa{sa{sv}}");
                if (r >= 0)
                        r = bus_append_object(message, disk->path, interfaces, disk);
                if (r >= 0)
                        r = sd_bus_message_close_container(message);
        }
        return r;
}

static void check(const HardDisk *disk, int r) {
        if (r < 0)
                log_warning("Failed to send a signal of %s: %s", disk->path, g_strerror(-r));
}

void hard_disk_emit_added(HardDisk *disk) {
        check(disk, bus_emit_added(disk->manager->bus, BUS_ROOT, disk->path, interfaces, disk));
}

void hard_disk_emit_removed(HardDisk *disk) {
        check(disk, sd_bus_emit_interfaces_removed(
                                    disk->manager->bus, disk->path, INTERFACE, NULL));
}
