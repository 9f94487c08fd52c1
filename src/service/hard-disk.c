/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The images of machines come from the reader (hard-disk-reader.c), all others from callers. An
 * object is there as long as a machine has it or somebody holds it. */

#include "service/hard-disk.h"

#include "bus/bus-path.h"
#include "jobs/task-list.h"
#include "util/error.h"

#define INTERFACE "org.virtask1.HardDisk"

static const PublishedProperty hard_disk_properties[] = {
                {INTERFACE, "File"},
                {INTERFACE, "Parent"},
                {INTERFACE, "SizeInGuest"},
                {INTERFACE, "Type"},
                {INTERFACE, "Format"},
                {INTERFACE, "InUseBy"},
                {NULL, NULL},
};

HardDisk *hard_disk_at_path(Manager *manager, const char *path) {
        return g_hash_table_lookup(manager->hard_disks, path);
}

HardDisk *hard_disk_of_file(Manager *manager, const char *file) {
        g_autofree char *path = bus_path_hard_disk(file);

        return hard_disk_at_path(manager, path);
}

static void hard_disk_free(void *data) {
        HardDisk *disk = data;

        publication_clear(&disk->publication);
        g_hash_table_unref(disk->machines);
        image_facts_free(disk->facts);
        g_free(disk->path);
        g_free(disk);
}

GHashTable *hard_disk_table_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, hard_disk_free);
}

static HardDisk *hard_disk_new(Manager *manager, const ImageFacts *facts) {
        HardDisk *disk = g_new0(HardDisk, 1);

        disk->manager = manager;
        disk->path = bus_path_hard_disk(facts->path);
        disk->facts = image_facts_copy(facts);
        disk->machines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        publication_init(&disk->publication, manager->publisher, disk->path, hard_disk_properties);
        g_hash_table_insert(manager->hard_disks, disk->path, disk);
        return disk;
}

static void update(HardDisk *disk, const ImageFacts *facts) {
        g_autoptr(ImageFacts) old = disk->facts;
        uint64_t mask = 0;

        disk->facts = image_facts_copy(facts);
        if (old->is_public != facts->is_public)
                mask |= HARD_DISK_PROPERTY_FILE;
        if (g_strcmp0(old->parent, facts->parent) != 0)
                mask |= HARD_DISK_PROPERTY_PARENT;
        if (old->virtual_size != facts->virtual_size)
                mask |= HARD_DISK_PROPERTY_SIZE_IN_GUEST;
        if (old->type != facts->type)
                mask |= HARD_DISK_PROPERTY_TYPE;
        if (g_strcmp0(old->format, facts->format) != 0)
                mask |= HARD_DISK_PROPERTY_FORMAT;
        publication_touch(&disk->publication, mask);
}

HardDisk *hard_disk_take(Manager *manager, const ImageFacts *facts) {
        HardDisk *disk = hard_disk_of_file(manager, facts->path);

        if (!disk) {
                disk = hard_disk_new(manager, facts);
                if (manager->announced)
                        hard_disk_emit_added(disk);
                return disk;
        }
        if (facts->is_public || !disk->facts->is_public)
                update(disk, facts);
        return disk;
}

/* Whoever has not named a file himself would learn its name from the errors of what he does to it.
 */
bool hard_disk_admits(const HardDisk *disk, uid_t uid, GError **error) {
        GHashTableIter iter;
        void *uuid;

        if (!disk->facts->is_public && uid != 0 && !hard_disk_is_held_by(disk, uid))
                return error_fail(VIRTASK_ERROR_ACCESS_DENIED, error,
                                "The hard disk is not known to the caller, see GetHardDisk");

        g_hash_table_iter_init(&iter, disk->machines);
        while (g_hash_table_iter_next(&iter, &uuid, NULL)) {
                const VirtualMachine *vm = manager_find_machine(disk->manager, uuid);

                if (vm && vm->facts->active)
                        return error_fail(VIRTASK_ERROR_FILE_IN_USE, error,
                                        "The virtual machine '%s' uses the hard disk",
                                        vm->facts->name);
        }
        return true;
}

static bool has_tasks(const HardDisk *disk) {
        const GPtrArray *tasks = task_list_of_object(disk->manager->tasks, disk->path);

        return tasks && tasks->len > 0;
}

void hard_disk_drop_unused(HardDisk *disk) {
        if (disk->holds > 0 || g_hash_table_size(disk->machines) > 0 || has_tasks(disk))
                return;
        g_hash_table_steal(disk->manager->hard_disks, disk->path);
        if (disk->manager->announced)
                hard_disk_emit_removed(disk);
        hard_disk_free(disk);
}

/* The images of a machine */

/* The root first, so that each has its parent when it is announced. */
static void enter(VirtualMachine *vm, GHashTable *used) {
        for (unsigned i = 0; vm->chains && i < vm->chains->len; i++) {
                const GPtrArray *chain = vm->chains->pdata[i];

                for (unsigned n = chain->len; n-- > 0;) {
                        HardDisk *disk = hard_disk_take(vm->manager, chain->pdata[n]);

                        g_hash_table_add(used, disk);
                        if (g_hash_table_add(disk->machines, g_strdup(vm->uuid)))
                                publication_touch(&disk->publication, HARD_DISK_PROPERTY_IN_USE_BY);
                }
        }
}

static void leave(VirtualMachine *vm, const GPtrArray *chains, GHashTable *used) {
        for (unsigned i = 0; chains && i < chains->len; i++) {
                const GPtrArray *chain = chains->pdata[i];

                for (unsigned n = 0; n < chain->len; n++) {
                        const ImageFacts *facts = chain->pdata[n];
                        HardDisk *disk = hard_disk_of_file(vm->manager, facts->path);

                        if (!disk || g_hash_table_contains(used, disk) ||
                                        !g_hash_table_remove(disk->machines, vm->uuid))
                                continue;
                        publication_touch(&disk->publication, HARD_DISK_PROPERTY_IN_USE_BY);
                        hard_disk_drop_unused(disk);
                }
        }
}

static const char *file_of(const GPtrArray *chains, unsigned i) {
        const GPtrArray *chain = chains->pdata[i];

        return ((const ImageFacts *) chain->pdata[0])->path;
}

static bool has_other_disks(const GPtrArray *a, const GPtrArray *b) {
        unsigned n = a ? a->len : 0, m = b ? b->len : 0;

        for (unsigned i = 0; n == m && i < n; i++)
                if (!g_str_equal(file_of(a, i), file_of(b, i)))
                        return true;
        return n != m;
}

void hard_disk_apply_machine(VirtualMachine *vm, GPtrArray *chains) {
        g_autoptr(GHashTable) used = g_hash_table_new(NULL, NULL);
        g_autoptr(GPtrArray) old = vm->chains;

        vm->chains = chains;
        enter(vm, used);
        leave(vm, old, used);
        if (has_other_disks(old, chains))
                publication_touch(&vm->publication, MACHINE_PROPERTY_HARD_DISKS);
}

void hard_disk_free_all(Manager *manager) {
        hard_disk_release_all(manager);
        g_hash_table_unref(manager->hard_disks);
}
