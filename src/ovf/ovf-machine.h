/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine as an OVF package describes it: what other products have a word for, too. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define OVF_CPUS_MAX     1024U
#define OVF_MEMORY_MIN   (UINT64_C(1) << 20)
#define OVF_MEMORY_MAX   (UINT64_C(1) << 46)
#define OVF_CAPACITY_MAX (UINT64_C(1) << 50)
#define OVF_DISKS_MAX    64U
#define OVF_NICS_MAX     32U
#define OVF_UNIT_MAX     255U
#define OVF_NAME_MAX     255U /* bytes */

typedef enum OvfFirmware { OVF_FIRMWARE_BIOS, OVF_FIRMWARE_UEFI } OvfFirmware;

/* What a disk hangs on. The others have no word for virtio: they see SATA. */
typedef enum OvfBus { OVF_BUS_IDE, OVF_BUS_SATA, OVF_BUS_SCSI, OVF_BUS_VIRTIO, OVF_BUSES } OvfBus;

typedef struct OvfDisk {
        char *file;          /* its name in the package; NULL: a new, empty one */
        uint64_t file_size;  /* 0: not known */
        uint64_t capacity;   /* bytes that the guest sees */
        OvfBus bus;          /* kind of its controller, */
        unsigned controller; /* which of those of this kind: an IDE channel is one, */
        unsigned unit;       /* and the address on it */
} OvfDisk;

typedef struct OvfNic {
        char *model;   /* as libvirt says: "virtio", "e1000", "e1000e", "pcnet", "vmxnet3" */
        char *mac;     /* "52:54:00:12:34:56"; NULL: any */
        char *network; /* what it is connected to, for a person to map; "": nothing */
} OvfNic;

typedef struct OvfMachine {
        char *package; /* what tells a package that we have made from all others; NULL: nothing */
        char *name;
        unsigned cpus;
        uint64_t memory; /* bytes */
        OvfFirmware firmware;
        unsigned os;      /* CIM_OperatingSystem.OSType; 1: another one */
        char *os_text;    /* what a person reads; NULL: nothing */
        GPtrArray *disks; /* of OvfDisk, in the order of the package */
        GPtrArray *nics;  /* of OvfNic */
} OvfMachine;

/* Without disks and nics. */
OvfMachine *ovf_machine_new(const char *name);
void ovf_machine_free(OvfMachine *machine);

/* The last one of them, empty; belongs to the machine. */
OvfDisk *ovf_machine_add_disk(OvfMachine *machine);
OvfNic *ovf_machine_add_nic(OvfMachine *machine);

/* "ide", "sata", "scsi", "virtio", and back; false if it is none. */
const char *ovf_bus_name(OvfBus bus);
bool ovf_bus_find(const char *name, OvfBus *ret);

/* Whether it can name a file of a package: one component of at most 255 bytes, UTF-8 without
 * control characters, no URI, neither a dot nor a dash first. */
bool ovf_file_name_is_valid(const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(OvfMachine, ovf_machine_free)
