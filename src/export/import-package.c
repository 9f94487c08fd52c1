/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The plan for a package: an image for each disk, and a definition of our own. The disks may be
 * anything until they are images that import_plan_check_images() has looked at. */

#include "export/import-package.h"

#include "backend/backend-error.h"
#include "backend/xml.h"
#include "export/package-definition.h"
#include "util/error.h"
#include "util/name.h"

#define NETWORK "default" /* of libvirt's presets */
#define SECTOR  512U

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virNetwork, virNetworkFree)

static bool add_disk(ImportPlan *plan,
                const ImportPlace *place,
                const OvfDisk *disk,
                const char *target,
                GError **error) {
        g_autofree char *base = g_strconcat(target, ".qcow2", NULL);
        g_autofree char *name = g_strconcat(IMAGES_PREFIX, base, NULL);
        ImportDisk *made = g_new0(ImportDisk, 1);

        made->target = g_strdup(target);
        made->size = (disk->capacity + SECTOR - 1) / SECTOR * SECTOR; /* as qemu-img makes it */
        made->images = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(made->images, g_strdup(name));
        g_ptr_array_add(plan->disks, made);
        import_files_add(plan->files, place, base, name);
        g_hash_table_insert(plan->import.images, g_strdup(name), NULL);
        plan->data += disk->file_size;
        if (disk->capacity > 0 && disk->capacity <= IMPORT_DISK_MAX)
                return definition_import_image(&plan->import, name, "qcow2", error);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "The disk '%s' of the package is empty or larger than 16 TiB", target);
        return false;
}

/* The kind of machine that libvirt would choose itself. */
static char *find_type(virConnectPtr connection, bool pc, GError **error) {
        char *text = virConnectGetDomainCapabilities(
                        connection, NULL, "x86_64", pc ? "pc" : "q35", NULL, 0);
        g_autoptr(xmlDoc) document = text ? xml_parse(text) : NULL;
        char *type = document ? xml_child_text(xmlDocGetRootElement(document), "domain") : NULL;

        free(text);
        if (!type)
                backend_error_set(error, "Failed to find out which machines can be made");
        return type;
}

/* A machine of a user has no network of the host. */
static bool has_network(virConnectPtr connection) {
        g_autoptr(virNetwork) network = virNetworkLookupByName(connection, NETWORK);

        return network && virNetworkIsActive(network) == 1;
}

static bool define(ImportPlan *plan,
                const OvfMachine *machine,
                virConnectPtr connection,
                const GPtrArray *targets,
                GError **error) {
        g_autofree char *type = find_type(connection, package_definition_is_pc(machine), error);
        const PackageHost host = {type, has_network(connection) ? NETWORK : NULL};
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

        if (!type)
                return false;
        for (unsigned i = 0; i < targets->len; i++) {
                const ImportDisk *disk = plan->disks->pdata[i];

                g_ptr_array_add(paths,
                                definition_import_path(&plan->import, disk->images->pdata[0]));
        }
        plan->definition = package_definition_new(
                        machine, plan->name, plan->uuid, targets, paths, &host);
        for (unsigned i = 0; i < machine->nics->len; i++) {
                const OvfNic *nic = machine->nics->pdata[i];

                g_hash_table_add(plan->import.left_out,
                                g_strdup_printf("the network '%s': its adapters are connected to "
                                                "%s",
                                                nic->network,
                                                host.network ? "'" NETWORK "'"
                                                             : "none of the host"));
        }
        return true;
}

static bool fill(ImportPlan *plan,
                const OvfMachine *machine,
                const char *storage,
                virConnectPtr connection,
                GError **error) {
        g_autoptr(GPtrArray) targets = package_definition_targets(machine, error);
        const ImportPlace *place;

        if (!targets || !name_check(plan->name, error))
                return false;
        place = import_plan_choose_directory(plan, storage);
        plan->import.directory = plan->directory;
        for (unsigned i = 0; i < targets->len; i++)
                if (!add_disk(plan, place, machine->disks->pdata[i], targets->pdata[i], error))
                        return false;
        return define(plan, machine, connection, targets, error);
}

ImportPlan *import_plan_new_package(const OvfMachine *machine,
                const ImportRequest *request,
                const char *storage,
                virConnectPtr connection,
                GError **error) {
        g_autoptr(ImportPlan) plan = import_plan_empty();

        plan->name = g_strdup(request->name ?: machine->name);
        plan->uuid = g_uuid_string_random();
        return fill(plan, machine, storage, connection, error) ? g_steal_pointer(&plan) : NULL;
}
