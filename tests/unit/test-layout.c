/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "layout"

#include "backend/layout.h"
#include "support.h"

/* "qemu" is where libvirt's driver keeps its files. */
static void assert_layout(const char *uri,
                const char *root,
                const char *definitions,
                const char *qemu,
                const char *run,
                const char *images) {
        g_auto(Layout) layout = {0};
        g_autofree char *save = qemu ? g_build_filename(qemu, "save", NULL) : NULL;
        g_autofree char *snapshots = qemu ? g_build_filename(qemu, "snapshot", NULL) : NULL;

        layout_of_uri(uri, &layout);
        g_assert_cmpstr(layout.root, ==, root);
        g_assert_cmpstr(layout.definitions, ==, definitions);
        g_assert_cmpstr(layout.save, ==, save);
        g_assert_cmpstr(layout.snapshots, ==, snapshots);
        g_assert_cmpstr(layout.run, ==, run);
        g_assert_cmpstr(layout.images, ==, images);
}

static void the_system_has_its_directories(void) {
        assert_layout("qemu:///system", NULL, "/etc/libvirt/qemu", "/var/lib/libvirt/qemu",
                        "/run/libvirt/qemu", "/var/lib/libvirt/images");
}

static void a_session_has_those_of_its_user(void) {
        g_autofree char *qemu = g_build_filename(g_get_user_config_dir(), "libvirt/qemu", NULL);
        g_autofree char *run = g_build_filename(g_get_user_runtime_dir(), "libvirt/qemu/run", NULL);

        g_autofree char *images = g_build_filename(g_get_user_data_dir(), "libvirt/images", NULL);

        assert_layout("qemu:///session", NULL, qemu, qemu, run, images);
}

static void embedded_qemu_has_those_below_its_root(void) {
        assert_layout("qemu:///embed?root=/srv/a%20b", "/srv/a b", "/srv/a b/etc/qemu",
                        "/srv/a b/lib/qemu", "/srv/a b/run/qemu", "/srv/a b/images");
        assert_layout("qemu:///embed?x=1&root=/r", "/r", "/r/etc/qemu", "/r/lib/qemu",
                        "/r/run/qemu", "/r/images");
}

static void without_a_root_nothing_is_known(void) {
        assert_layout("qemu:///embed", NULL, NULL, NULL, NULL, NULL);
        assert_layout("qemu:///embed?x=1", NULL, NULL, NULL, NULL, NULL);
}

static void the_files_of_another_host_are_not_ours(void) {
        assert_layout("qemu://host/system", NULL, NULL, NULL, NULL, NULL);
        assert_layout("qemu+ssh://user@host/system", NULL, NULL, NULL, NULL, NULL);
}

static void another_driver_has_none(void) {
        assert_layout("test:///default", NULL, NULL, NULL, NULL, NULL);
        assert_layout("xen:///system", NULL, NULL, NULL, NULL, NULL);
        assert_layout("qemu:///other", NULL, NULL, NULL, NULL, NULL);
        assert_layout("no uri", NULL, NULL, NULL, NULL, NULL);
        assert_layout("", NULL, NULL, NULL, NULL, NULL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(the_system_has_its_directories);
        ADD(a_session_has_those_of_its_user);
        ADD(embedded_qemu_has_those_below_its_root);
        ADD(without_a_root_nothing_is_known);
        ADD(the_files_of_another_host_are_not_ours);
        ADD(another_driver_has_none);
        return g_test_run();
}
