/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The chunk list of a sparse or large file: digests of the pieces that hold data. What no chunk
 * covers is zeros. docs/EXPORT-FORMAT.md has the format of its text. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/digest.h"

#define CHUNK_LENGTH  (UINT64_C(4) << 20)
#define CHUNK_GAP     (UINT64_C(64) << 10) /* shorter holes are part of a chunk */
#define SPARSE_LENGTH (UINT64_C(64) << 20) /* with holes of so many bytes a file is sparse */
#define LARGE_LENGTH  (UINT64_C(1) << 30)  /* more than one thread can hash beside a copy */
#define CHUNKS_MAX    500000U              /* of a file: 2 TB of data without a hole */

typedef struct Chunk {
        uint64_t offset, length;
        char sha256[DIGEST_LENGTH + 1];
} Chunk;

typedef struct ChunkList {
        uint64_t size;  /* of the file */
        GArray *chunks; /* of Chunk, by offset */
} ChunkList;

ChunkList *chunk_list_new(uint64_t size);

/* Behind those that are there. */
void chunk_list_add(ChunkList *list, uint64_t offset, uint64_t length, const char *sha256);

char *chunk_list_to_text(const ChunkList *list);

/* INVALID_BUNDLE if it is none: chunks in disorder, of another length, or beyond the end. */
ChunkList *chunk_list_parse(const char *text, GError **error);
void chunk_list_free(ChunkList *list);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChunkList, chunk_list_free)
