/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Undo disks: one overlay per disk that holds everything the machine has written since, so that it
 * can be thrown away or merged (IVMVirtualMachine::Undoable). The machine is off, or (for merging)
 * saved, and held by the job. Worker. */

#include <libvirt/libvirt.h>

#include "jobs/job.h"

/* Gives each disk that the machine writes to an overlay. NOT_SUPPORTED if there is one that can't
 * have any. */
bool undo_disks_begin(virDomainPtr domain, GError **error);

/* The disks are what they were without the overlays, which go with what is in them. */
bool undo_disks_end(virDomainPtr domain, GError **error);

/* The overlays are empty again. */
bool undo_disks_discard(virDomainPtr domain, GError **error);

/* What the overlays hold goes into the disks below. Can be cancelled until the first byte is
 * written; FILE_READ_ONLY, PARENT_IN_USE. */
bool undo_disks_merge(Job *job, virDomainPtr domain, GError **error);

/* Whether a merge was interrupted. The machine has the same content as ever, but it can't be
 * discarded any more. -1 and "error" if that can't be known. */
int undo_disks_are_merging(virDomainPtr domain, GError **error);

/* What is due when the machine has gone off, see undo_note_is_pending(): apply() does everything,
 * finish() only what takes a moment, so a merge is left. What can't be merged is kept. */
bool undo_disks_apply(Job *job, virDomainPtr domain, GError **error);
bool undo_disks_finish(virDomainPtr domain, GError **error);
