/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A hard disk image on the bus: of a machine, or one that somebody has asked for. Loop. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "bus/publisher.h"
#include "image/image-facts.h"
#include "service/manager.h"

/* Entries of hard_disk_properties, in its order. */
enum {
        HARD_DISK_PROPERTY_FILE = 1 << 0,
        HARD_DISK_PROPERTY_PARENT = 1 << 1,
        HARD_DISK_PROPERTY_SIZE_IN_GUEST = 1 << 2,
        HARD_DISK_PROPERTY_TYPE = 1 << 3,
        HARD_DISK_PROPERTY_FORMAT = 1 << 4,
        HARD_DISK_PROPERTY_IN_USE_BY = 1 << 5,
};

typedef struct HardDisk HardDisk;

struct HardDisk {
        Manager *manager;
        char *path;
        ImageFacts *facts;
        GHashTable *machines; /* the UUIDs of those that have it, or something that rests on it */
        unsigned holds;       /* of hard-disk-hold.c */
        Publication publication;
};

/* NULL if there is none. */
HardDisk *hard_disk_at_path(Manager *manager, const char *path);
HardDisk *hard_disk_of_file(Manager *manager, const char *file);

/* The object of the image, which is new (and announced) or becomes what the facts say. A caller's
 * word changes nothing that we know ourselves. Without a machine, a hold or a task it goes with
 * the next hard_disk_drop_unused(). */
HardDisk *hard_disk_take(Manager *manager, const ImageFacts *facts);
void hard_disk_drop_unused(HardDisk *disk);

/* Whether the user may work on it: FILE_IN_USE if one of its machines runs (the text names it),
 * ACCESS_DENIED if it is somebody else's secret. */
bool hard_disk_admits(const HardDisk *disk, uid_t uid, GError **error);

/* What the machine has now, as machine_images_read() says; takes "chains". NULL: it is gone. */
void hard_disk_apply_machine(VirtualMachine *vm, GPtrArray *chains);

/* hard-disk-hold.c */

/* The chain is on the bus as long as the sender of the call is there, and for some time after that;
 * without a call only for that time. The path of its first image, or NULL: LIMITS_EXCEEDED if the
 * user holds too many already, ACCESS_DENIED if the sender has left. */
const char *hard_disk_hold(Manager *manager,
                const GPtrArray *chain,
                uid_t uid,
                sd_bus_message *call,
                GError **error);
bool hard_disk_is_held_by(const HardDisk *disk, uid_t uid);
void hard_disk_release_all(Manager *manager);

/* hard-disk-dbus.c */
int hard_disk_publish(Manager *manager);
int hard_disk_append_all(Manager *manager, sd_bus_message *message);
void hard_disk_emit_added(HardDisk *disk);
void hard_disk_emit_removed(HardDisk *disk);

/* get-hard-disk.c: a handler of the Manager's vtable */
int hard_disk_method_get(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);

/* The table of all of them, by path. */
GHashTable *hard_disk_table_new(void);
void hard_disk_free_all(Manager *manager);
