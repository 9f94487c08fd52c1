/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Copies a file as the file it is, holes and all, and computes the digest of the copy meanwhile.
 * Blocks, and has threads of its own. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/chunks.h"

/* Each may be NULL. Called on the thread of the caller. */
typedef struct FileHooks {
        bool (*stop)(void *userdata);
        void (*copied)(uint64_t bytes, void *userdata); /* of data, since the last call */
        void *userdata;
} FileHooks;

/* One of the two is NULL. */
typedef struct FileDigest {
        uint64_t size;
        char *sha256;      /* of the whole file */
        ChunkList *chunks; /* of one that is sparse or large */
} FileDigest;

typedef struct FileCopy {
        int source;                 /* opened for reading; its position is lost */
        int target;                 /* empty, opened for both; -1: only the digest is wanted */
        const void *head;           /* instead of the first bytes of the source, which are data;
                                       NULL: as they are */
        size_t head_length;         /* at most 64 KiB */
        const FileDigest *expected; /* the source has to have it; NULL: nothing is expected */
        bool gentle;                /* most of the time is left to others */
        const FileHooks *hooks;     /* NULL: none */
} FileCopy;

/* The target has the size and the content of the source afterwards, and is on the disk. *ret (NULL:
 * not wanted) is the digest, with a chunk list if the file is sparse or large. INVALID_BUNDLE if
 * the source is not what is expected, FAILED if it gets shorter meanwhile or is no regular file,
 * DISK_FULL, FILE_TOO_LARGE, FILE_READ_ONLY, CANCELLED if hooks->stop() ended it. */
bool file_copy(const FileCopy *copy, FileDigest *ret, GError **error);
void file_digest_clear(FileDigest *digest);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FileDigest, file_digest_clear)
