/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Single images, made and looked at with the rights of this process. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "bundle/writer.h"

/* What a plan says of whichever image it is about:
 *
 *     path      absolute
 *     format    as in image/image-format.h; may be missing where an image is looked at
 *     beneath   directories (without links) that the image, and what it rests on, has to be in;
 *               missing: anywhere
 */

/* Makes a new image, and the directories that it is to be in; nothing that is there is replaced.
 * The plan also has
 *
 *     partial   a name that begins with IMAGE_PARTIAL: beside the image until it is whole,
 *               and from then on a note of it
 *     size      in bytes
 *     fixed     all of it has its place on the disk
 *     source    absolute: what the guest of that image sees is copied, and "size" is its; with
 *               "source_format" (may be missing) and "merges": it has to rest on another one
 *     parent    absolute: it rests on that one, and has its size; with "parent_format" (may be
 *               missing) and "backing", the name that it is given in the header
 *
 * The image survives a power cut, or there is nothing. Gives its chain, as
 * image_facts_read_chain(). PATH_NOT_FOUND, FILE_EXISTS, NAME_INVALID, PATH_TOO_LONG,
 * ACCESS_DENIED, DISK_FULL, FILE_TOO_LARGE; PARENT_NOT_FOUND, WRONG_DISK_TYPE, INVALID_DISK_IMAGE
 * of the parent; CANCELLED. */
GPtrArray *image_create(JsonObject *plan, const WriterHooks *hooks, GError **error);

/* Its chain, as far as it can be read. With "partial": only if that is what it was called before it
 * was whole, else FILE_NOT_FOUND. The other errors are those of image_facts_read(). */
GPtrArray *image_look_at(JsonObject *plan, GError **error);

/* Removes what image_create() has left unfinished; a missing one is no error. */
bool image_remove_partial(JsonObject *plan, GError **error);
