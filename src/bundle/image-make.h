/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images of a bundle or of a package that are no copies, made by qemu-img as this process' user. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ImageMakeHooks {
        bool (*stop)(void *userdata);
        void (*percent)(double percent, void *userdata);
        void *userdata;
} ImageMakeHooks;

/* Runs qemu-img, which tells how far it is; it has the descriptors as 3, 4, … */
bool image_make_run(const char *const *arguments,
                const int *descriptors,
                unsigned n,
                const ImageMakeHooks *hooks,
                GError **error);

/* A qcow2 image of "size" bytes in the empty file "target" that shows what is in "backing", which
 * is named and not opened. Synced. DISK_FULL, BACKEND. */
bool image_make_overlay(
                int target, const char *backing, const char *format, uint64_t size, GError **error);

/* A qcow2 image in the empty file "target" of what an NBD server shows under the name "export";
 * "connection" is a socket. Synced. DISK_FULL, BACKEND; CANCELLED if stop() says so. */
bool image_make_copy(int target,
                int connection,
                const char *export,
                const ImageMakeHooks *hooks,
                GError **error);

/* The same as a streamOptimized VMDK of "size" bytes of capacity, from "offset" of the target on,
 * where it ends. Not synced. */
bool image_make_vmdk(int target,
                uint64_t offset,
                uint64_t size,
                int connection,
                const char *export,
                const ImageMakeHooks *hooks,
                GError **error);

/* Fills what an NBD server shows under the name "export", and what is empty, with the VMDK that
 * lies at "offset" of the file "package" and has "length" bytes, whoever writes to that file
 * meanwhile: "head" is what vmdk_read_head() has accepted, and what QEMU takes for its beginning.
 * DISK_FULL; INVALID_BUNDLE for an image that QEMU can not read; CANCELLED. */
bool image_make_from_vmdk(int connection,
                const char *export,
                GBytes *head,
                int package,
                uint64_t offset,
                uint64_t length,
                const ImageMakeHooks *hooks,
                GError **error);

/* The content of a chain of images (of ImageFacts) as an image of that format, with the options of
 * "qemu-img convert -o" (NULL: none), in the empty file "target". What is opened are the files that
 * the facts are of, with the rights of this process, and nothing that a header names. Not synced.
 * FILE_IN_USE if somebody writes to one; DISK_FULL, FILE_TOO_LARGE, BACKEND, CANCELLED. */
bool image_make_converted(int target,
                const char *format,
                const char *options,
                const GPtrArray *chain,
                const char *const *beneath,
                const ImageMakeHooks *hooks,
                GError **error);

/* An empty qcow2 image of "size" bytes in the empty file "target". Synced. DISK_FULL, BACKEND. */
bool image_make_empty(int target, uint64_t size, GError **error);
