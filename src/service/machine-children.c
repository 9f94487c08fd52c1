/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/machine-children.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "service/manager.h"
#include "util/log.h"

/* Not those that are on their way out of the table. */
static void *find_at(const ChildKind *kind, const VirtualMachine *vm, unsigned i) {
        return kind->find(vm, ((const SnapshotFacts *) kind->facts(vm)->pdata[i])->id);
}

/* The node is no object, but who walks the tree has to find it too. Freed by sd-bus. */
static char **list_node(const ChildKind *kind, const VirtualMachine *vm) {
        char **nodes = calloc(2, sizeof(char *));

        if (nodes && kind->facts(vm)->len > 0 &&
                        asprintf(&nodes[0], "%s%s", vm->path, kind->node) < 0)
                nodes[0] = NULL;
        return nodes;
}

static char **list_objects(const ChildKind *kind, const VirtualMachine *vm) {
        unsigned count = kind->facts(vm)->len, n = 0;
        char **nodes = calloc(count + 1, sizeof(char *));

        for (unsigned i = 0; nodes && i < count; i++) {
                const void *object = find_at(kind, vm, i);

                if (object)
                        nodes[n++] = strdup(kind->path(object));
        }
        return nodes;
}

int machine_children_enumerate(
                const ChildKind *kind, Manager *manager, const char *prefix, char ***ret_nodes) {
        bool inner = g_str_has_suffix(prefix, kind->node);
        g_autofree char *path = inner ? g_strndup(prefix, strlen(prefix) - strlen(kind->node))
                                      : g_strdup(prefix);
        const VirtualMachine *vm = vm_at_path(manager, path);

        if (!vm)
                return 0;
        *ret_nodes = inner ? list_objects(kind, vm) : list_node(kind, vm);
        return *ret_nodes ? 0 : -ENOMEM;
}

int machine_children_append(
                const ChildKind *kind, const VirtualMachine *vm, sd_bus_message *message) {
        unsigned count = kind->facts(vm)->len;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < count; i++) {
                void *object = find_at(kind, vm, i);

                if (!object)
                        continue;
                r = sd_bus_message_open_container(message, 'e', "oa{sa{sv}}");
                if (r >= 0)
                        r = bus_append_object(
                                        message, kind->path(object), kind->interfaces, object);
                if (r >= 0)
                        r = sd_bus_message_close_container(message);
        }
        return r;
}

static void check(const char *path, int r) {
        if (r < 0)
                log_warning("Failed to send a signal of %s: %s", path, g_strerror(-r));
}

void machine_child_emit_added(const ChildKind *kind, const VirtualMachine *vm, void *object) {
        const char *path = kind->path(object);

        check(path, bus_emit_added(vm->manager->bus, BUS_ROOT, path, kind->interfaces, object));
}

void machine_child_emit_removed(
                const ChildKind *kind, const VirtualMachine *vm, const void *object) {
        const char *path = kind->path(object);

        check(path, sd_bus_emit_interfaces_removed(
                                    vm->manager->bus, path, kind->interfaces->name, NULL));
}
