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
        void (*copied)(uint64_t bytes, void *userdata); /* what was read, since the last call */
        void *userdata;
} OvaHooks;

/* Writing. */

/* Where the files of the disks come from. */
typedef struct OvaSource {
        /* Writes the file of the disk of this number into the target, from "offset" on, where the
         * target ends: how long it gets is how long the file is. */
        bool (*write)(int target, uint64_t offset, unsigned disk, void *userdata, GError **error);
        void *userdata;
} OvaSource;

/* Into an empty regular file, which can be read as well: "NAME.ovf", "NAME.mf" with a SHA-256 of
 * each, and the disks that have a file. Sets file_size of the disks. The target is on the disk
 * afterwards. "name" is one of a file, with at most 96 bytes. NAME_INVALID, DISK_FULL, FAILED,
 * CANCELLED, and the errors of the source. Blocks. */
bool ova_write(int target,
                const char *name,
                OvfMachine *machine,
                const OvaSource *source,
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
 * plain names only, all within the package. Disks that have a file have its size then, and the
 * capacity of the image that it is. INVALID_BUNDLE, NOT_SUPPORTED (ovf-reader.h). "fd" stays the
 * caller's and has to be a regular file. Blocks. */
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
