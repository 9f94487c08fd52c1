/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Everything that the bus shows of a domain, read in one pass and then only passed around. Any
 * thread. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/guest-facts.h"
#include "backend/snapshot-facts.h"
#include "backend/undo-note.h"

typedef struct MachineFacts {
        gint64 read_at; /* when the reading began, g_get_monotonic_time() */
        char uuid[VIR_UUID_STRING_BUFLEN];
        char *name;
        char *notes;      /* NULL without */
        char *image_path; /* of the saved state, NULL when there is none or it is not on this host
                           */
        GPtrArray *snapshots; /* of SnapshotFacts, see there; never NULL. Copies share it. */
        GPtrArray *points;    /* the same of its reference points */
        GuestFacts guest;
        uint32_t memory_mib;
        uint8_t state;  /* virDomainState */
        uint8_t reason; /* of the state */
        bool active;
        bool has_image; /* libvirt has a managed save image */
        bool undoable;
        bool undo_pending; /* it has gone off, and something is to be done about its undo disks */
        UndoAction undo_action;
} MachineFacts;

/* Asks libvirt. NULL and "error" on failure, NO_SUCH_VIRTUAL_MACHINE when the domain is gone. May
 * block. */
MachineFacts *facts_read(virDomainPtr domain, GError **error);

MachineFacts *facts_copy(const MachineFacts *facts);
MachineFacts *facts_free(MachineFacts *facts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(MachineFacts, facts_free)
