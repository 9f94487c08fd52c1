/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt writes the memory of a snapshot into a file that it tells. Of a saved machine it is a
 * copy of the saved state, which libvirt does not know of. */

#include "snapshot/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "backend/snapshot-metadata.h"
#include "util/error.h"

#define TYPE_FULL 2

/* Whatever libvirt has no other word for. */
static bool fail(GError **error, virDomainPtr domain, const char *what) {
        GError *cause = NULL;

        backend_error_set(&cause, "Failed to %s the memory of the snapshot of '%s'", what,
                        virDomainGetName(domain));
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND))
                cause->code = VIRTASK_ERROR_INCOMPATIBLE_SAVED_STATE;
        g_propagate_error(error, cause);
        return false;
}

/* "path" is taken; *ret is it, or NULL if there is no such file. A file that can't be looked for
 * must not be taken for one that is not there: the guest would be given up for nothing. */
static bool look(char *path, char **ret, GError **error) {
        g_autofree char *own = path;

        if (access(own, F_OK) == 0) {
                *ret = g_steal_pointer(&own);
                return true;
        }
        if (errno == ENOENT || errno == ENOTDIR) {
                *ret = NULL;
                return true;
        }
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                        "Failed to look for the memory '%s': %s", own, g_strerror(errno));
        return false;
}

static bool find_copy(virDomainPtr domain, const char *id, char **ret, GError **error) {
        g_autoptr(GPtrArray) notes = snapshot_metadata_read(domain, error);
        const SnapshotMetadata *note = notes ? snapshot_metadata_find(notes, id) : NULL;
        char *path;

        *ret = NULL;
        if (!notes)
                return false;
        if (!note || note->type != TYPE_FULL)
                return true;
        path = saved_image_path_of_snapshot(domain, id, "memory");
        if (path)
                return look(path, ret, error);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                        "The memory of the snapshot '%s' is out of reach", id);
        return false;
}

/* *ret is NULL without one. */
static bool
find(virDomainPtr domain, const SnapshotDefinition *snapshot, char **ret, GError **error) {
        *ret = NULL;
        if (snapshot->memory_file && !look(g_strdup(snapshot->memory_file), ret, error))
                return false;
        return *ret || find_copy(domain, snapshot->id, ret, error);
}

/* The definition in the memory, with the new overlays. */
static char *definition_of(virDomainPtr domain,
                const char *memory,
                const SnapshotTree *tree,
                GHashTable *overlays,
                GError **error) {
        char *text = virDomainSaveImageGetXMLDesc(
                        virDomainGetConnect(domain), memory, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
        char *fitting;

        if (!text) {
                fail(error, domain, "read");
                return NULL;
        }
        fitting = domain_xml_with_sources(text, overlays, "qcow2", error);
        free(text);
        return definition_with_other_disks(fitting, tree->disks, overlays);
}

/* libvirt lets no memory come back under another name. */
bool snapshot_memory_check(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                bool *ret_exists,
                GError **error) {
        g_autofree char *memory = NULL, *text = NULL;

        if (!find(domain, snapshot, &memory, error))
                return false;
        *ret_exists = memory;
        if (!memory)
                return true;
        text = definition_of(domain, memory, tree, overlays, error);
        if (!text || definition_has_name(text, virDomainGetName(domain)))
                return text;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INCOMPATIBLE_SAVED_STATE,
                        "The memory is of a time when '%s' had another name; rename it back, or "
                        "clear the state of the snapshot",
                        virDomainGetName(domain));
        return false;
}

bool snapshot_memory_restore(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                bool *ret_ran,
                GError **error) {
        g_autofree char *memory = NULL, *text = NULL;
        bool ran = false;

        if (!find(domain, snapshot, &memory, error))
                return false;
        if (memory) {
                text = definition_of(domain, memory, tree, overlays, error);
                if (!text)
                        return false;
                if (saved_image_inspect(memory, &ran) != SAVED_IMAGE_WHOLE)
                        ran = g_str_equal(snapshot->state, "running");
                if (virDomainRestoreFlags(virDomainGetConnect(domain), memory, text,
                                    VIR_DOMAIN_SAVE_PAUSED) < 0)
                        return fail(error, domain, "restore");
        }
        *ret_ran = ran;
        return true;
}
