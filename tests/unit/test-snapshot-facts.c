/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "snapshot-facts"

#include <libvirt/virterror.h>

#include "backend/backend.h"
#include "backend/snapshot-facts.h"
#include "backend/snapshot-metadata.h"
#include "support.h"

static virConnectPtr connection;
static virDomainPtr domain;

static void setup(void) {
        domain = virDomainDefineXML(connection,
                        "<domain type='test'><name>snapped</name><memory>1024</memory>"
                        "<os><type>hvm</type></os><devices><disk type='file' device='disk'>"
                        "<source file='/base'/><target dev='vda'/></disk></devices></domain>");
        g_assert_nonnull(domain);
}

static void teardown(void) {
        g_assert_cmpint(virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA), ==,
                        0);
        g_clear_pointer(&domain, virDomainFree);
}

/* A snapshot that was made at this second of the epoch, with the rest of its description. */
static void redefine(const char *id, const char *parent, unsigned created, const char *rest) {
        g_autofree char *head = g_markup_printf_escaped(
                        "<name>%s</name><creationTime>%u</creationTime>", id, created);
        g_autofree char *tail =
                        parent ? g_markup_printf_escaped("<parent><name>%s</name></parent>", parent)
                               : NULL;
        char *definition = virDomainGetXMLDesc(domain, 0);
        g_autofree char *text = g_strconcat("<domainsnapshot>", head, rest, definition,
                        tail ? tail : "", "</domainsnapshot>", NULL);
        g_autoptr(virDomainSnapshot) snapshot = virDomainSnapshotCreateXML(
                        domain, text, VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE);

        g_assert_nonnull(snapshot);
        free(definition);
}

static void read_both(GPtrArray **ret_snapshots, GPtrArray **ret_points) {
        g_autoptr(GError) error = NULL;

        (void) snapshot_facts_read(domain, ret_snapshots, ret_points, &error);
        g_assert_no_error(error);
}

static GPtrArray *read_all(void) {
        g_autoptr(GPtrArray) points = NULL;
        GPtrArray *all = NULL;

        read_both(&all, &points);
        g_assert_cmpuint(points->len, ==, 0);
        return all;
}

/* "id,id," */
static char *ids(void) {
        g_autoptr(GPtrArray) all = read_all();
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; i < all->len; i++)
                g_string_append_printf(text, "%s,", ((SnapshotFacts *) all->pdata[i])->id);
        return g_string_free(text, FALSE);
}

#define OFF      "<state>shutoff</state><memory snapshot='no'/>"
#define INTERNAL "<state>running</state><memory snapshot='internal'/>"

static void without_snapshots_all_share_one_empty_list(void) {
        g_autoptr(GPtrArray) all = NULL, again = NULL;

        setup();
        all = read_all();
        again = snapshot_facts_none();
        g_assert_cmpuint(all->len, ==, 0);
        g_assert_true(all == again);
        g_assert_null(snapshot_facts_find(all, "s1"));
        g_assert_null(snapshot_facts_current(all));
        teardown();
}

static void an_internal_snapshot_of_a_running_guest_holds_memory(void) {
        g_autoptr(GPtrArray) all = NULL;
        const SnapshotFacts *facts;

        setup();
        redefine("s1", NULL, 1700000000, "<description>why</description>" INTERNAL);
        all = read_all();
        facts = snapshot_facts_find(all, "s1");
        g_assert_cmpstr(facts->id, ==, "s1");
        g_assert_cmpstr(facts->name, ==, "s1");
        g_assert_cmpstr(facts->notes, ==, "why");
        g_assert_null(facts->parent);
        g_assert_cmpint(facts->created, ==, INT64_C(1700000000000000));
        g_assert_cmpuint(facts->type, ==, 2);
        g_assert_cmpuint(facts->consistency, ==, 0);
        g_assert_null(facts->memory_file);
        g_assert_false(facts->external);
        g_assert_true(facts->has_memory);
        g_assert_false(facts->current);
        teardown();
}

static void a_snapshot_of_a_machine_that_is_off_holds_none(void) {
        g_autoptr(GPtrArray) all = NULL;
        const SnapshotFacts *facts;

        setup();
        redefine("s1", NULL, 1700000000, OFF);
        all = read_all();
        facts = snapshot_facts_find(all, "s1");
        g_assert_cmpuint(facts->type, ==, 3);
        g_assert_false(facts->has_memory);
        g_assert_false(facts->external);
        g_assert_null(facts->notes);
        teardown();
}

/* What it is does not change when the memory is dropped, what it holds does. */
static void external_memory_counts_as_long_as_its_file_is_there(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *file = g_build_filename(directory, "memory & more", NULL);
        g_autofree char *rest = g_markup_printf_escaped(
                        "<state>running</state><memory snapshot='external' file='%s'/>"
                        "<disks><disk name='vda' snapshot='external'><source file='/overlay'/>"
                        "</disk></disks>",
                        file);
        g_autoptr(GPtrArray) before = NULL, after = NULL;
        const SnapshotFacts *facts;

        setup();
        redefine("s1", NULL, 1700000000, rest);
        test_write(directory, "memory & more", "x");
        before = read_all();
        facts = snapshot_facts_find(before, "s1");
        g_assert_cmpuint(facts->type, ==, 2);
        g_assert_true(facts->external);
        g_assert_true(facts->has_memory);
        g_assert_cmpstr(facts->memory_file, ==, file);

        g_assert_cmpint(remove(file), ==, 0);
        after = read_all();
        facts = snapshot_facts_find(after, "s1");
        g_assert_cmpuint(facts->type, ==, 2);
        g_assert_true(facts->external);
        g_assert_false(facts->has_memory);
        g_assert_null(facts->memory_file);
        teardown();
}

static void overlays_alone_are_external_too(void) {
        g_autoptr(GPtrArray) all = NULL;
        const SnapshotFacts *facts;

        setup();
        redefine("s1", NULL, 1700000000,
                        "<state>disk-snapshot</state><memory snapshot='no'/><disks>"
                        "<disk name='vda' snapshot='external'><source "
                        "file='/overlay'/></disk></disks>");
        all = read_all();
        facts = snapshot_facts_find(all, "s1");
        g_assert_true(facts->external);
        g_assert_cmpuint(facts->type, ==, 3);
        g_assert_false(facts->has_memory);
        teardown();
}

static void our_notes_come_before_libvirts(void) {
        char id[] = "s1", name[] = "a<b&\"c", notes[] = "ours";
        const SnapshotMetadata entry = {id, name, notes, NULL, 32768, 1};
        g_autoptr(GPtrArray) all = NULL;
        const SnapshotFacts *facts;

        setup();
        redefine("s1", NULL, 1700000000, "<description>libvirt's</description>" INTERNAL);
        redefine("s2", "s1", 1700000001, "<description>libvirt's</description>" INTERNAL);
        g_assert_true(snapshot_metadata_set(domain, &entry, NULL));
        all = read_all();
        facts = snapshot_facts_find(all, "s1");
        g_assert_cmpstr(facts->id, ==, "s1");
        g_assert_cmpstr(facts->name, ==, "a<b&\"c");
        g_assert_cmpstr(facts->notes, ==, "ours");
        g_assert_cmpuint(facts->type, ==, 32768);
        g_assert_cmpuint(facts->consistency, ==, 1);
        facts = snapshot_facts_find(all, "s2");
        g_assert_cmpstr(facts->name, ==, "s2");
        g_assert_cmpstr(facts->notes, ==, "libvirt's");
        teardown();
}

static void hostile_ids_are_read(void) {
        const char *names[] = {"a<b&\"c", "it's", "Büro 漢字", "a/b", ".", "%s"};

        setup();
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autoptr(GPtrArray) all = NULL;

                redefine(names[i], NULL, 1700000000, OFF);
                all = read_all();
                g_assert_nonnull(snapshot_facts_find(all, names[i]));
        }
        teardown();
}

static void parents_come_first_and_then_the_older(void) {
        g_autofree char *order = NULL;

        setup();
        redefine("root", NULL, 1700000010, OFF);
        redefine("young", "root", 1700000040, OFF);
        redefine("old", "root", 1700000020, OFF);
        redefine("middle", "old", 1700000030, OFF);
        redefine("backwards", "middle", 1600000000, OFF); /* the clock was set back */
        redefine("other-root", NULL, 1700000000, OFF);
        order = ids();
        g_assert_cmpstr(order, ==, "other-root,root,old,middle,backwards,young,");
        teardown();
}

static void what_was_made_in_one_second_has_an_order_too(void) {
        g_autofree char *order = NULL;

        setup();
        redefine("z", NULL, 1700000000, OFF);
        redefine("y", "z", 1700000000, OFF);
        redefine("c", "y", 1700000000, OFF);
        redefine("b", "y", 1700000000, OFF);
        redefine("a", "y", 1700000000, OFF);
        order = ids();
        g_assert_cmpstr(order, ==, "z,y,a,b,c,");
        teardown();
}

static void one_is_the_current_one(void) {
        g_autoptr(GPtrArray) all = NULL;

        setup();
        for (const char *name = "abc"; *name; name++) {
                g_autofree char *text = g_strdup_printf(
                                "<domainsnapshot><name>%c</name></domainsnapshot>", *name);
                g_autoptr(virDomainSnapshot) snapshot = virDomainSnapshotCreateXML(domain, text, 0);

                g_assert_nonnull(snapshot);
        }
        all = read_all();
        g_assert_cmpuint(all->len, ==, 3);
        g_assert_cmpstr(snapshot_facts_current(all)->id, ==, "c");
        g_assert_cmpstr(snapshot_facts_find(all, "c")->parent, ==, "b");
        g_assert_false(snapshot_facts_find(all, "a")->current);
        teardown();
}

#define DISKS                                                                                      \
        "<state>disk-snapshot</state><memory snapshot='no'/><disks><disk name='vda' "              \
        "snapshot='external'><source file='/overlay'/></disk></disks>"

static void mark_as_point(const char *id) {
        const SnapshotMetadata entry = {
                        (char *) id, NULL, NULL, NULL, SNAPSHOT_TYPE_REFERENCE_POINT, 2};

        g_assert_true(snapshot_metadata_set(domain, &entry, NULL));
}

static const char *parent_of(const GPtrArray *all, const char *id) {
        return snapshot_facts_find(all, id)->parent;
}

static void a_reference_point_is_no_snapshot(void) {
        g_autoptr(GPtrArray) snapshots = NULL, points = NULL;
        const SnapshotFacts *point;

        setup();
        redefine("s1", NULL, 1700000000, DISKS);
        redefine("p1", "s1", 1700000001, DISKS);
        mark_as_point("p1");
        read_both(&snapshots, &points);
        g_assert_cmpuint(snapshots->len, ==, 1);
        g_assert_cmpuint(points->len, ==, 1);
        g_assert_null(snapshot_facts_find(snapshots, "p1"));
        point = snapshot_facts_find(points, "p1");
        g_assert_cmpuint(point->type, ==, SNAPSHOT_TYPE_REFERENCE_POINT);
        g_assert_cmpuint(point->consistency, ==, 2);
        g_assert_cmpuint(g_strv_length(point->targets), ==, 1);
        g_assert_cmpstr(point->targets[0], ==, "vda");
        teardown();
}

static void reference_points_are_left_out_of_the_line(void) {
        g_autoptr(GPtrArray) snapshots = NULL, points = NULL;

        setup();
        redefine("p0", NULL, 1700000000, DISKS);
        redefine("s1", "p0", 1700000001, DISKS);
        redefine("p1", "s1", 1700000002, DISKS);
        redefine("p2", "p1", 1700000003, DISKS);
        redefine("s2", "p2", 1700000004, DISKS);
        for (unsigned i = 0; i < 3; i++) {
                g_autofree char *id = g_strdup_printf("p%u", i);

                mark_as_point(id);
        }
        read_both(&snapshots, &points);
        g_assert_cmpuint(snapshots->len, ==, 2);
        g_assert_cmpuint(points->len, ==, 3);
        g_assert_null(parent_of(snapshots, "s1"));
        g_assert_cmpstr(parent_of(snapshots, "s2"), ==, "s1");
        g_assert_null(parent_of(points, "p0"));
        g_assert_cmpstr(parent_of(points, "p1"), ==, "s1");
        g_assert_cmpstr(parent_of(points, "p2"), ==, "s1");
        teardown();
}

static void take(const char *id) {
        g_autofree char *text =
                        g_strdup_printf("<domainsnapshot><name>%s</name></domainsnapshot>", id);
        g_autoptr(virDomainSnapshot) snapshot = virDomainSnapshotCreateXML(domain, text, 0);

        g_assert_nonnull(snapshot);
}

static void the_current_one_is_no_reference_point(void) {
        g_autoptr(GPtrArray) snapshots = NULL, points = NULL, no_snapshots = NULL, both = NULL;

        setup();
        take("a");
        take("b");
        take("c");
        mark_as_point("b");
        mark_as_point("c");
        read_both(&snapshots, &points);
        g_assert_cmpstr(snapshot_facts_current(snapshots)->id, ==, "a");
        g_assert_null(snapshot_facts_current(points));

        mark_as_point("a");
        read_both(&no_snapshots, &both);
        g_assert_cmpuint(no_snapshots->len, ==, 0);
        g_assert_cmpuint(both->len, ==, 3);
        teardown();
}

static void a_domain_that_is_gone_is_told(void) {
        g_autoptr(GPtrArray) snapshots = NULL, points = NULL;
        g_autoptr(GError) error = NULL;

        setup();
        g_assert_cmpint(virDomainUndefine(domain), ==, 0);
        g_assert_false(snapshot_facts_read(domain, &snapshots, &points, &error));
        assert_error(error, NO_SUCH_VIRTUAL_MACHINE);
        g_clear_pointer(&domain, virDomainFree);
}

static void ignore_error(void *userdata, virErrorPtr error) {
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        virSetErrorFunc(NULL, ignore_error);
        connection = virConnectOpen("test:///default");
        ADD(without_snapshots_all_share_one_empty_list);
        ADD(an_internal_snapshot_of_a_running_guest_holds_memory);
        ADD(a_snapshot_of_a_machine_that_is_off_holds_none);
        ADD(external_memory_counts_as_long_as_its_file_is_there);
        ADD(overlays_alone_are_external_too);
        ADD(our_notes_come_before_libvirts);
        ADD(hostile_ids_are_read);
        ADD(parents_come_first_and_then_the_older);
        ADD(what_was_made_in_one_second_has_an_order_too);
        ADD(one_is_the_current_one);
        ADD(a_reference_point_is_no_snapshot);
        ADD(reference_points_are_left_out_of_the_line);
        ADD(the_current_one_is_no_reference_point);
        ADD(a_domain_that_is_gone_is_told);
        status = g_test_run();
        (void) virConnectClose(connection);
        return status;
}
