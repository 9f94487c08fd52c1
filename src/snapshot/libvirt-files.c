/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "snapshot/libvirt-files.h"

#include <string.h>

#include "backend/layout.h"
#include "backend/saved-image.h"
#include "disk/image-file.h"
#include "disk/image.h"
#include "snapshot/tree.h"
#include "util/error.h"

#define UNFINISHED ".xml.new" /* libvirt's virFileRewrite() */

/* That there is none is no error: the machine has no snapshots. */
static bool sync_directory(const char *directory, GError **error) {
        g_autofree char *inside = g_build_filename(directory, ".", NULL);
        g_autoptr(GError) cause = NULL;

        if (image_file_sync_directory(inside, &cause) ||
                        g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_FILE_NOT_FOUND))
                return true;
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
}

bool libvirt_files_sync(virDomainPtr domain, GError **error) {
        g_auto(Layout) layout = {0};
        g_autofree char *own = NULL, *saved = saved_image_path(domain);

        layout_of_domain(domain, &layout);
        if (!layout.definitions)
                return true;
        if (saved && !image_file_sync(saved, error))
                return false;
        own = g_build_filename(layout.snapshots, virDomainGetName(domain), NULL);
        return sync_directory(layout.definitions, error) && sync_directory(own, error) &&
               sync_directory(layout.snapshots, error) && sync_directory(layout.save, error);
}

/* Written anew, it gets its name. */
static void tidy(virDomainPtr domain, const char *directory, const char *file) {
        g_autofree char *id = g_strndup(file, strlen(file) - strlen(UNFINISHED));
        g_autofree char *path = g_build_filename(directory, file, NULL);
        g_autoptr(GError) cause = NULL;
        g_autofree char *text = snapshot_tree_document(domain, id, &cause);

        if (text)
                (void) snapshot_tree_redefine(domain, id, text, NULL);
        else if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT))
                (void) image_remove(path, NULL);
}

void libvirt_files_tidy(virDomainPtr domain) {
        g_auto(Layout) layout = {0};
        g_autofree char *own = NULL;
        g_autoptr(GDir) directory = NULL;
        const char *file;

        layout_of_domain(domain, &layout);
        if (!layout.snapshots)
                return;
        own = g_build_filename(layout.snapshots, virDomainGetName(domain), NULL);
        directory = g_dir_open(own, 0, NULL);
        while (directory && (file = g_dir_read_name(directory)))
                if (g_str_has_suffix(file, UNFINISHED))
                        tidy(domain, own, file);
}

void libvirt_files_align_saved_state(virDomainPtr domain) {
        g_autofree char *definition = NULL, *fitting = NULL;
        g_autoptr(DiskSet) disks = NULL;
        char *text;

        if (saved_image_exists(domain) != 1)
                return;
        definition = snapshot_tree_definition(domain, true, NULL);
        disks = definition ? disk_set_parse(definition, NULL) : NULL;
        text = virDomainManagedSaveGetXMLDesc(domain, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
        if (disks && text)
                fitting = definition_with_disks_of(text, disks, NULL);
        if (fitting)
                (void) virDomainManagedSaveDefineXML(domain, fitting, 0);
        free(text);
}
