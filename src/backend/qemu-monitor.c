/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* QMP: a line of JSON each way. QEMU greets, is told once that we understand it, and may put events
 * between a command and its answer (QEMU's docs/interop/qmp-spec.txt). */

#include "backend/qemu-monitor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/error.h"

#define PATIENCE_USEC (5 * G_USEC_PER_SEC)

struct QemuMonitor {
        FILE *stream; /* NULL: not connected */
        int fd;
        bool broken; /* an answer may still come, and would be taken for another's */
};

static bool fail(GError **error, const char *what) {
        int saved = errno;

        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND, "Failed to %s QEMU: %s", what,
                        g_strerror(saved));
        return false;
}

static bool set_patience(int fd, gint64 usec) {
        const struct timeval patience = {usec / G_USEC_PER_SEC, usec % G_USEC_PER_SEC};

        return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
               setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0;
}

static bool connect_to(QemuMonitor *monitor, const char *path, GError **error) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (!*path || strlen(path) >= sizeof(address.sun_path)) {
                errno = *path ? ENAMETOOLONG : ENOENT;
                return fail(error, "reach");
        }
        memcpy(address.sun_path, path, strlen(path));
        monitor->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (monitor->fd < 0 || !set_patience(monitor->fd, PATIENCE_USEC) ||
                        connect(monitor->fd, (const struct sockaddr *) &address, sizeof(address)) <
                                        0)
                return fail(error, "reach");
        monitor->stream = fdopen(monitor->fd, "r");
        return monitor->stream || fail(error, "reach");
}

QemuMonitor *qemu_monitor_new(const char *path, GError **error) {
        g_autoptr(QemuMonitor) monitor = g_new0(QemuMonitor, 1);
        g_autoptr(JsonNode) answer = NULL;

        monitor->fd = -1;
        if (!connect_to(monitor, path, error))
                return NULL;
        answer = qemu_monitor_ask(monitor, "qmp_capabilities", error);
        return answer ? g_steal_pointer(&monitor) : NULL;
}

QemuMonitor *qemu_monitor_free(QemuMonitor *monitor) {
        if (!monitor)
                return NULL;
        if (monitor->stream)
                (void) fclose(monitor->stream);
        else if (monitor->fd >= 0)
                (void) close(monitor->fd);
        g_free(monitor);
        return NULL;
}

/* 1: the answer. 0: something else, as a greeting or an event. -1: it has refused, or is no QEMU.
 */
static int take_line(const char *line, JsonNode **ret, GError **error) {
        g_autoptr(JsonNode) root = json_from_string(line, NULL);
        JsonObject *object =
                        root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;

        if (!object || json_object_has_member(object, "error")) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND, "QEMU refused: %s", line);
                return -1;
        }
        if (!json_object_has_member(object, "return"))
                return 0;
        *ret = json_node_copy(json_object_get_member(object, "return"));
        return 1;
}

/* Events don't make it longer. */
static bool read_line(QemuMonitor *monitor, gint64 end, char **line, size_t *size) {
        gint64 left = end - g_get_monotonic_time();

        errno = ETIMEDOUT;
        if (left <= 0 || !set_patience(monitor->fd, left))
                return false;
        errno = 0;
        if (getline(line, size, monitor->stream) >= 0)
                return true;
        errno = errno == EAGAIN ? ETIMEDOUT : errno ?: ECONNRESET;
        return false;
}

static JsonNode *read_answer(QemuMonitor *monitor, GError **error) {
        gint64 end = g_get_monotonic_time() + PATIENCE_USEC;
        char *line = NULL;
        size_t size = 0;
        JsonNode *answer = NULL;
        int r = 0;

        while (r == 0) {
                if (!read_line(monitor, end, &line, &size)) {
                        monitor->broken = true;
                        fail(error, "hear from");
                        break;
                }
                r = take_line(line, &answer, error);
        }
        free(line);
        return answer;
}

/* "arguments" is taken; NULL: none. */
static char *build(const char *command, JsonNode *arguments) {
        g_autoptr(JsonBuilder) builder = json_builder_new();
        g_autoptr(JsonNode) root = NULL;

        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "execute");
        json_builder_add_string_value(builder, command);
        if (arguments) {
                json_builder_set_member_name(builder, "arguments");
                json_builder_add_value(builder, arguments);
        }
        json_builder_end_object(builder);
        root = json_builder_get_root(builder);
        return json_to_string(root, false);
}

static JsonNode *ask(
                QemuMonitor *monitor, const char *command, JsonNode *arguments, GError **error) {
        g_autofree char *object = build(command, arguments);
        g_autofree char *line = g_strconcat(object, "\n", NULL);
        size_t length = strlen(line);

        if (monitor->broken) {
                errno = ECONNRESET;
                fail(error, "tell");
                return NULL;
        }
        /* It is far shorter than what the socket takes at once. */
        if (send(monitor->fd, line, length, MSG_NOSIGNAL) != (ssize_t) length) {
                fail(error, "tell");
                return NULL;
        }
        return read_answer(monitor, error);
}

JsonNode *qemu_monitor_ask(QemuMonitor *monitor, const char *command, GError **error) {
        return ask(monitor, command, NULL, error);
}

bool qemu_monitor_tell(QemuMonitor *monitor, const char *command, ...) {
        JsonObject *object = json_object_new();
        JsonNode *arguments = json_node_new(JSON_NODE_OBJECT);
        g_autoptr(JsonNode) answer = NULL;
        const char *name;
        va_list args;

        va_start(args, command);
        while ((name = va_arg(args, const char *)))
                json_object_set_string_member(object, name, va_arg(args, const char *));
        va_end(args);
        json_node_take_object(arguments, object);
        answer = ask(monitor, command, arguments, NULL);
        return answer;
}

GPtrArray *qemu_answer_objects(JsonNode *answer, const char *inside) {
        JsonArray *all = JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;
        GPtrArray *objects = g_ptr_array_new();

        for (unsigned i = 0; all && i < json_array_get_length(all); i++) {
                JsonNode *node = json_array_get_element(all, i);

                if (inside)
                        node = JSON_NODE_HOLDS_OBJECT(node)
                                               ? json_object_get_member(
                                                                 json_node_get_object(node), inside)
                                               : NULL;
                if (node && JSON_NODE_HOLDS_OBJECT(node))
                        g_ptr_array_add(objects, json_node_get_object(node));
        }
        return objects;
}

const char *qemu_answer_text(JsonObject *object, const char *name) {
        JsonNode *node = object ? json_object_get_member(object, name) : NULL;

        return node && JSON_NODE_HOLDS_VALUE(node) &&
                                               json_node_get_value_type(node) == G_TYPE_STRING
                               ? json_node_get_string(node)
                               : NULL;
}

bool qemu_answer_has(JsonNode *answer, const char *inside, const char *name, const char *text) {
        g_autoptr(GPtrArray) objects = qemu_answer_objects(answer, inside);

        for (unsigned i = 0; text && i < objects->len; i++)
                if (g_strcmp0(qemu_answer_text(objects->pdata[i], name), text) == 0)
                        return true;
        return false;
}

const char *qemu_answer_file(JsonNode *nodes, const char *node, unsigned *ret_number) {
        g_autoptr(GPtrArray) all = qemu_answer_objects(nodes, NULL);
        g_autofree char *storage = NULL;
        unsigned number;

        if (!node || sscanf(node, "libvirt-%u-format", &number) != 1)
                return NULL;
        storage = g_strdup_printf("libvirt-%u-storage", number);
        if (ret_number)
                *ret_number = number;
        for (unsigned i = 0; i < all->len; i++)
                if (g_strcmp0(qemu_answer_text(all->pdata[i], "node-name"), storage) == 0)
                        return qemu_answer_text(all->pdata[i], "file");
        return NULL;
}
