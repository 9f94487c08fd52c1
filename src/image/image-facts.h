/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the bus shows of an image: read from its header and its file by ourselves, never by a
 * program that would open what the header names. Any thread, may block. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "image/image-format.h"

#define IMAGE_CHAIN_MAX 64U

/* The name that a new image has until it is whole is this and an ID. */
#define IMAGE_PARTIAL ".virtask-partial-"

typedef struct ImageFacts {
        char *path;   /* absolute, without links */
        char *format; /* as libvirt calls it, also one that we do not read */
        char *parent; /* the file that it rests on, the same way; NULL: none */
        char *parent_format;
        ImageType type;
        uint64_t virtual_size; /* 0: not known */
        uint64_t host_size;    /* allocated bytes */
        uint64_t host_free;    /* for everybody, on its file system */
        /* Which file it is, and whether it was changed: see decision 12 of the design. */
        uint64_t device, inode, size;
        int64_t mtime; /* nanoseconds */
        /* Everybody may know where it is, and it was the service that has looked. This does not
         * come from another process. */
        bool is_public;
} ImageFacts;

/* Opens a regular file for reading, with the rights of this process, and tells its path without
 * links. With "beneath" (NULL: anywhere) the path has none, and lies below one of these
 * directories: links are refused then. FILE_NOT_FOUND, PATH_NOT_FOUND, ACCESS_DENIED,
 * NOT_SUPPORTED for what is no regular file. -1 and "error". */
int image_open(const char *path,
                const char *const *beneath,
                char **ret_path,
                struct stat *ret,
                GError **error);

/* Of one image; "format" NULL: what its name says, and then its content must agree (NOT_SUPPORTED
 * if the name says nothing and the content something). INVALID_DISK_IMAGE, NOT_SUPPORTED for what
 * qcow2_header_read() refuses, and what image_open() says. */
ImageFacts *image_facts_read(
                const char *path, const char *format, const char *const *beneath, GError **error);

/* The image and all that it rests on, the root last: of ImageFacts. It ends early at a parent that
 * can not be read or that is not beneath, and at the first that is there twice; *ret_problem
 * (NULL: not wanted) says why. NULL and "error" only if the image itself can't be read. */
GPtrArray *image_facts_read_chain(const char *path,
                const char *format,
                const char *const *beneath,
                GError **ret_problem,
                GError **error);

/* What is known of an image that can not be read. */
ImageFacts *image_facts_of_unreadable(const char *path, const char *format);

ImageFacts *image_facts_copy(const ImageFacts *facts);
void image_facts_free(ImageFacts *facts);

/* A chain between processes: whatever the bytes are, to read them is safe. NULL and FAILED if they
 * are none. */
GBytes *image_facts_to_bytes(const GPtrArray *chain);
GPtrArray *image_facts_from_bytes(GBytes *bytes, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageFacts, image_facts_free)
