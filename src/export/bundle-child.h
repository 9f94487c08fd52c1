/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* virtask-bundle, as the caller of a job: whatever a caller has named is used by a process that has
 * the caller's rights and no others. Worker. */

#include <glib.h>
#include <stdbool.h>

#include "bundle/summary.h"
#include "export/import-files.h"
#include "export/plan.h"
#include "jobs/job.h"
#include "ovf/ovf-machine.h"

/* Writes the bundle or the package; the job's progress and status are those of the child. *ret_path
 * is where it is. The errors are those of bundle_write() and package_write(); CANCELLED with the
 * job. */
bool bundle_child_write(Job *job, const ExportPlan *plan, char **ret_path, GError **error);

/* Whether it has become whole, although whoever wrote it is no more; *ret_path is where it is. */
bool bundle_child_find(Job *job, const BundlePlace *place, char **ret_path);

/* Removes what there is of it, whole or not; nothing else that has its name. A missing directory is
 * no error. */
bool bundle_child_remove(Job *job, const BundlePlace *place, GError **error);

/* What is in the bundle, said by a process of the caller: nothing of it can be trusted but its
 * form. The errors are those of summary_make(). */
Summary *bundle_child_read(Job *job, const char *directory, GError **error);

/* The same of a package; *ret_description is what bundle_child_convert() wants. The errors are
 * those of package_describe(). */
OvfMachine *bundle_child_read_package(
                Job *job, const char *path, char **ret_description, GError **error);

/* A connection that takes a disk of the package, and the name that the disk has there. */
typedef struct DiskTarget {
        int connection; /* -1: it is not copied */
        const char *export;
} DiskTarget;

/* Copies the disks of the package, which is verified, to these (of DiskTarget, in the same order);
 * NULL: it is only verified. The errors are those of package_convert(). */
bool bundle_child_convert(Job *job,
                const char *path,
                const char *description,
                const GArray *targets,
                GError **error);

/* One of the bundles that files are copied from. */
typedef struct BundleSource {
        const char *directory;
        const Summary *summary;
        unsigned number;        /* ImportFile.base of its files */
        uint64_t before, after; /* bytes of data of those that are copied before it, and after it */
} BundleSource;

/* Copies files of the bundle, which have to be what the manifest of the summary says; the other
 * files of it are compared. The errors are those of bundle_extract(). */
bool bundle_child_extract(
                Job *job, const BundleSource *source, const ImportFiles *files, GError **error);
