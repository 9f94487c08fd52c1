/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names: the plan calls "disks/vda.raw" of the second base "disks/base2-vda.raw", and so it is
 * called beside the images of the machine. In its own bundle an image finds its backing file by the
 * name there, and the lowest one of a disk that differs says "vda.base", until it is joined. */

#include "export/import-bases.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bundle/qcow2-head.h"
#include "disk/image.h"
#include "export/bundle-child.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/io.h"
#include "util/path.h"

#define CHAIN_MAX 100U /* as of the images that snapshots make (snapshot/names.c) */

/* Which they are */

bool import_bases_check_paths(const ImportRequest *request, GError **error) {
        char **bases = request->bases;

        if (bases && g_strv_length(bases) > IMPORT_BASES_MAX)
                return error_fail(VIRTASK_ERROR_LIMITS_EXCEEDED, error,
                                "BaseDirectories names more than %u exports", IMPORT_BASES_MAX);
        for (unsigned i = 0; bases && bases[i]; i++) {
                if (!path_check(bases[i], error))
                        return false;
                if (g_str_equal(bases[i], request->directory) ||
                                g_strv_contains((const char *const *) bases + i + 1, bases[i]))
                        return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                        "BaseDirectories names '%s' twice", bases[i]);
        }
        return true;
}

static void free_summary(void *data) {
        summary_free(data);
}

GPtrArray *import_bases_read(Job *job, const ImportRequest *request, GError **error) {
        g_autoptr(GPtrArray) bases = g_ptr_array_new_with_free_func(free_summary);
        size_t length = 0;

        for (unsigned i = 0; request->bases && request->bases[i]; i++) {
                Summary *summary = bundle_child_read(job, request->bases[i], error);

                if (!summary) {
                        g_prefix_error(error, "Base %u: ", i + 1);
                        return NULL;
                }
                g_ptr_array_add(bases, summary);
                g_hash_table_remove_all(summary->texts);
                length += strlen(summary->manifest_text);
                if (length <= MANIFEST_MAX)
                        continue;
                error_fail(VIRTASK_ERROR_LIMITS_EXCEEDED, error,
                                "The manifests of BaseDirectories are longer than 1 MiB together");
                return NULL;
        }
        return g_steal_pointer(&bases);
}

/* A state of a machine that differences are counted from. */
typedef struct Point {
        const char *machine, *id;
        uint64_t created;
} Point;

static bool read_point(const Summary *summary, const char *member, Point *ret) {
        JsonObject *object =
                        manifest_object(json_object_get_member(summary->manifest->object, member));

        *ret = (Point){0};
        if (!object)
                return false;
        ret->machine = manifest_text(object, "machine");
        ret->id = manifest_text(object, "id");
        return ret->machine && ret->id && manifest_number(object, "created", &ret->created);
}

static bool is_difference(const Summary *summary) {
        const char *kind = manifest_text(summary->manifest->object, "kind");

        return g_strcmp0(kind, "difference") == 0;
}

/* The difference comes after its bases. Directories are not named: everybody sees the error. */
static char *name_bundle(const GPtrArray *bases, unsigned number) {
        return number < bases->len ? g_strdup_printf("base %u", number + 1)
                                   : g_strdup("the difference");
}

static bool check_apart(
                const GPtrArray *bases, const Summary *last, unsigned number, GError **error) {
        const Summary *summary = bases->pdata[number];
        const char *id = manifest_id(summary->manifest);

        for (unsigned i = number + 1; id && i <= bases->len; i++) {
                const Summary *other = i < bases->len ? bases->pdata[i] : last;
                g_autofree char *name = name_bundle(bases, i);

                if (g_strcmp0(id, manifest_id(other->manifest)) == 0)
                        return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                        "Base %u and %s are the same export", number + 1, name);
        }
        return true;
}

static bool check_link(const Summary *base,
                const Summary *difference,
                unsigned number,
                const char *name,
                GError **error) {
        Point point, wanted;

        if (!read_point(difference, "base", &wanted))
                return error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                                "The manifest of %s does not say what it is counted from", name);
        if (!read_point(base, "point", &point))
                return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                "Base %u is not of one snapshot or reference point, and nothing "
                                "is counted from it",
                                number);
        if (g_ascii_strcasecmp(point.machine, wanted.machine) != 0)
                return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                "Base %u is of another machine than %s", number, name);
        return (g_str_equal(point.id, wanted.id) && point.created == wanted.created) ||
               error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                               "Base %u is not what %s is counted from", number, name);
}

/* Whether the base is the one of what comes after it. */
static bool check_base(
                const GPtrArray *bases, const Summary *last, unsigned number, GError **error) {
        const Summary *upper = number + 1 < bases->len ? bases->pdata[number + 1] : last;
        g_autofree char *name = name_bundle(bases, number + 1);

        if (number == 0 && is_difference(bases->pdata[0]))
                return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                "Base 1 is a difference itself, and what it is counted from is "
                                "missing");
        if (!is_difference(upper) && upper != last)
                return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                "Base %u is a full export, and has no base", number + 2);
        if (!is_difference(upper))
                return error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                                "This is no difference, and has no base");
        return check_link(bases->pdata[number], upper, number + 1, name, error);
}

bool import_bases_check(const GPtrArray *bases, const Summary *last, GError **error) {
        for (unsigned i = 0; i < bases->len; i++)
                if (!check_apart(bases, last, i, error))
                        return false;
        for (unsigned i = 0; i < bases->len; i++)
                if (!check_base(bases, last, i, error))
                        return false;
        return true;
}

uint64_t import_bases_data(const GPtrArray *bases) {
        uint64_t sum = 0;

        for (unsigned i = 0; bases && i < bases->len; i++)
                sum += ((const Summary *) bases->pdata[i])->data;
        return sum;
}

/* What is taken of them */

static char *name_of(unsigned base, const char *origin) {
        return base > 0 ? g_strdup_printf(IMAGES_PREFIX "base%u-%s", base,
                                          origin + strlen(IMAGES_PREFIX))
                        : g_strdup(origin);
}

/* Two disks may rest on one image. */
static bool add_image(ImportPlan *plan, unsigned base, const char *origin, GError **error) {
        g_autofree char *name = name_of(base, origin);
        ImportFile *file = import_files_find(plan->files, name);

        if (file)
                return file->base == base || error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                                                             "'%s' has the name of an image that "
                                                             "is below it",
                                                             name);
        if (plan->files->files->len >= MANIFEST_FILES)
                return error_fail(VIRTASK_ERROR_LIMITS_EXCEEDED, error,
                                "There are more than %u files with those of BaseDirectories",
                                MANIFEST_FILES);
        file = import_files_add(plan->files, plan->place, name + strlen(IMAGES_PREFIX), name);
        file->base = base;
        file->origin = g_strdup(origin);
        g_hash_table_insert(plan->import.images, g_steal_pointer(&name), NULL);
        return true;
}

static JsonNode *find_disk(const Summary *summary, const char *target) {
        JsonArray *disks = manifest_array(summary->manifest->object, "disks");

        for (unsigned i = 0; disks && i < json_array_get_length(disks); i++) {
                JsonNode *node = json_array_get_element(disks, i);
                JsonObject *object = manifest_object(node);

                if (object && g_strcmp0(manifest_text(object, "target"), target) == 0)
                        return node;
        }
        return NULL;
}

/* The disk's images get the names that the plan has for them. */
static bool add_images(ImportPlan *plan, ImportDisk *disk, unsigned base, GError **error) {
        const Summary *summary = plan->bases->pdata[base - 1];

        for (unsigned i = 0; i < disk->images->len; i++) {
                char *origin = disk->images->pdata[i];

                if (!g_str_has_prefix(origin, IMAGES_PREFIX) ||
                                !manifest_find(summary->manifest, origin))
                        return error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                                        "The disk '%s' has an image that is not in the bundle",
                                        disk->target);
                if (!add_image(plan, base, origin, error))
                        return false;
                disk->images->pdata[i] = name_of(base, origin);
                g_free(origin);
        }
        return true;
}

/* The disk in the base; belongs to the plan. */
static ImportDisk *add_disk(ImportPlan *plan, const char *target, unsigned base, GError **error) {
        JsonNode *node = find_disk(plan->bases->pdata[base - 1], target);
        const char *format;
        ImportDisk *disk;

        if (!node) {
                error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error, "It does not hold the disk '%s'",
                                target);
                return NULL;
        }
        disk = import_disk_read(node, &format, error);
        if (!disk)
                return NULL;
        g_ptr_array_add(plan->lower_disks, disk);
        if (!add_images(plan, disk, base, error) ||
                        !definition_import_image(
                                        &plan->import, disk->images->pdata[0], format, error))
                return NULL;
        return disk;
}

/* The lowest image of a disk that differs rests on the disk of the base. */
static bool add_joint(
                ImportPlan *plan, ImportDisk *upper, const ImportDisk *lower, GError **error) {
        const char *image = upper->images->pdata[upper->images->len - 1];
        const char *other = g_hash_table_lookup(plan->joints, image);

        if (other && !g_str_equal(other, lower->images->pdata[0]))
                return error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                                "The image '%s' is part of another disk as well", image);
        upper->below = g_strdup(lower->images->pdata[0]);
        g_hash_table_insert(plan->joints, g_strdup(image), g_strdup(upper->below));
        return true;
}

/* What a disk rests on, down to the image that rests on nothing. */
static bool add_below(ImportPlan *plan, ImportDisk *disk, GError **error) {
        unsigned length = disk->images->len;

        for (unsigned base = plan->bases->len; disk->differs; base--) {
                ImportDisk *lower = base > 0 ? add_disk(plan, disk->target, base, error) : NULL;

                if (base == 0)
                        return error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                                        "Base 1: The disk '%s' of a full export rests on another",
                                        disk->target);
                if (!lower || !add_joint(plan, disk, lower, error)) {
                        g_prefix_error(error, "Base %u: ", base);
                        return false;
                }
                length += lower->images->len;
                if (length > CHAIN_MAX)
                        return error_fail(VIRTASK_ERROR_LIMITS_EXCEEDED, error,
                                        "The disk '%s' would rest on more than %u images",
                                        disk->target, CHAIN_MAX);
                disk = lower;
        }
        return true;
}

bool import_bases_add(ImportPlan *plan, const GPtrArray *bases, GError **error) {
        plan->bases = bases;
        plan->data += import_bases_data(bases);
        for (unsigned i = 0; bases->len > 0 && i < plan->disks->len; i++)
                if (!add_below(plan, plan->disks->pdata[i], error))
                        return false;
        return true;
}

bool import_bases_extract(
                Job *job, const ImportRequest *request, const ImportPlan *plan, GError **error) {
        unsigned count = plan->bases ? plan->bases->len : 0;
        BundleSource source = {.after = plan->summary->data + import_bases_data(plan->bases)};

        for (unsigned i = 0; i <= count; i++) {
                bool own = i == count;

                source.directory = own ? request->directory : request->bases[i];
                source.summary = own ? plan->summary : plan->bases->pdata[i];
                source.number = own ? 0 : i + 1;
                source.after -= source.summary->data;
                if (!bundle_child_extract(job, &source, plan->files, error)) {
                        if (!own)
                                g_prefix_error(error, "Base %u: ", source.number);
                        return false;
                }
                source.before += source.summary->data;
        }
        return true;
}

/* The chain */

const Manifest *import_bases_manifest(const ImportPlan *plan, const ImportFile *file) {
        const Summary *summary =
                        file->base > 0 ? plan->bases->pdata[file->base - 1] : plan->summary;

        return summary->manifest;
}

bool import_bases_resolve(ImportPlan *plan,
                const char *image,
                const char *format,
                char **backing,
                GError **error) {
        const ImportFile *file = import_files_find(plan->files, image);
        const char *below = g_hash_table_lookup(plan->joints, image);
        char *name;

        if (below && !g_str_has_suffix(*backing, MANIFEST_BASE))
                return error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                                "The image '%s' does not rest on what it is counted from", image);
        if (!below && !**backing)
                return true;
        name = below ? g_strdup(below) : name_of(file->base, *backing);
        g_free(*backing);
        *backing = name;
        return below || definition_import_image(&plan->import, name, format, error);
}

static bool write_head(int fd, GBytes *head, const char *image, GError **error) {
        size_t length = g_bytes_get_size(head);

        if (io_write(fd, g_bytes_get_data(head, NULL), length, 0) && fdatasync(fd) == 0)
                return true;
        return error_fail(error_of_errno(errno), error, "Failed to write '%s': %s", image,
                        g_strerror(errno));
}

/* It is read again, because the header is foreign data: it can be such that the name comes to lie
 * on something else. */
static bool has_joined(const char *path, const char *base, const char *format, GError **error) {
        g_autoptr(ImageInfo) info = image_info_read(path, "qcow2", error);
        g_autofree char *name = info && info->backing ? g_path_get_basename(info->backing) : NULL;

        if (!info)
                return false;
        return (g_strcmp0(name, base) == 0 && g_strcmp0(info->backing_format, format) == 0) ||
               error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error, "Its header is not as it should be");
}

static bool fail_to_join(const char *image, GError *cause, GError **error) {
        error_fail(VIRTASK_ERROR_INVALID_BUNDLE, error,
                        "The image '%s' can not be put on its base: %s", image, cause->message);
        g_error_free(cause);
        return false;
}

static bool join(const ImportPlan *plan, const char *image, const char *below, GError **error) {
        const char *format = g_hash_table_lookup(plan->import.images, below);
        const char *base = below + strlen(IMAGES_PREFIX);
        g_autofree char *path = import_file_path(import_files_find(plan->files, image));
        auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
        g_autoptr(GBytes) head = NULL;
        GError *cause = NULL;

        if (fd < 0)
                return error_fail(VIRTASK_ERROR_FAILED, error, "Failed to open '%s'", image);
        head = qcow2_head_with_base(fd, base, format, &cause);
        if (!head)
                return fail_to_join(image, cause, error);
        return write_head(fd, head, image, error) &&
               (has_joined(path, base, format, &cause) || fail_to_join(image, cause, error));
}

bool import_bases_join(const ImportPlan *plan, GError **error) {
        GHashTableIter iter;
        void *image, *below;

        g_hash_table_iter_init(&iter, plan->joints);
        while (g_hash_table_iter_next(&iter, &image, &below))
                if (!join(plan, image, below, error))
                        return false;
        return true;
}
