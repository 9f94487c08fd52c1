/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bundle/package-reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "bundle/image-make.h"
#include "bundle/manifest.h"
#include "bundle/package-json.h"
#include "ovf/ova.h"
#include "ovf/vmdk-head.h"
#include "util/error.h"
#include "util/fd.h"

typedef struct Converter {
        const Ova *ova;
        const WriterHooks *hooks;
        uint64_t done, begin, weight; /* in all, and before this disk; about that of it */
} Converter;

int package_open(const char *path, GError **error) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        if (fd < 0)
                g_set_error(error, VIRTASK_ERROR,
                                errno == EACCES ? VIRTASK_ERROR_ACCESS_DENIED
                                                : VIRTASK_ERROR_PATH_NOT_FOUND,
                                "Failed to open '%s': %s", path, g_strerror(errno));
        return fd;
}

static char *describe(const Ova *ova) {
        g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);

        json_node_take_object(node, package_machine_to_json(ova->machine));
        return json_to_string(node, false);
}

char *package_describe(const char *path, GError **error) {
        auto_fd fd = package_open(path, error);
        g_autoptr(Ova) ova = fd >= 0 ? ova_open(fd, error) : NULL;

        return ova ? describe(ova) : NULL;
}

/* Progress */

static bool on_stop(void *userdata) {
        const Converter *c = userdata;

        return c->hooks->stop(c->hooks->userdata);
}

static void tell(Converter *c, uint64_t done) {
        c->done = done;
        c->hooks->done(done, c->hooks->userdata);
}

static void on_copied(uint64_t bytes, void *userdata) {
        Converter *c = userdata;

        tell(c, c->done + bytes);
}

static void on_percent(double percent, void *userdata) {
        Converter *c = userdata;

        tell(c, c->begin + (uint64_t) (percent / 100 * (double) c->weight));
}

/* Each disk is read twice if there is a manifest. */
static uint64_t measure(const Ova *ova, bool verify, bool copy) {
        uint64_t bytes = ova_measure(ova);

        return (verify ? bytes : 0) + (copy ? bytes - ova_find(ova, ova->descriptor)->size : 0);
}

/* Disks */

static bool copy_disk(Converter *c, const OvfDisk *disk, JsonObject *plan, GError **error) {
        const OvaFile *file = disk->file ? ova_find(c->ova, disk->file) : NULL;
        const ImageMakeHooks hooks = {on_stop, on_percent, c};
        uint64_t capacity = disk->capacity;
        g_autoptr(GBytes) head = NULL;

        if (!file)
                return true;
        head = vmdk_read_head(c->ova->fd, file->offset, file->size, &capacity, error);
        if (!head)
                return false;
        c->begin = c->done;
        c->weight = file->size;
        c->hooks->file(disk->file, c->hooks->userdata);
        if (!image_make_from_vmdk((int) json_object_get_int_member(plan, "descriptor"),
                            json_object_get_string_member(plan, "export"), head, c->ova->fd,
                            file->offset, file->size, &hooks, error))
                return false;
        tell(c, c->begin + c->weight);
        return true;
}

static bool copy_disks(Converter *c, JsonArray *disks, GError **error) {
        for (unsigned i = 0; i < c->ova->machine->disks->len; i++) {
                JsonObject *plan = manifest_object(json_array_get_element(disks, i));

                if (plan && !copy_disk(c, c->ova->machine->disks->pdata[i], plan, error))
                        return false;
        }
        return true;
}

/* The package */

static bool fail_changed(GError **error) {
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "The package was changed while it was read");
        return false;
}

/* What is written to a file changes its times, and nobody but root can set this one. Only who has
 * mapped the file can change it so that this is not seen, which does no more than another disk of
 * his would have done: image_make_from_vmdk(). */
static bool is_unchanged(int fd, const struct stat *before) {
        struct stat now;

        return fstat(fd, &now) == 0 && now.st_size == before->st_size &&
               now.st_ctim.tv_sec == before->st_ctim.tv_sec &&
               now.st_ctim.tv_nsec == before->st_ctim.tv_nsec;
}

static bool convert(Converter *c, JsonArray *disks, GError **error) {
        const OvaHooks hooks = {on_stop, on_copied, c};

        c->hooks->total(measure(c->ova, c->ova->digests, disks), c->hooks->userdata);
        return ova_verify(c->ova, &hooks, error) && (!disks || copy_disks(c, disks, error));
}

bool package_convert(const char *path, JsonObject *plan, const WriterHooks *hooks, GError **error) {
        const char *expected = json_object_get_string_member(plan, "description");
        JsonArray *disks = json_object_has_member(plan, "disks")
                                           ? json_object_get_array_member(plan, "disks")
                                           : NULL;
        auto_fd fd = package_open(path, error);
        g_autoptr(Ova) ova = NULL;
        g_autofree char *description = NULL;
        Converter converter = {.hooks = hooks};
        struct stat before;

        if (fd < 0)
                return false;
        if (fstat(fd, &before) < 0)
                return fail_changed(error);
        ova = ova_open(fd, error);
        if (!ova)
                return false;
        description = describe(ova);
        if (!g_str_equal(description, expected))
                return fail_changed(error);
        converter.ova = ova;
        return convert(&converter, disks, error) &&
               (is_unchanged(fd, &before) || fail_changed(error));
}
