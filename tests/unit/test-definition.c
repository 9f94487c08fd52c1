/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "definition"

#include <string.h>

#include "snapshot/definition.h"
#include "snapshot/names.h"
#include "support.h"

#define DOMAIN(tag, path, secret)                                                                  \
        "<" tag " type='qemu'><name>web</name><metadata><x:a xmlns:x='u'>then</x:a></metadata>"    \
        "<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/>"                \
        "<source file='" path "'><seclabel model='dac' relabel='no'/></source>"                    \
        "<backingStore type='file'><source file='/below'/></backingStore>"                         \
        "<target dev='vda'/></disk>"                                                               \
        "<disk type='file' device='cdrom'><source file='/cd.iso'/><target dev='hdc'/></disk>"      \
        "<graphics type='vnc' passwd='" secret "'/></devices></" tag ">"

static const char snapshot_text[] =
                "<domainsnapshot><name>one</name><parent><name>root &amp; co</name></parent>"
                "<state>running</state><creationTime>17</creationTime>"
                "<memory snapshot='external' file='/m'/>"
                "<disks><disk name='vda' snapshot='external' type='file'>"
                "<source file='/disk.one'/></disk><disk name='hdc' snapshot='no'/></disks>" DOMAIN(
                                "domain", "/disk", "p&lt;")
                                DOMAIN("inactiveDomain", "/disk", "q") "</domainsnapshot>";

static void a_description_is_read(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(SnapshotDefinition) snapshot = snapshot_definition_parse(snapshot_text, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(snapshot->id, ==, "one");
        g_assert_cmpstr(snapshot->parent, ==, "root & co");
        g_assert_cmpstr(snapshot->state, ==, "running");
        g_assert_cmpstr(snapshot->memory_file, ==, "/m");
        g_assert_true(snapshot->external);
        g_assert_cmpuint(snapshot->targets->len, ==, 1);
        g_assert_cmpstr(snapshot->targets->pdata[0], ==, "vda");
        g_assert_true(g_hash_table_contains(snapshot->overlays, "/disk.one"));
        g_assert_nonnull(strstr(snapshot->domain, "passwd=\"p&lt;\""));
        g_assert_nonnull(strstr(snapshot->domain_to_define, "<domain type"));
        g_assert_nonnull(strstr(snapshot->domain_to_define, "passwd=\"q\""));
}

static void a_snapshot_inside_its_image_is_none_of_overlays(void) {
        g_autoptr(SnapshotDefinition) snapshot = snapshot_definition_parse(
                        "<domainsnapshot><name>i</name><state>shutoff</state>"
                        "<disks><disk name='vda' snapshot='internal'/></disks>" DOMAIN(
                                        "domain", "/disk", "") "</domainsnapshot>",
                        NULL);

        g_assert_false(snapshot->external);
        g_assert_null(snapshot->parent);
        g_assert_null(snapshot->memory_file);
        g_assert_nonnull(snapshot->domain_to_define);
}

static void what_is_no_description_is_refused(void) {
        const char *const others[] = {"", "<", "<domainsnapshot/>",
                        "<domainsnapshot><name>x</name></domainsnapshot>",
                        "<domainsnapshot><name>x</name><state>off</state></domainsnapshot>"};

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(snapshot_definition_parse(others[i], &error));
                assert_error(error, BACKEND);
        }
}

static unsigned count(const char *text, const char *part) {
        unsigned n = 0;

        while ((text = strstr(text, part))) {
                text += strlen(part);
                n++;
        }
        return n;
}

static void an_image_is_replaced_wherever_a_disk_has_it(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = definition_replace_image(
                        snapshot_text, "/disk", "/new & \"better\"", "qcow2", &error);

        g_assert_no_error(error);
        g_assert_cmpuint(count(text, "/new &amp; &quot;better&quot;"), ==, 2);
        g_assert_cmpuint(count(text, "type=\"qcow2\""), ==, 2);
        g_assert_cmpuint(count(text, "backingStore"), ==, 0);
        g_assert_cmpuint(count(text, "\"/disk\""), ==, 0);
        g_assert_cmpuint(count(text, "/disk.one"), ==, 1); /* what was made with it */
        g_assert_cmpuint(count(text, "relabel"), ==, 2);
        g_assert_null(definition_replace_image(snapshot_text, "/other", "/x", "raw", &error));
        g_assert_no_error(error);
}

static void a_chain_with_the_image_is_forgotten(void) {
        static const char chain[] =
                        "<domain><devices><disk><source file='/top'/><target dev='vda'/>"
                        "<backingStore><source file='/middle'/>"
                        "<backingStore><source file='/base'/></backingStore></backingStore></disk>"
                        "</devices></domain>";
        g_autofree char *text = definition_forget_chain(chain, "/base", NULL);

        g_assert_cmpuint(count(text, "backingStore"), ==, 0);
        g_assert_cmpuint(count(text, "\"/top\""), ==, 1);
        g_assert_null(definition_forget_chain(chain, "/other", NULL));
        g_assert_null(definition_forget_chain(chain, "/top", NULL));
}

static void a_disk_gets_an_image(void) {
        g_autofree char *text = definition_set_image(
                        snapshot_text, "inactiveDomain", "vda", "/right", "qcow2", NULL);
        g_autofree char *alone = definition_set_image(
                        DOMAIN("domain", "/disk", ""), NULL, "vda", "/right", "qcow2", NULL);

        g_assert_cmpuint(count(text, "\"/right\""), ==, 1);
        g_assert_cmpuint(count(text, "\"/disk\""), ==, 1);
        g_assert_cmpuint(count(text, "/cd.iso"), ==, 2);
        g_assert_cmpuint(count(alone, "\"/right\""), ==, 1);
        g_assert_null(definition_set_image(alone, NULL, "vda", "/right", "qcow2", NULL));
        g_assert_null(definition_set_image(alone, NULL, "vdb", "/right", "qcow2", NULL));
}

static void name_and_notes_are_those_of_today(void) {
        g_autofree char *with = definition_with_identity(DOMAIN("domain", "/disk", ""),
                        "<domain><name>new</name><metadata><y:b xmlns:y='v'>today</y:b></metadata>"
                        "</domain>",
                        NULL);
        g_autofree char *without = definition_with_identity(
                        DOMAIN("domain", "/disk", ""), "<domain><name>new</name></domain>", NULL);

        g_assert_nonnull(strstr(with, "today"));
        g_assert_null(strstr(with, "then"));
        g_assert_true(definition_has_name(with, "new"));
        g_assert_false(definition_has_name(with, "web"));
        g_assert_null(strstr(without, "metadata"));
}

static void a_new_snapshot_says_what_takes_part(void) {
        g_autoptr(GPtrArray) targets = g_ptr_array_new();
        g_autoptr(GHashTable) overlays = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *text = NULL, *without = NULL;

        g_ptr_array_add(targets, (char *) "vda");
        g_ptr_array_add(targets, (char *) "hdc");
        g_hash_table_insert(overlays, (char *) "vda", (char *) "/a<b>&'\".qcow2");
        text = definition_of_new_snapshot("id", "notes <&>", "/memory", targets, overlays);
        g_assert_nonnull(strstr(text, "<description>notes &lt;&amp;&gt;</description>"));
        g_assert_nonnull(strstr(text, "<memory snapshot=\"external\" file=\"/memory\"/>"));
        g_assert_nonnull(strstr(text, "<disk name=\"hdc\" snapshot=\"no\"/>"));
        g_assert_nonnull(strstr(text, "file=\"/a&lt;b&gt;&amp;'&quot;.qcow2\""));
        without = definition_of_new_snapshot("id", NULL, NULL, targets, overlays);
        g_assert_nonnull(strstr(without, "<memory snapshot=\"no\"/>"));
}

static void an_overlay_lies_beside_its_base(void) {
        static const char uuid[] = "e2c01234-0000-0000-0000-000000000000";
        auto_directory directory = test_directory_new();
        g_autofree char *base = g_build_filename(directory, "disk.v1.qcow2", NULL);
        g_autofree char *expected =
                        g_build_filename(directory, "disk.one.e2c01234-vda.qcow2", NULL);
        g_autoptr(GHashTable) images = g_hash_table_new(g_str_hash, g_str_equal);
        const SnapshotTree tree = {.images = images};
        g_autofree char *path = snapshot_overlay_path(&tree, base, "one", uuid, "vda");
        g_autofree char *other = snapshot_overlay_path(&tree, base, "one", uuid, "vdb");
        g_autofree char *second = NULL, *third = NULL;

        g_assert_cmpstr(path, ==, expected);
        g_assert_cmpstr(other, !=, expected);
        test_write(directory, "disk.one.e2c01234-vda.qcow2", "");
        second = snapshot_overlay_path(&tree, base, "one", uuid, "vda");
        g_assert_true(g_str_has_suffix(second, "/disk.one.e2c01234-vda.2.qcow2"));
        g_hash_table_add(images, second); /* and is missing */
        third = snapshot_overlay_path(&tree, base, "one", uuid, "vda");
        g_assert_true(g_str_has_suffix(third, "/disk.one.e2c01234-vda.3.qcow2"));
}

static void an_id_is_safe_and_new(void) {
        const struct {
                const char *wish, *id;
        } cases[] = {{NULL, "snapshot-1"}, {"", "snapshot-1"}, {"before", "before"},
                        {"a b/c", "a-b-c"}, {"../x", "_.-x"}, {"-rf", "_rf"}, {"é", "--"},
                        {"taken", "taken-2"}};
        SnapshotDefinition taken = {.id = (char *) "taken"};
        SnapshotTree tree = {.snapshots = g_ptr_array_new()};

        g_ptr_array_add(tree.snapshots, &taken);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *id = snapshot_new_id(&tree, cases[i].wish, "snapshot");

                if (!g_str_equal(cases[i].id, "--"))
                        g_assert_cmpstr(id, ==, cases[i].id);
                g_assert_true(g_ascii_isalnum(*id) || *id == '_');
                g_assert_null(strchr(id, '/'));
        }
        g_ptr_array_unref(tree.snapshots);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_description_is_read);
        ADD(a_snapshot_inside_its_image_is_none_of_overlays);
        ADD(what_is_no_description_is_refused);
        ADD(an_image_is_replaced_wherever_a_disk_has_it);
        ADD(a_chain_with_the_image_is_forgotten);
        ADD(a_disk_gets_an_image);
        ADD(name_and_notes_are_those_of_today);
        ADD(a_new_snapshot_says_what_takes_part);
        ADD(an_overlay_lies_beside_its_base);
        ADD(an_id_is_safe_and_new);
        return g_test_run();
}
