/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What lies below a difference: the exports that it is counted from (BaseDirectories), the full one
 * first. They are read and verified like the one that is imported; only their images are taken, and
 * of these what a disk rests on. Worker, if nothing else is said. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "export/import-plan.h"
#include "export/import-settings.h"
#include "jobs/job.h"

#define IMPORT_BASES_MAX 64U

/* Whether they can be the bases of the request: the errors of path_check(), INVALID_ARGUMENT for
 * one that is there twice, LIMITS_EXCEEDED. Any thread. */
bool import_bases_check_paths(const ImportRequest *request, GError **error);

/* A Summary of each, without texts; none without bases. The errors are those of
 * bundle_child_read(), with the number of the base; LIMITS_EXCEEDED if there is too much. */
GPtrArray *import_bases_read(Job *job, const ImportRequest *request, GError **error);

/* Whether each is what the next one is counted from, and the last of them what "difference" is:
 * INVALID_ARGUMENT, and the text names both by their numbers. True without bases. */
bool import_bases_check(const GPtrArray *bases, const Summary *difference, GError **error);

/* Adds to the plan the images that its disks rest on; "bases" has to stay. INVALID_ARGUMENT for a
 * disk that is not there, NOT_SUPPORTED for one that was not copied, INVALID_BUNDLE,
 * LIMITS_EXCEEDED for a chain that is too long. */
bool import_bases_add(ImportPlan *plan, const GPtrArray *bases, GError **error);

/* The bytes of data in all of them, "bases" may be NULL. Any thread. */
uint64_t import_bases_data(const GPtrArray *bases);

/* The manifest that a file of the plan is in. */
const Manifest *import_bases_manifest(const ImportPlan *plan, const ImportFile *file);

/* Copies the files of the plan, those of the bases first. The errors are those of
 * bundle_child_extract(), with the number of the base. */
bool import_bases_extract(
                Job *job, const ImportRequest *request, const ImportPlan *plan, GError **error);

/* What the plan calls the file that an image rests on, which is *backing ("" for none) in the
 * bundle of that image, with the format that its header says. INVALID_BUNDLE if the plan has
 * another opinion. */
bool import_bases_resolve(ImportPlan *plan,
                const char *image,
                const char *format,
                char **backing,
                GError **error);

/* Writes into each image that rests on a base which file that is, and its format; synced. The
 * images have been checked, and nobody else can write to them. INVALID_BUNDLE, FAILED. */
bool import_bases_join(const ImportPlan *plan, GError **error);
