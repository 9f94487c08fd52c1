/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "disk/machine-images.h"

#include "backend/backend-error.h"
#include "backend/layout.h"
#include "disk/disk-set.h"
#include "image/image-facts.h"
#include "util/log.h"

static GPtrArray *publish(GPtrArray *chain) {
        for (unsigned i = 0; i < chain->len; i++)
                ((ImageFacts *) chain->pdata[i])->is_public = true;
        return chain;
}

GPtrArray *machine_images_read_chain(const char *path, const char *format, GError **error) {
        GPtrArray *chain = image_facts_read_chain(path, format, NULL, NULL, error);

        return chain ? publish(chain) : NULL;
}

static GPtrArray *read_chain(const Disk *disk) {
        const char *format = disk->format ?: "raw"; /* as libvirt has it */
        g_autoptr(GError) error = NULL;
        GPtrArray *chain = machine_images_read_chain(disk->path, format, &error);

        if (chain)
                return chain;
        log_debug("The image of a disk can not be read: %s", error->message);
        chain = g_ptr_array_new_with_free_func((GDestroyNotify) image_facts_free);
        g_ptr_array_add(chain, image_facts_of_unreadable(disk->path, format));
        return publish(chain);
}

static void free_chain(void *chain) {
        g_ptr_array_unref(chain);
}

GPtrArray *machine_images_read(virDomainPtr domain, GError **error) {
        g_autoptr(GPtrArray) chains = g_ptr_array_new_with_free_func(free_chain);
        g_auto(Layout) layout = {0};
        g_autoptr(DiskSet) set = NULL;
        char *definition;

        layout_of_domain(domain, &layout);
        if (!layout.save)
                return g_steal_pointer(&chains);
        definition = virDomainGetXMLDesc(domain, 0);
        if (!definition) {
                backend_error_set(error, "Failed to read the disks of '%s'",
                                virDomainGetName(domain));
                return NULL;
        }
        set = disk_set_parse(definition, error);
        free(definition);
        if (!set)
                return NULL;
        for (unsigned i = 0; i < set->disks->len; i++) {
                const Disk *disk = set->disks->pdata[i];

                if (disk->is_file && disk->is_disk && disk->path)
                        g_ptr_array_add(chains, read_chain(disk));
        }
        return g_steal_pointer(&chains);
}
