/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What becomes of a bundle: definitions of this host and the files that they need. It is made of
 * what a process of the caller has read, and so of nothing that can be trusted. Worker. */

#include <glib.h>
#include <stdbool.h>

#include "backend/layout.h"
#include "bundle/summary.h"
#include "export/definition-import.h"
#include "export/import-files.h"
#include "export/import-settings.h"

#define IMPORT_DISK_MAX (UINT64_C(16) << 40) /* bytes that a guest sees */

typedef struct ImportSnapshot {
        char *id;
        char *definition;      /* as libvirt takes it back */
        char *memory;          /* file of the bundle; NULL: none */
        GHashTable *by_target; /* images of its disks */
} ImportSnapshot;

/* A disk of the machine and what it rests on. */
typedef struct ImportDisk {
        char *target;
        uint64_t size;     /* that the guest sees */
        GPtrArray *images; /* names in the bundle, the top first */
        bool differs;      /* the last of them rests on this disk of the base */
        char *below;       /* what the plan calls that image; NULL: none, or not known yet */
} ImportDisk;

typedef struct ImportPlan {
        const Summary *summary; /* NULL: it was a package */
        uint64_t data;          /* bytes that there has to be room for */
        char *name, *uuid;
        char *directory; /* where its images will be */
        char *definition;
        char *variables; /* file of the firmware's; NULL: out of reach */
        char *current;   /* id of a snapshot; NULL: none */
        char *saved;     /* file of the bundle; NULL: none */
        GPtrArray *disks;
        GPtrArray *snapshots;
        GHashTable *by_target; /* images of the disks: target -> name */
        DefinitionImport import;
        ImportFiles *files;
        const ImportPlace *place; /* of the images */

        /* What lies below a difference (export/import-bases.h) */
        const GPtrArray *bases; /* of Summary, the full export first; NULL: none */
        GPtrArray *lower_disks; /* of ImportDisk: of the disks in the bases */
        GHashTable *joints;     /* image -> the image of a base that it rests on */
} ImportPlan;

/* The images will be in a directory in "storage". "summary" has to stay. INVALID_BUNDLE, the errors
 * of name_check(), NOT_SUPPORTED where libvirt's directories are out of reach and there are files
 * for them. */
ImportPlan *import_plan_new(const Summary *summary,
                const ImportRequest *request,
                const Layout *layout,
                const char *storage,
                GError **error);

/* One with nothing in it, and the directory for its images, which is named like the machine. */
ImportPlan *import_plan_empty(void);
ImportPlace *import_plan_choose_directory(ImportPlan *plan, const char *storage);
void import_plan_free(ImportPlan *plan);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportPlan, import_plan_free)

/* A disk as a manifest describes it, and the format of its first image. INVALID_BUNDLE,
 * NOT_SUPPORTED for one that is not in the bundle. */
ImportDisk *import_disk_read(JsonNode *node, const char **ret_format, GError **error);

/* Whether the files, which are copied, are as large as the manifest says, or as an image of such a
 * disk can be: whoever copied may have written more. INVALID_BUNDLE. */
bool import_plan_check_sizes(const ImportPlan *plan, GError **error);

/* Whether the images, which are copied, are what the manifest says, and rest on nothing but each
 * other. INVALID_BUNDLE. */
bool import_plan_check_images(ImportPlan *plan, GError **error);

/* Whether there are saved states. */
bool import_plan_has_states(const ImportPlan *plan);

/* Gives the saved states, which are copied, the definitions that the machine gets; synced.
 * "firmwares" are the paths of what the hypervisor offers. INVALID_BUNDLE,
 * INCOMPATIBLE_SAVED_STATE. */
bool import_plan_convert_states(ImportPlan *plan, GHashTable *firmwares, GError **error);
