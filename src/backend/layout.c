/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The directories are fixed when libvirt is built (by its packages everywhere to the same), or
 * follow from the user or from the root directory of embedded QEMU. */

#include "backend/layout.h"

#include "util/number.h"

static char *embedded_root(GUri *uri) {
        g_autoptr(GHashTable) query = NULL;

        if (!g_uri_get_query(uri))
                return NULL;
        query = g_uri_parse_params(g_uri_get_query(uri), -1, "&", G_URI_PARAMS_NONE, NULL);
        return query ? g_strdup(g_hash_table_lookup(query, "root")) : NULL;
}

void layout_of_uri(const char *text, Layout *ret) {
        g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);

        *ret = (Layout){0};
        if (!uri || !g_str_equal(g_uri_get_scheme(uri), "qemu") ||
                        (g_uri_get_host(uri) && *g_uri_get_host(uri)))
                return;

        if (g_str_equal(g_uri_get_path(uri), "/system")) {
                ret->definitions = g_strdup("/etc/libvirt/qemu");
                ret->save = g_strdup("/var/lib/libvirt/qemu/save");
                ret->snapshots = g_strdup("/var/lib/libvirt/qemu/snapshot");
                ret->tpm = g_strdup("/var/lib/libvirt/swtpm");
                ret->run = g_strdup("/run/libvirt/qemu");
                ret->images = g_strdup("/var/lib/libvirt/images");
        } else if (g_str_equal(g_uri_get_path(uri), "/session")) {
                ret->definitions = g_build_filename(g_get_user_config_dir(), "libvirt/qemu", NULL);
                ret->save = g_build_filename(g_get_user_config_dir(), "libvirt/qemu/save", NULL);
                ret->snapshots = g_build_filename(
                                g_get_user_config_dir(), "libvirt/qemu/snapshot", NULL);
                ret->tpm = g_build_filename(g_get_user_config_dir(), "libvirt/qemu/swtpm", NULL);
                ret->run = g_build_filename(g_get_user_runtime_dir(), "libvirt/qemu/run", NULL);
                ret->images = g_build_filename(g_get_user_data_dir(), "libvirt/images", NULL);
        } else if (g_str_equal(g_uri_get_path(uri), "/embed") && (ret->root = embedded_root(uri))) {
                ret->definitions = g_build_filename(ret->root, "etc/qemu", NULL);
                ret->save = g_build_filename(ret->root, "lib/qemu/save", NULL);
                ret->snapshots = g_build_filename(ret->root, "lib/qemu/snapshot", NULL);
                ret->tpm = g_build_filename(ret->root, "lib/swtpm", NULL);
                ret->run = g_build_filename(ret->root, "run/qemu", NULL);
                ret->images = g_build_filename(ret->root, "images", NULL);
        }
}

void layout_of_connection(virConnectPtr connection, Layout *ret) {
        char *uri = virConnectGetURI(connection);

        layout_of_uri(uri ?: "", ret);
        free(uri);
}

void layout_of_domain(virDomainPtr domain, Layout *ret) {
        layout_of_connection(virDomainGetConnect(domain), ret);
}

void layout_clear(Layout *layout) {
        g_free(layout->root);
        g_free(layout->definitions);
        g_free(layout->save);
        g_free(layout->snapshots);
        g_free(layout->tpm);
        g_free(layout->run);
        g_free(layout->images);
}

uint64_t layout_read_pid(virDomainPtr domain) {
        g_auto(Layout) layout = {0};
        g_autofree char *name = g_strconcat(virDomainGetName(domain), ".pid", NULL);
        g_autofree char *path = NULL, *text = NULL;
        uint64_t pid;

        layout_of_domain(domain, &layout);
        if (!layout.run)
                return 0;
        path = g_build_filename(layout.run, name, NULL);
        if (!g_file_get_contents(path, &text, NULL, NULL) ||
                        !number_parse(g_strstrip(text), 1, INT32_MAX, &pid))
                return 0;
        return pid;
}
