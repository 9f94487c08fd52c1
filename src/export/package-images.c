/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The caller's process reads the package, which it alone may open, and writes to a server of ours
 * (disk/image-server.h): it never has a descriptor of an image, and can put nothing into one but
 * what a guest could. */

#include "export/package-images.h"

#include <errno.h>
#include <unistd.h>

#include "bundle/image-make.h"
#include "disk/image-server.h"
#include "disk/image.h"
#include "export/bundle-child.h"
#include "util/error.h"
#include "util/fd.h"

static const ImportFile *file_of(const ImportPlan *plan, unsigned number) {
        return plan->files->files->pdata[number];
}

static const ImportDisk *disk_of(const ImportPlan *plan, unsigned number) {
        return plan->disks->pdata[number];
}

static bool make_empty(const ImportPlan *plan, GError **error) {
        for (unsigned i = 0; i < plan->disks->len; i++)
                if (!image_make_empty(file_of(plan, i)->fd, disk_of(plan, i)->size, error))
                        return false;
        return true;
}

/* New disks stay empty. */
static bool is_copied(const OvfMachine *machine, unsigned number) {
        return ((const OvfDisk *) machine->disks->pdata[number])->file;
}

/* *ret is NULL if there is nothing to copy. */
static bool
serve(const ImportPlan *plan, const OvfMachine *machine, ImageServer **ret, GError **error) {
        g_autoptr(GArray) images = g_array_new(FALSE, FALSE, sizeof(ServedImage));
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

        for (unsigned i = 0; i < plan->disks->len; i++) {
                char *path = import_file_path(file_of(plan, i));
                const ServedImage image = {disk_of(plan, i)->target, path, "qcow2", true};

                g_ptr_array_add(paths, path);
                if (is_copied(machine, i))
                        g_array_append_val(images, image);
        }
        *ret = NULL;
        if (images->len > 0)
                *ret = image_server_start(
                                (const ServedImage *) (void *) images->data, images->len, error);
        return *ret || images->len == 0;
}

static void close_target(void *data) {
        fd_close(&((DiskTarget *) data)->connection);
}

static GArray *connect_all(ImageServer *server,
                const ImportPlan *plan,
                const OvfMachine *machine,
                GError **error) {
        g_autoptr(GArray) targets = g_array_new(FALSE, FALSE, sizeof(DiskTarget));

        g_array_set_clear_func(targets, close_target);
        for (unsigned i = 0; i < plan->disks->len; i++) {
                DiskTarget target = {-1, disk_of(plan, i)->target};

                if (is_copied(machine, i))
                        target.connection = image_server_connect(server, error);
                if (is_copied(machine, i) && target.connection < 0)
                        return NULL;
                g_array_append_val(targets, target);
        }
        return g_steal_pointer(&targets);
}

/* "ok": so far. */
static bool stop(ImageServer *server, bool ok, GError **error) {
        bool ended_well = image_server_stop(server);

        if (ok && !ended_well)
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                "What was written of the images is not all there");
        return ok && ended_well;
}

static bool finish(const ImportPlan *plan, GError **error) {
        for (unsigned i = 0; i < plan->disks->len; i++) {
                const ImportFile *file = file_of(plan, i);
                g_autofree char *path = import_file_path(file);

                if (!image_check(path, "qcow2", error))
                        return false;
                if (fdatasync(file->fd) == 0)
                        continue;
                return error_fail(error_of_errno(errno), error, "Failed to write '%s': %s",
                                file->name, g_strerror(errno));
        }
        return true;
}

bool package_images_make(Job *job,
                const ImportPlan *plan,
                const OvfMachine *machine,
                const char *path,
                const char *description,
                GError **error) {
        g_autoptr(GArray) targets = NULL;
        ImageServer *server = NULL;
        bool ok;

        if (!make_empty(plan, error) || !serve(plan, machine, &server, error))
                return false;
        targets = connect_all(server, plan, machine, error);
        ok = targets && bundle_child_convert(job, path, description, targets, error);
        return stop(server, ok, error) && finish(plan, error);
}
