/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A digest of what passes by. Any thread, one at a time. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LENGTH      64U /* of the text of SHA-256 */
#define DIGEST_SHA1_LENGTH 40U

typedef enum DigestAlgorithm {
        DIGEST_SHA256,
        DIGEST_SHA1, /* only to be compared with, in packages of others */
} DigestAlgorithm;

typedef struct Digest Digest;

Digest *digest_new(DigestAlgorithm algorithm);
void digest_add(Digest *digest, const void *data, size_t length);
void digest_add_zeros(Digest *digest, uint64_t length);

/* Hexadecimal, in small letters; the digest begins anew. */
char *digest_end(Digest *digest);
void digest_free(Digest *digest);

/* Whether it is the text of a SHA-256 of ours. */
bool digest_is_valid(const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Digest, digest_free)
