/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An OVF package in one file: a tar archive of the descriptor, its digests, and the disks. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "ovf/ovf-machine.h"

/* Each may be NULL. Called on the thread of the caller. */
typedef struct OvaHooks {
        bool (*stop)(void *userdata);
        void (*copied)(uint64_t bytes, void *userdata); /* of disks, since the last call */
        void *userdata;
} OvaHooks;

/* Writing. A disk of the machine that has a file has it under the same number here. */

/* Into an empty regular file: "NAME.ovf", "NAME.mf" with a SHA-256 of each, and the disks, whose
 * files are read from these descriptors; a disk without a file has -1. Sets file_size of the disks.
 * The target is on the disk afterwards. "name" is one of a file, with at most 96 bytes.
 * NAME_INVALID, DISK_FULL, FAILED, CANCELLED. Blocks. */
bool ova_write(int target,
                const char *name,
                OvfMachine *machine,
                const int *descriptors,
                const OvaHooks *hooks,
                GError **error);

/* Reading. */

typedef struct OvaFile {
        char *name;
        uint64_t offset, size; /* of its content in the package */
} OvaFile;

typedef struct Ova {
        int fd;           /* not ours */
        GPtrArray *files; /* of OvaFile, in their order */
        OvfMachine *machine;
        char *descriptor;    /* the name of its file */
        GHashTable *digests; /* by name, PackageDigest; NULL: it has none */
} Ova;

/* Reads everything but the disks of a package that somebody made whom we do not trust. Each file
 * that the descriptor names is there, and has the size that it says; there are regular files with
 * plain names only, all within the package. INVALID_BUNDLE, NOT_SUPPORTED (ovf-reader.h). "fd"
 * stays the caller's and has to be a regular file. Blocks. */
Ova *ova_open(int fd, GError **error);
void ova_free(Ova *ova);

/* NULL if there is none of that name. Belongs to the package. */
const OvaFile *ova_find(const Ova *ova, const char *name);

/* How many bytes ova_verify() reads if there is a manifest. */
uint64_t ova_measure(const Ova *ova);

/* Whether each file that the descriptor names, and itself, is what the manifest says; also true
 * without a manifest. INVALID_BUNDLE, CANCELLED. Blocks. */
bool ova_verify(const Ova *ova, const OvaHooks *hooks, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ova, ova_free)
