/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The manifest of a package (.mf): a line for each of its files, "SHA256(NAME)= DIGEST". */

#include <stdbool.h>

#include "util/digest.h"

typedef struct PackageDigest {
        DigestAlgorithm algorithm;
        char *text; /* in lower case */
} PackageDigest;

/* A line, with its end. All lines for names of the same length have the same length. */
char *package_digest_line(const char *name, const char *sha256);

/* By name, PackageDigest. INVALID_BUNDLE if a line is none, or a name is there twice. */
GHashTable *package_digests_parse(const char *text, GError **error);
