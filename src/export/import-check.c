/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The second half of a plan, when its files are there: what is in them is looked at before anything
 * else has them. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/image.h"
#include "export/import-bases.h"
#include "export/import-plan.h"
#include "export/saved-file.h"
#include "util/error.h"
#include "util/fd.h"

/* Of an image that was made of a disk: what QEMU needs for itself is less than a thousandth, and at
 * least some clusters. */
#define OVERHEAD_PART 256U
#define OVERHEAD      (UINT64_C(16) << 20)

static bool fail(GError **error, const char *name, const char *why) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "The image '%s' %s", name,
                        why);
        return false;
}

/* Errors about an image name the file that is being made; the bundle knows it by another name. */
static bool rename_in_error(GError *cause, const char *path, const char *name, GError **error) {
        g_auto(GStrv) parts = g_strsplit(cause->message, path, -1);
        g_autofree char *text = g_strjoinv(name, parts);

        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, text);
        g_error_free(cause);
        return false;
}

/* The files of a package are images that were made of its disks, in the same order. */
static bool has_right_size(const ImportPlan *plan, unsigned number, uint64_t size) {
        const ImportFile *file = plan->files->files->pdata[number];
        const ImportDisk *disk;

        if (plan->summary)
                return size ==
                       manifest_find(import_bases_manifest(plan, file), import_file_origin(file))
                                       ->size;
        disk = plan->disks->pdata[number];
        return size <= disk->size + disk->size / OVERHEAD_PART + OVERHEAD;
}

bool import_plan_check_sizes(const ImportPlan *plan, GError **error) {
        for (unsigned i = 0; i < plan->files->files->len; i++) {
                const ImportFile *file = plan->files->files->pdata[i];
                g_autofree char *path = import_file_path(file);
                struct stat st;

                if (stat(path, &st) == 0 && has_right_size(plan, i, (uint64_t) st.st_size))
                        continue;
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                                "%s: It does not have the size that it was written with",
                                file->name);
                return false;
        }
        return true;
}

/* The image that this one rests on, "" for none: a name without a directory, beside it. */
static bool read_backing(const ImageInfo *info, const char *name, char **ret, GError **error) {
        g_autofree char *directory = NULL, *parent = NULL, *base = NULL;

        if (!info->backing) {
                *ret = g_strdup("");
                return true;
        }
        directory = g_path_get_dirname(info->path);
        parent = g_path_get_dirname(info->backing);
        base = g_path_get_basename(info->backing);
        if (!g_str_equal(directory, parent))
                return fail(error, name, "rests on a file that is not in the bundle");
        if (!info->backing_format)
                return fail(error, name, "does not say the format of its backing file");
        *ret = g_strconcat(IMAGES_PREFIX, base, NULL);
        return true;
}

static bool check_image(ImportPlan *plan,
                const char *name,
                const char *format,
                uint64_t *ret_size,
                char **ret_backing,
                GError **error) {
        g_autofree char *path = import_file_path(import_files_find(plan->files, name));
        GError *cause = NULL;
        g_autoptr(ImageInfo) info = image_info_read(path, format, &cause);
        g_autofree char *backing = NULL;

        if (!info)
                return rename_in_error(cause, path, name, error);
        if (info->encrypted)
                return fail(error, name, "is encrypted");
        if (info->virtual_size > IMPORT_DISK_MAX)
                return fail(error, name, "is larger than 16 TiB");
        if (!read_backing(info, name, &backing, error) ||
                        !import_bases_resolve(plan, name, info->backing_format, &backing, error))
                return false;
        *ret_size = info->virtual_size;
        *ret_backing = g_steal_pointer(&backing);
        return true;
}

/* What each image of the bundle rests on; one that says the format of another may come later than
 * that. */
typedef struct Images {
        ImportPlan *plan;
        GHashTable *backings; /* name -> name, or "" */
        GHashTable *sizes;    /* name -> uint64_t */
} Images;

static bool check_known(Images *images, bool *ret_news, GError **error) {
        g_autoptr(GList) names = g_hash_table_get_keys(images->plan->import.images);

        *ret_news = false;
        for (GList *link = names; link; link = link->next) {
                const char *name = link->data;
                const char *format = g_hash_table_lookup(images->plan->import.images, name);
                uint64_t size = 0;
                char *backing;

                if (!format || g_hash_table_contains(images->backings, name))
                        continue;
                if (!check_image(images->plan, name, format, &size, &backing, error))
                        return false;
                g_hash_table_insert(images->backings, g_strdup(name), backing);
                g_hash_table_insert(images->sizes, g_strdup(name), g_memdup2(&size, sizeof(size)));
                *ret_news = true;
        }
        return true;
}

static bool check_all(Images *images, GError **error) {
        GHashTableIter iter;
        void *name, *format;
        bool news;

        do
                if (!check_known(images, &news, error))
                        return false;
        while (news);
        g_hash_table_iter_init(&iter, images->plan->import.images);
        while (g_hash_table_iter_next(&iter, &name, &format))
                if (!format)
                        return fail(error, name, "belongs to no disk");
        return true;
}

/* A chain that is longer than there are images goes in a circle. */
static bool check_ends(const Images *images, GError **error) {
        unsigned count = g_hash_table_size(images->backings);
        GHashTableIter iter;
        void *name;

        g_hash_table_iter_init(&iter, images->backings);
        while (g_hash_table_iter_next(&iter, &name, NULL)) {
                const char *next = name;

                for (unsigned i = 0; next && *next && i <= count; i++)
                        next = g_hash_table_lookup(images->backings, next);
                if (!next || *next)
                        return fail(error, name, "rests on itself");
        }
        return true;
}

static bool check_disk(const Images *images, const ImportDisk *disk, GError **error) {
        const char *next = disk->images->pdata[0];
        const uint64_t *size = g_hash_table_lookup(images->sizes, next);

        if (!size || *size != disk->size)
                return fail(error, next, "does not have the size that the manifest says");
        for (unsigned i = 0; i < disk->images->len; i++) {
                if (g_strcmp0(next, disk->images->pdata[i]) != 0)
                        return fail(error, disk->images->pdata[i],
                                        "does not rest on what the manifest says");
                next = g_hash_table_lookup(images->backings, next);
        }
        return g_strcmp0(next, disk->below ?: "") == 0 ||
               fail(error, next, "is below a disk without being in the manifest's list");
}

static bool check_disks(const Images *images, const GPtrArray *disks, GError **error) {
        for (unsigned i = 0; i < disks->len; i++)
                if (!check_disk(images, disks->pdata[i], error))
                        return false;
        return true;
}

/* What one disk writes to, no other rests on. */
static bool check_apart(const ImportPlan *plan, const ImportDisk *disk, GError **error) {
        for (unsigned i = 0; i < plan->disks->len; i++) {
                const ImportDisk *other = plan->disks->pdata[i];

                if (other != disk && g_ptr_array_find_with_equal_func(other->images,
                                                     disk->images->pdata[0], g_str_equal, NULL))
                        return fail(error, disk->images->pdata[0],
                                        "is part of another disk as well");
        }
        return true;
}

bool import_plan_check_images(ImportPlan *plan, GError **error) {
        g_autoptr(GHashTable) backings =
                        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GHashTable) sizes =
                        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        Images images = {plan, backings, sizes};

        if (!check_all(&images, error) || !check_ends(&images, error) ||
                        !check_disks(&images, plan->disks, error) ||
                        !check_disks(&images, plan->lower_disks, error))
                return false;
        for (unsigned i = 0; i < plan->disks->len; i++)
                if (!check_apart(plan, plan->disks->pdata[i], error))
                        return false;
        return true;
}

/* Saved states */

static bool convert(ImportPlan *plan, const char *name, GHashTable *by_target, GError **error) {
        g_autofree char *path = import_file_path(import_files_find(plan->files, name));
        auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
        bool ok;

        if (fd < 0) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "Failed to open '%s'",
                                name);
                return false;
        }
        plan->import.by_target = by_target;
        ok = saved_file_import(fd, &plan->import, name, error);
        plan->import.by_target = NULL;
        if (!ok || fdatasync(fd) == 0)
                return ok;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "Failed to write '%s'", name);
        return false;
}

bool import_plan_has_states(const ImportPlan *plan) {
        for (unsigned i = 0; i < plan->snapshots->len; i++)
                if (((const ImportSnapshot *) plan->snapshots->pdata[i])->memory)
                        return true;
        return plan->saved;
}

static bool convert_all(ImportPlan *plan, GError **error) {
        if (plan->saved && !convert(plan, plan->saved, plan->by_target, error))
                return false;
        for (unsigned i = 0; i < plan->snapshots->len; i++) {
                const ImportSnapshot *snapshot = plan->snapshots->pdata[i];

                if (snapshot->memory &&
                                !convert(plan, snapshot->memory, snapshot->by_target, error))
                        return false;
        }
        return true;
}

bool import_plan_convert_states(ImportPlan *plan, GHashTable *firmwares, GError **error) {
        bool ok;

        plan->import.firmwares = plan->variables ? firmwares : NULL;
        plan->import.variables = plan->variables;
        ok = convert_all(plan, error);
        plan->import.firmwares = NULL;
        plan->import.variables = NULL;
        return ok;
}
