/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads a domain. None of the questions waits for a job of the domain (libvirt answers them from
 * memory), so this works while a save runs. Any thread; never the loop, because the connection
 * itself may hang. */

#include "backend/facts.h"

#include "backend/backend-error.h"
#include "backend/saved-image.h"

/* The notes are optional: a domain without a description is no error. */
static char *read_notes(virDomainPtr domain) {
        char *text = virDomainGetMetadata(
                        domain, VIR_DOMAIN_METADATA_DESCRIPTION, NULL, VIR_DOMAIN_AFFECT_CURRENT);
        char *valid = NULL;

        if (text && *text)
                valid = g_utf8_make_valid(text, -1);
        free(text);
        return valid;
}

static bool read_undo(virDomainPtr domain, MachineFacts *facts, GError **error) {
        g_autoptr(UndoNote) note = undo_note_read(domain, error);

        if (!note)
                return false;
        facts->undoable = note->undoable;
        facts->undo_action = note->action;
        facts->undo_pending = !facts->active && !facts->has_image && undo_note_is_pending(note);
        return true;
}

MachineFacts *facts_read(virDomainPtr domain, GError **error) {
        g_autoptr(MachineFacts) facts = g_new0(MachineFacts, 1);
        virDomainInfo info;
        int state, reason, active, has_image;

        facts->read_at = g_get_monotonic_time();
        active = virDomainIsActive(domain);
        has_image = saved_image_exists(domain);
        if (active < 0 || virDomainGetUUIDString(domain, facts->uuid) < 0 ||
                        virDomainGetState(domain, &state, &reason, 0) < 0 ||
                        virDomainGetInfo(domain, &info) < 0) {
                backend_error_set(error, "Failed to read the virtual machine '%s'",
                                virDomainGetName(domain));
                return NULL;
        }

        facts->name = g_utf8_make_valid(virDomainGetName(domain), -1);
        facts->notes = read_notes(domain);
        facts->memory_mib = (uint32_t) (info.maxMem / 1024);
        facts->state = (uint8_t) state;
        facts->reason = (uint8_t) reason;
        facts->active = active > 0;
        facts->has_image = has_image > 0; /* a driver without managed save has none */
        facts->guest = guest_facts_read(domain);
        if (facts->has_image)
                facts->image_path = saved_image_path(domain);
        if (!read_undo(domain, facts, error) ||
                        !snapshot_facts_read(domain, &facts->snapshots, &facts->points, error))
                return NULL;
        return g_steal_pointer(&facts);
}

MachineFacts *facts_copy(const MachineFacts *facts) {
        MachineFacts *copy = g_memdup2(facts, sizeof(*facts));

        copy->name = g_strdup(facts->name);
        copy->notes = g_strdup(facts->notes);
        copy->image_path = g_strdup(facts->image_path);
        copy->snapshots = facts->snapshots ? g_ptr_array_ref(facts->snapshots)
                                           : snapshot_facts_none();
        copy->points = facts->points ? g_ptr_array_ref(facts->points) : snapshot_facts_none();
        return copy;
}

MachineFacts *facts_free(MachineFacts *facts) {
        if (!facts)
                return NULL;
        g_free(facts->name);
        g_free(facts->notes);
        g_free(facts->image_path);
        g_clear_pointer(&facts->snapshots, g_ptr_array_unref);
        g_clear_pointer(&facts->points, g_ptr_array_unref);
        g_free(facts);
        return NULL;
}
