/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Disk images on this host: what their headers say, and what qemu-img does with them. Formats are
 * told by the caller or by a header and never guessed: the content of a raw image belongs to a
 * guest, which could write the header of any other format into it.
 *
 * Paths are absolute (INVALID_ARGUMENT else). Formats are "raw" and "qcow2". All functions may
 * block, take no lock of QEMU's themselves, and may be called on any thread that lasts (see
 * util/child.h). Errors: FILE_NOT_FOUND, FILE_IN_USE (QEMU holds a lock), DISK_FULL, NOT_SUPPORTED
 * (a feature or a kind of file that we refuse), BACKEND (qemu-img's word), FAILED. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ImageInfo {
        char *path; /* as it was given, or as it follows from the image above */
        char *format;
        char *backing;        /* absolute path, NULL: none */
        char *backing_format; /* NULL: none, or the header does not say */
        uint64_t virtual_size;
        uint64_t actual_size; /* allocated bytes */
        bool encrypted;
} ImageInfo;

/* While qemu-img works; as ChildHooks. Each may be NULL. */
typedef struct ImageHooks {
        void (*percent)(double percent, void *userdata);
        bool (*stop)(void *userdata);
        void *userdata;
} ImageHooks;

/* Reads the header, also of an image that QEMU has open. Refused are external data files, features
 * that we do not know, and backing files that are no plain files ("json:", "nbd:"). */
ImageInfo *image_info_read(const char *path, const char *format, GError **error);
void image_info_free(ImageInfo *info);

/* The image and all that it rests on, the root last: ImageInfo, at most 256. A backing file without
 * a format in the header of the image above is refused. */
GPtrArray *image_chain_read(const char *path, const char *format, GError **error);

/* The same as far as it can be read; *ret_problem (NULL: none) is why it ends early. */
GPtrArray *image_chain_read_part(const char *path, const char *format, GError **ret_problem);

/* Makes a new qcow2 image on top of the base, with the base's owner, group and mode as far as we
 * may, and synced. A file that exists is not touched; a failure leaves none. That a machine uses
 * the base is no obstacle for QEMU, so it is the caller who has to know. */
bool image_create_overlay(
                const char *path, const char *base, const char *base_format, GError **error);

/* The same, and a file that has the name is replaced: whoever is interrupted finds the old one or
 * the new one. */
bool image_replace_overlay(
                const char *path, const char *base, const char *base_format, GError **error);

/* Writes what the image and those between hold into "base", an image of its chain. The image itself
 * stays as it is and shows the same content at any time, so stopping half-way is harmless; other
 * images on top of the base are not. The base is synced. CANCELLED if hooks->stop() ended it. */
bool image_commit(const char *path,
                const char *format,
                const char *base,
                const ImageHooks *hooks,
                GError **error);

/* Changes the backing file that the header names (NULL: to none) and nothing else; for a caller who
 * knows that the content stays the same. Synced. */
bool image_rebase_unsafe(const char *path,
                const char *format,
                const char *new_backing,
                const char *new_backing_format,
                GError **error);

/* An error if the structure of the image has damage or leaks. Raw images have none. */
bool image_check(const char *path, const char *format, GError **error);

/* Removes the file for good, synced; one that is missing is no error. */
bool image_remove(const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageInfo, image_info_free)
