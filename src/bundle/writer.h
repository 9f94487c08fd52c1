/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes a bundle after a plan: what the service knows of the machine, in JSON. Members:
 *
 *     directory, name       where the bundle is to be, and what it is called
 *     partial               its name until it is whole
 *     replace_empty         true: an empty directory of that name is no obstacle
 *     here                  a word that stands for the path of the bundle in all texts
 *     texts                 {file: text}
 *     gentle                true: most of the time of the disk is left to others
 *     images                what is no text, each of these:
 *         file, descriptor, backing        a copy of what a descriptor shows that was inherited;
 *                                          what it is to call its backing file, or null
 *         file, descriptor, export, size   what an NBD server shows on that connection, and a
 *                                          guess how much it is
 *         file, overlay, format, size      an overlay on the path "overlay"
 *     manifest              {…}, to which the files are added
 *
 * A plan comes from the service and is trusted; what it leads to is not. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#define MANIFEST_FILE "manifest.json"
#define SUMS_FILE     "SHA256SUMS"
#define CHUNKS_SUFFIX ".chunks"

/* None may be NULL. */
typedef struct WriterHooks {
        bool (*stop)(void *userdata);
        void (*total)(uint64_t bytes, void *userdata); /* of data to copy; before anything is */
        void (*file)(const char *name, void *userdata);
        void (*done)(uint64_t bytes, void *userdata); /* in all */
        void *userdata;
} WriterHooks;

/* *ret_path is where the bundle is. A failure leaves nothing. DISK_FULL also if there is not enough
 * room before anything is written; the errors of place.h and file-copy.h. */
bool bundle_write(JsonObject *plan, const WriterHooks *hooks, char **ret_path, GError **error);
