/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The disks of a machine, read from and written into the <domain> definition that libvirt gave for
 * it. Any thread. */

#include <glib.h>
#include <stdbool.h>

typedef struct Disk {
        char *target;      /* "vda" */
        char *path;        /* absolute; NULL: no file, or none at the moment */
        char *format;      /* "qcow2", "raw"; NULL: not said */
        bool readonly;     /* the guest can't write to it */
        bool shareable;    /* other machines may use it at the same time */
        bool transient;    /* what the guest writes is thrown away */
        bool is_file;      /* not a block device, a volume or something on the network */
        bool is_disk;      /* device='disk': neither CD nor floppy, nor a whole SCSI device */
        bool is_lun;       /* device='lun': that whole SCSI device */
        bool mirror_ready; /* a block job can switch over to another image */
        bool is_special;   /* encrypted or a slice of its file: more than format and path tell */
} Disk;

typedef struct DiskSet {
        GPtrArray *disks; /* of Disk, in the order of the definition */
        char *nvram;      /* file with the variables of the firmware; NULL: none, or not said */
        char *tpm_state;  /* file of an emulated TPM's state; NULL: none, or not said */
        bool has_uefi;
        bool has_tpm; /* an emulated one, whose state is in files of the host */
} DiskSet;

/* FAILED if it is not the definition of a domain. */
DiskSet *disk_set_parse(const char *definition, GError **error);
void disk_set_free(DiskSet *set);

/* The disk with that target, NULL if there is none. Belongs to the set. */
Disk *disk_set_find(const DiskSet *set, const char *target);

/* True for a disk whose state is all in one file that only this machine writes, in a format that
 * can be the base of an overlay. */
bool disk_is_snapshottable(const Disk *disk);

/* The definition with other files for these disks (target -> path), all of them in "format". What
 * it told of their backing files goes, everything else stays. FAILED if there is no such disk,
 * NOT_SUPPORTED if it is not a file. */
char *domain_xml_with_sources(const char *definition,
                GHashTable *path_by_target,
                const char *format,
                GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskSet, disk_set_free)
