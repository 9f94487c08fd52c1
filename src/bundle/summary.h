/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service has to know of a bundle before it copies anything: the manifest, the texts that
 * the manifest calls definitions, and how much data each file has. It is made by a process that has
 * become the caller, so the service does not believe a word of it. */

#include <glib.h>
#include <stdbool.h>

#include "bundle/manifest.h"

#define SUMMARY_TEXT_MAX (UINT64_C(1) << 20)  /* of one definition */
#define SUMMARY_MAX      (UINT64_C(64) << 20) /* of all of it */

typedef struct Summary {
        char *manifest_text;
        Manifest *manifest;
        GHashTable *texts; /* name of a file -> its text */
        uint64_t data;     /* bytes of data in the files that are no definitions */
} Summary;

/* A summary of the bundle in "directory". Each file is opened, and has to have the size
 * that the manifest says; definitions have their digests, and SHA256SUMS agrees. INVALID_BUNDLE,
 * PATH_NOT_FOUND, ACCESS_DENIED, FILE_IN_USE for an image that QEMU writes to. */
GBytes *summary_make(const char *directory, GError **error);

/* INVALID_BUNDLE if it is none. */
Summary *summary_parse(GBytes *bytes, GError **error);
void summary_free(Summary *summary);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Summary, summary_free)
