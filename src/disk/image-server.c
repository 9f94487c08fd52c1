/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The socket is ours before the server is there, in a directory that only we may look into, and
 * whoever connects early waits in its queue. */

#include "disk/image-server.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/child.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/log.h"

#define PROGRAM "qemu-storage-daemon"
#define SOCKET  "nbd"

struct ImageServer {
        GThread *thread; /* the program ends with it */
        GPtrArray *arguments;
        int listener;
        char *directory;
        struct sockaddr_un address;
        _Atomic bool stop;
        bool ended_well; /* of the thread, until that has ended */
};

static bool fail(const char *what, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "Failed to %s: %s", what,
                        g_strerror(errno));
        return false;
}

/* The program */

/* It ends at once when it has to, although there is much to write: that is not on the disk before
 * somebody syncs it, which its owner does. */
static JsonObject *without_flush(void) {
        JsonObject *cache = json_object_new();

        json_object_set_boolean_member(cache, "no-flush", true);
        return cache;
}

static char *describe(const ServedImage *image) {
        g_autoptr(JsonNode) node = json_node_alloc();
        g_autoptr(JsonObject) object = json_object_new();
        JsonObject *file = json_object_new();

        json_object_set_string_member(file, "driver", "file");
        json_object_set_string_member(file, "filename", image->path);
        json_object_set_string_member(object, "driver", image->format);
        json_object_set_string_member(object, "node-name", image->name);
        json_object_set_boolean_member(object, "read-only", !image->writable);
        if (image->writable)
                json_object_set_object_member(object, "cache", without_flush());
        json_object_set_object_member(object, "file", file);
        json_node_init_object(node, object);
        return json_to_string(node, false);
}

static void add(GPtrArray *arguments, const char *option, char *value) {
        g_ptr_array_add(arguments, g_strdup(option));
        g_ptr_array_add(arguments, value);
}

static GPtrArray *make_arguments(const ServedImage *images, size_t n) {
        GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(arguments, g_strdup(PROGRAM));
        add(arguments, "--nbd-server", g_strdup("addr.type=fd,addr.str=3,max-connections=0"));
        for (size_t i = 0; i < n; i++) {
                add(arguments, "--blockdev", describe(images + i));
                add(arguments, "--export",
                                g_strdup_printf("nbd,id=%s,node-name=%s,name=%s,writable=%s",
                                                images[i].name, images[i].name, images[i].name,
                                                images[i].writable ? "on" : "off"));
        }
        g_ptr_array_add(arguments, NULL);
        return arguments;
}

static bool on_stop(void *userdata) {
        return atomic_load(&((ImageServer *) userdata)->stop);
}

static void *serve(void *userdata) {
        ImageServer *server = userdata;
        const ChildHooks hooks = {
                        .stop = on_stop,
                        .userdata = server,
                        .descriptors = &server->listener,
                        .n_descriptors = 1,
        };
        g_autoptr(GError) error = NULL;

        server->ended_well = child_run(
                        (const char *const *) server->arguments->pdata, &hooks, NULL, &error);
        if (!server->ended_well && !g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED))
                log_warning("Images are not served any more: %s", error->message);
        fd_close(&server->listener); /* whoever waits in its queue is told */
        return NULL;
}

/* The socket */

static bool make_directory(ImageServer *server, GError **error) {
        const char *runtime = g_getenv("RUNTIME_DIRECTORY") ?: g_getenv("XDG_RUNTIME_DIR");

        server->directory = g_build_filename(runtime ?: g_get_tmp_dir(), "virtask-XXXXXX", NULL);
        return g_mkdtemp_full(server->directory, 0700) || fail("make a directory", error);
}

static bool listen_there(ImageServer *server, GError **error) {
        g_autofree char *path = g_build_filename(server->directory, SOCKET, NULL);

        if (strlen(path) >= sizeof(server->address.sun_path)) {
                errno = ENAMETOOLONG;
                return fail("make a socket", error);
        }
        server->address.sun_family = AF_UNIX;
        (void) g_strlcpy(server->address.sun_path, path, sizeof(server->address.sun_path));
        server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return (server->listener >= 0 &&
                               bind(server->listener, (struct sockaddr *) &server->address,
                                               sizeof(server->address)) == 0 &&
                               listen(server->listener, SOMAXCONN) == 0) ||
               fail("make a socket", error);
}

ImageServer *image_server_start(const ServedImage *images, size_t n, GError **error) {
        ImageServer *server = g_new0(ImageServer, 1);

        server->listener = -1;
        server->arguments = make_arguments(images, n);
        if (!make_directory(server, error) || !listen_there(server, error)) {
                (void) image_server_stop(server);
                return NULL;
        }
        server->thread = g_thread_new("images", serve, server);
        return server;
}

int image_server_connect(ImageServer *server, GError **error) {
        auto_fd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0 && connect(fd, (struct sockaddr *) &server->address, sizeof(server->address)) ==
                                        0)
                return fd_take(&fd);
        fail("connect to a server of images", error);
        return -1;
}

bool image_server_stop(ImageServer *server) {
        bool ended_well;

        if (!server)
                return true;
        atomic_store(&server->stop, true);
        if (server->thread)
                (void) g_thread_join(server->thread);
        fd_close(&server->listener);
        if (server->address.sun_path[0])
                (void) unlink(server->address.sun_path);
        if (server->directory)
                (void) rmdir(server->directory);
        ended_well = server->ended_well;
        g_ptr_array_unref(server->arguments);
        g_free(server->directory);
        g_free(server);
        return ended_well;
}
