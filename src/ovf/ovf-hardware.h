/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The hardware in a descriptor, for ovf-reader.c. */

#include <libxml/tree.h>

#include "ovf/ovf-machine.h"

/* What the sections before it say, by the names that hardware has for it. */
typedef struct OvfPackage {
        GHashTable *files;    /* id -> OvfPackageFile */
        GHashTable *disks;    /* diskId -> OvfPackageDisk */
        GHashTable *networks; /* a set of names */
} OvfPackage;

typedef struct OvfPackageFile {
        char *name;
        uint64_t size;
} OvfPackageFile;

typedef struct OvfPackageDisk {
        const OvfPackageFile *file; /* NULL: a new, empty one */
        uint64_t capacity;
        bool used;
} OvfPackageDisk;

/* INVALID_BUNDLE, NOT_SUPPORTED. */
bool ovf_hardware_read(const xmlNode *section,
                const OvfPackage *package,
                OvfMachine *machine,
                GError **error);
