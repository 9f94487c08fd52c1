/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The images of a chain are opened here, and qemu-img gets the descriptors and a description of how
 * they lie on each other: names in headers lead nowhere, and a file that is exchanged meanwhile is
 * not read. While it reads, QEMU's locks keep everybody from writing. */

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "bundle/image-make.h"
#include "image/image-facts.h"
#include "util/error.h"
#include "util/fd.h"

#define LOCAL        "/proc/self/fd/3"
#define FIRST_SOURCE 4U /* descriptor of the child */

static void close_one(void *fd) {
        fd_close(fd);
}

static bool open_image(
                const ImageFacts *facts, const char *const *beneath, GArray *fds, GError **error) {
        g_autofree char *path = NULL;
        struct stat st;
        int fd = image_open(facts->path, beneath, &path, &st, error);

        if (fd < 0)
                return false;
        g_array_append_val(fds, fd);
        return (st.st_dev == facts->device && st.st_ino == facts->inode) ||
               error_fail(VIRTASK_ERROR_FILE_IN_USE, error, "The image '%s' is being replaced",
                               facts->path);
}

/* What QEMU shall open: the image at that place of the chain, and what lies below it. */
static JsonNode *describe(const GPtrArray *chain, unsigned i) {
        const ImageFacts *facts = chain->pdata[i];
        g_autofree char *name = g_strdup_printf("/proc/self/fd/%u", FIRST_SOURCE + i);
        JsonObject *object = json_object_new(), *file = json_object_new();
        JsonNode *node = json_node_new(JSON_NODE_OBJECT);

        json_object_set_string_member(file, "driver", "file");
        json_object_set_string_member(file, "filename", name);
        json_object_set_string_member(object, "driver", facts->format);
        json_object_set_object_member(object, "file", file);
        if (i + 1 < chain->len)
                json_object_set_member(object, "backing", describe(chain, i + 1));
        else if (strcmp(facts->format, "qcow2") == 0)
                json_object_set_null_member(object, "backing");
        json_node_take_object(node, object);
        return node;
}

static char *describe_all(const GPtrArray *chain) {
        g_autoptr(JsonNode) node = describe(chain, 0);
        g_autofree char *text = json_to_string(node, FALSE);

        return g_strconcat("json:", text, NULL);
}

static bool fail(GError *cause, GError **error) {
        if (strstr(cause->message, "Is another process using the image"))
                cause->code = VIRTASK_ERROR_FILE_IN_USE;
        else if (strstr(cause->message, g_strerror(EFBIG)))
                cause->code = VIRTASK_ERROR_FILE_TOO_LARGE;
        g_propagate_error(error, cause);
        return false;
}

bool image_make_converted(int target,
                const char *format,
                const char *options,
                const GPtrArray *chain,
                const char *const *beneath,
                const ImageMakeHooks *hooks,
                GError **error) {
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        int copy = fcntl(target, F_DUPFD_CLOEXEC, 0);
        g_autofree char *source = describe_all(chain);
        const char *with[] = {"qemu-img", "convert", "-p", "-m", "8", "-W", "-O", format, "-o",
                        options, source, LOCAL, NULL};
        const char *without[] = {"qemu-img", "convert", "-p", "-m", "8", "-W", "-O", format, source,
                        LOCAL, NULL};
        GError *cause = NULL;

        g_array_set_clear_func(fds, close_one);
        if (copy < 0)
                return error_fail(VIRTASK_ERROR_FAILED, error, "There are no descriptors left");
        g_array_append_val(fds, copy);
        for (unsigned i = 0; i < chain->len; i++)
                if (!open_image(chain->pdata[i], beneath, fds, error))
                        return false;
        return image_make_run(options ? with : without, (const int *) (const void *) fds->data,
                               fds->len, hooks, &cause) ||
               fail(cause, error);
}
