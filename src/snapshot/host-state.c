/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "snapshot/host-state.h"

#include "backend/saved-image.h"
#include "disk/image.h"
#include "snapshot/state-file.h"
#include "util/error.h"

static const char *const kinds[] = {"nvram", "tpm"};

static const char *file_of(const DiskSet *disks, unsigned kind) {
        const char *path = kind == 0 ? disks->nvram : disks->tpm_state;

        return path && g_file_test(path, G_FILE_TEST_EXISTS) ? path : NULL;
}

bool host_state_exists(const DiskSet *disks) {
        for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (file_of(disks, i))
                        return true;
        return false;
}

bool host_state_copy(virDomainPtr domain, const DiskSet *disks, const char *id, GError **error) {
        for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
                const char *from = file_of(disks, i);
                g_autofree char *to = saved_image_path_of_snapshot(domain, id, kinds[i]);

                if (!from)
                        continue;
                if (to) {
                        if (!state_file_copy(from, to, NULL, error))
                                return false;
                        continue;
                }
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "The files of this hypervisor are out of reach");
                return false;
        }
        return true;
}

bool host_state_restore(virDomainPtr domain, const DiskSet *disks, const char *id, GError **error) {
        for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
                const char *to = i == 0 ? disks->nvram : disks->tpm_state;
                g_autofree char *from = saved_image_path_of_snapshot(domain, id, kinds[i]);
                g_autoptr(GError) cause = NULL;

                if (!to || !from || state_file_copy(from, to, NULL, &cause) ||
                                g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_FILE_NOT_FOUND))
                        continue;
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        return true;
}

bool host_state_remove(virDomainPtr domain, const char *id, GError **error) {
        for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
                g_autofree char *path = saved_image_path_of_snapshot(domain, id, kinds[i]);

                if (path && !image_remove(path, error))
                        return false;
        }
        return true;
}
