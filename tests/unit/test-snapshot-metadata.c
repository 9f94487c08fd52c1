/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "snapshot-metadata"

#include <libvirt/virterror.h>

#include "backend/backend.h"
#include "backend/snapshot-metadata.h"
#include "support.h"

#define NAMESPACE "https://virtask.org/snapshots/1"

static virConnectPtr connection;

/* A machine that is off, with nothing noted. */
static virDomainPtr define(void) {
        const char *definition = "<domain type='test'><name>noted</name>"
                                 "<memory>1024</memory><os><type>hvm</type></os></domain>";
        virDomainPtr domain = virDomainDefineXML(connection, definition);

        g_assert_nonnull(domain);
        return domain;
}

static void undefine(virDomainPtr domain) {
        (void) virDomainDestroy(domain);
        g_assert_cmpint(virDomainUndefine(domain), ==, 0);
}

static SnapshotMetadata entry_of(
                const char *id, const char *name, const char *notes, const char *collection) {
        return (SnapshotMetadata){
                        (char *) id, (char *) name, (char *) notes, (char *) collection, 0, 0};
}

/* With nothing but a name. */
static SnapshotMetadata named(const char *id, const char *name) {
        return entry_of(id, name, NULL, NULL);
}

static void set(virDomainPtr domain, SnapshotMetadata entry) {
        g_autoptr(GError) error = NULL;

        snapshot_metadata_set(domain, &entry, &error);
        g_assert_no_error(error);
}

static void assert_entry(virDomainPtr domain, SnapshotMetadata expected) {
        g_autoptr(GPtrArray) all = snapshot_metadata_read(domain, NULL);
        const SnapshotMetadata *entry = snapshot_metadata_find(all, expected.id);

        g_assert_nonnull(entry);
        g_assert_cmpstr(entry->id, ==, expected.id);
        g_assert_cmpstr(entry->name, ==, expected.name);
        g_assert_cmpstr(entry->notes, ==, expected.notes);
        g_assert_cmpstr(entry->collection, ==, expected.collection);
        g_assert_cmpuint(entry->type, ==, expected.type);
        g_assert_cmpuint(entry->consistency, ==, expected.consistency);
}

static unsigned count(virDomainPtr domain) {
        g_autoptr(GPtrArray) all = snapshot_metadata_read(domain, NULL);

        return all->len;
}

static char *text_of(virDomainPtr domain, unsigned flags) {
        return virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, flags);
}

static void without_notes_there_are_none(void) {
        g_autoptr(virDomain) domain = define();

        g_assert_cmpuint(count(domain), ==, 0);
        undefine(domain);
}

static void what_is_set_comes_back(void) {
        g_autoptr(virDomain) domain = define();
        SnapshotMetadata full = entry_of("s1", "before the update", "why", "c7");
        const SnapshotMetadata bare = named("s2", NULL);

        full.type = 32768;
        full.consistency = 1;
        set(domain, full);
        set(domain, bare);
        assert_entry(domain, full);
        assert_entry(domain, bare);
        g_assert_cmpuint(count(domain), ==, 2);
        undefine(domain);
}

static void hostile_texts_come_back(void) {
        const char *texts[] = {"a<b&\"c", "it's ]]>", "<!-- -->", "&amp;", "Büro 漢字 🖥",
                        "two\nlines", "\ttab ", " ", "a\r\nb", "%s%n"};
        g_autoptr(virDomain) domain = define();

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                const char *text = texts[i];
                const SnapshotMetadata entry = entry_of(text, text, text, text);

                set(domain, entry);
                assert_entry(domain, entry);
        }
        g_assert_cmpuint(count(domain), ==, G_N_ELEMENTS(texts));
        undefine(domain);
}

static void what_is_no_xml_is_refused(void) {
        g_autoptr(virDomain) domain = define();
        const SnapshotMetadata good = named("s1", "good"), bad = named("s1", "\x01");
        g_autoptr(GError) error = NULL;

        set(domain, good);
        g_assert_false(snapshot_metadata_set(domain, &bad, &error));
        assert_error(error, INVALID_ARGUMENT);
        assert_entry(domain, good);
        undefine(domain);
}

static void an_entry_is_replaced_as_a_whole(void) {
        g_autoptr(virDomain) domain = define();
        const SnapshotMetadata other = named("s1", "other");

        set(domain, entry_of("s1", "before the update", "why", "c7"));
        set(domain, other);
        assert_entry(domain, other);
        g_assert_cmpuint(count(domain), ==, 1);
        undefine(domain);
}

static void the_last_one_takes_the_element_along(void) {
        g_autoptr(virDomain) domain = define();
        g_autoptr(GError) error = NULL;

        set(domain, named("s1", NULL));
        set(domain, named("s2", NULL));
        g_assert_true(snapshot_metadata_remove(domain, "s1", &error));
        g_assert_true(snapshot_metadata_remove(domain, "s1", &error));
        g_assert_cmpuint(count(domain), ==, 1);
        g_assert_true(snapshot_metadata_remove(domain, "s2", &error));
        g_assert_no_error(error);
        g_assert_null(text_of(domain, VIR_DOMAIN_AFFECT_CONFIG));
        g_assert_cmpint(virGetLastErrorCode(), ==, VIR_ERR_NO_DOMAIN_METADATA);
        undefine(domain);
}

/* Stored states and snapshots hold the definition that a machine runs with. */
static void a_running_machine_has_it_in_both_definitions(void) {
        g_autoptr(virDomain) domain = define();
        char *stored, *live;

        g_assert_cmpint(virDomainCreate(domain), ==, 0);
        set(domain, named("s1", "one"));
        stored = text_of(domain, VIR_DOMAIN_AFFECT_CONFIG);
        live = text_of(domain, VIR_DOMAIN_AFFECT_LIVE);
        g_assert_nonnull(stored);
        g_assert_cmpstr(stored, ==, live);
        free(stored);
        free(live);
        g_assert_cmpint(virDomainDestroy(domain), ==, 0);
        assert_entry(domain, named("s1", "one"));
        undefine(domain);
}

static void set_text(virDomainPtr domain, const char *text) {
        g_assert_cmpint(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, text, "virtask",
                                        NAMESPACE, VIR_DOMAIN_AFFECT_CONFIG),
                        ==, 0);
}

static void what_others_wrote_there_is_taken_as_far_as_it_goes(void) {
        g_autoptr(virDomain) domain = define();

        set_text(domain, "<other/>");
        g_assert_cmpuint(count(domain), ==, 0);
        set_text(domain, "<snapshots future='x'><new/><snapshot/><snapshot id='s1' type='x' "
                         "consistency='-1' future='y'><more/></snapshot>text"
                         "<snapshot id='s1' name='again'/></snapshots>");
        g_assert_cmpuint(count(domain), ==, 1);
        assert_entry(domain, named("s1", NULL));
        undefine(domain);
}

static void a_machine_that_is_gone_is_told(void) {
        g_autoptr(virDomain) domain = define();
        const SnapshotMetadata entry = named("s1", NULL);
        g_autoptr(GError) error = NULL;

        undefine(domain);
        g_assert_null(snapshot_metadata_read(domain, &error));
        assert_error(error, NO_SUCH_VIRTUAL_MACHINE);
        g_assert_false(snapshot_metadata_set(domain, &entry, &error));
        assert_error(error, NO_SUCH_VIRTUAL_MACHINE);
        g_assert_false(snapshot_metadata_remove(domain, "s1", &error));
        assert_error(error, NO_SUCH_VIRTUAL_MACHINE);
}

static void ignore_error(void *userdata, virErrorPtr error) {
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        virSetErrorFunc(NULL, ignore_error);
        connection = virConnectOpen("test:///default");
        ADD(without_notes_there_are_none);
        ADD(what_is_set_comes_back);
        ADD(hostile_texts_come_back);
        ADD(what_is_no_xml_is_refused);
        ADD(an_entry_is_replaced_as_a_whole);
        ADD(the_last_one_takes_the_element_along);
        ADD(a_running_machine_has_it_in_both_definitions);
        ADD(what_others_wrote_there_is_taken_as_far_as_it_goes);
        ADD(a_machine_that_is_gone_is_told);
        status = g_test_run();
        (void) virConnectClose(connection);
        return status;
}
