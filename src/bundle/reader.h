/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads a bundle that somebody made whom we do not trust: nothing outside of its directory is
 * looked at, and no link is followed. */

#include <glib.h>
#include <stdbool.h>

#include "bundle/file-copy.h"
#include "bundle/manifest.h"

typedef struct Bundle {
        int directory;
        Manifest *manifest;
        char *manifest_text;
} Bundle;

/* PATH_NOT_FOUND, ACCESS_DENIED; INVALID_BUNDLE if there is no manifest, or one that is not
 * right. */
Bundle *bundle_open(const char *path, GError **error);

/* The same with a manifest that somebody has checked, whatever lies in the directory by now. */
Bundle *bundle_open_as(const char *path, const char *manifest, GError **error);
void bundle_free(Bundle *bundle);

/* A regular file of the bundle, for reading; -1 and "error". */
int bundle_open_file(const Bundle *bundle, const char *name, GError **error);

/* The digest that the file was written with. INVALID_BUNDLE also if its chunk list is not right. */
bool bundle_expected(
                const Bundle *bundle, const ManifestFile *file, FileDigest *ret, GError **error);

/* How many bytes bundle_verify() reads: all that is no hole. INVALID_BUNDLE if a file is missing,
 * or is none, which is known before the others are read. */
bool bundle_measure(const Bundle *bundle, uint64_t *ret, GError **error);

/* A text of at most "limit" bytes, as it was written: its digest is compared. */
char *bundle_read_text(
                const Bundle *bundle, const ManifestFile *file, uint64_t limit, GError **error);

/* Whether SHA256SUMS names what the manifest names. */
bool bundle_check_sums(const Bundle *bundle, GError **error);

/* Whether each file is as it was written, and SHA256SUMS names what the manifest names. */
bool bundle_verify(const Bundle *bundle, const FileHooks *hooks, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bundle, bundle_free)
