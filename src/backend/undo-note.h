/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is to be known of a machine's undo disks, and libvirt has no place for: kept in the
 * <metadata> of the machine's stored definition, so that it goes where the machine goes. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

#define UNDO_NOTE_NAMESPACE "https://virtask.org/undo/1"

/* Of an overlay that is to come in the place of another. */
#define UNDO_EMPTY_SUFFIX ".new"

/* VMUndoAction of Virtual PC: what becomes of the undo disks when the machine has gone off. */
typedef enum UndoAction {
        UNDO_ACTION_DISCARD,
        UNDO_ACTION_KEEP,
        UNDO_ACTION_COMMIT,
        UNDO_ACTION_COUNT
} UndoAction;

/* What has begun, and must come to its end before anything else: the disks belong together. */
typedef enum UndoStep {
        UNDO_STEP_NONE,
        UNDO_STEP_PREPARING, /* to discard: nothing is to be done but to tidy up */
        UNDO_STEP_DISCARDING,
        UNDO_STEP_MERGING,
        UNDO_STEP_COUNT
} UndoStep;

typedef struct UndoDisk {
        char *target; /* "vda" */
        char *overlay;
        char *base, *base_format;
        int64_t written; /* mtime of the overlay, in nanoseconds, when what is in it was settled */
} UndoDisk;

typedef struct UndoNote {
        char *machine; /* its UUID */
        bool undoable;
        UndoAction action;
        UndoStep step;
        GPtrArray *disks; /* of UndoDisk; without "undoable": overlays that are to be removed */
} UndoNote;

/* Without a note, or with that of another machine of which this one is a copy: not undoable,
 * UNDO_ACTION_KEEP, no disks. NULL and "error" if it can't be read.
 */
UndoNote *undo_note_read(virDomainPtr domain, GError **error);
UndoNote *undo_note_free(UndoNote *note);

void undo_note_add(UndoNote *note,
                const char *target,
                const char *overlay,
                const char *base,
                const char *base_format);

/* Writes it into the stored definition. */
bool undo_note_write(virDomainPtr domain, const UndoNote *note, GError **error);

/* The definition with the note in the place of the one that it may have. */
char *undo_note_into(const char *definition, const UndoNote *note, GError **error);

/* Has the machine, which is off, something to be done about its undo disks? That is so if it has
 * written to them since the last undo_note_settle(), or if a step was interrupted. Looks at the
 * overlays. */
bool undo_note_is_pending(const UndoNote *note);

/* The mtime in nanoseconds; 0: there is no such file, so nothing has been written. */
int64_t undo_note_last_write(const char *path);

/* What the overlays hold now is as it shall be. */
void undo_note_settle(UndoNote *note);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UndoNote, undo_note_free)
