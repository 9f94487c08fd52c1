/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The digests that packages have: SHA-256, and SHA-1 in older ones. */

#include <glib.h>
#include <stddef.h>

typedef enum OvfAlgorithm { OVF_SHA1, OVF_SHA256 } OvfAlgorithm;

#define OVF_SHA1_LENGTH   40U /* of the text */
#define OVF_SHA256_LENGTH 64U

typedef struct OvfDigest OvfDigest;

OvfDigest *ovf_digest_new(OvfAlgorithm algorithm);
void ovf_digest_add(OvfDigest *digest, const void *data, size_t length);
char *ovf_digest_end(OvfDigest *digest); /* in lower case; nothing can be added any more */
void ovf_digest_free(OvfDigest *digest);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(OvfDigest, ovf_digest_free)
