/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What has to be known of a machine's images and no header tells; kept in the machine's definition,
 * where whoever comes later finds it. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "snapshot/definition.h"

#define IMAGE_NOTES_NAMESPACE "https://virtask.org/images/1"

typedef enum ImageNote {
        IMAGE_HIDDEN, /* no disk and no snapshot shows it any more: it is to be merged or removed */
        IMAGE_MADE,   /* an overlay that a snapshot made; everything else is somebody's own file and
                         is never removed */
        IMAGE_NOTE_COUNT
} ImageNote;

/* The paths with this note; empty without any, NULL if they can not be read. */
GHashTable *image_notes_read(virDomainPtr domain, ImageNote note, GError **error);

/* Of the overlays of a snapshot those that were made with it (a set, borrowed): whoever took it may
 * have told libvirt to go on with files of his. An image that is older than the snapshot is one of
 * these, and so is one whose age can't be known. */
GHashTable *image_notes_made_with(const SnapshotDefinition *snapshot);

/* Adds the note to all paths of the set. */
bool image_notes_add(virDomainPtr domain, ImageNote note, GHashTable *paths, GError **error);

/* Removes the note from one path. */
bool image_notes_drop(virDomainPtr domain, ImageNote note, const char *path, GError **error);
