/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "facts"

#include <libvirt/virterror.h>

#include "backend/backend.h"
#include "backend/facts.h"
#include "support.h"

#define UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"

static virConnectPtr connection;

static void facts_are_what_libvirt_says(void) {
        g_autoptr(virDomain) domain = virDomainLookupByName(connection, "test");
        g_autoptr(GError) error = NULL;
        gint64 before = g_get_monotonic_time();
        g_autoptr(MachineFacts) facts = facts_read(domain, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(facts->uuid, ==, UUID);
        g_assert_cmpstr(facts->name, ==, "test");
        g_assert_null(facts->notes);
        g_assert_cmpuint(facts->memory_mib, ==, 8192);
        g_assert_cmpuint(facts->state, ==, VIR_DOMAIN_RUNNING);
        g_assert_true(facts->active);
        g_assert_false(facts->has_image);
        g_assert_null(facts->image_path);
        g_assert_cmpuint(facts->snapshots->len, ==, 0);
        g_assert_cmpint(facts->read_at, >=, before);
}

static void notes_are_the_description(void) {
        g_autoptr(virDomain) domain = virDomainLookupByName(connection, "test");
        g_autoptr(MachineFacts) facts = NULL;

        g_assert_cmpint(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_DESCRIPTION, "a note",
                                        NULL, NULL, VIR_DOMAIN_AFFECT_CURRENT),
                        ==, 0);
        facts = facts_read(domain, NULL);
        g_assert_cmpstr(facts->notes, ==, "a note");
        g_assert_cmpint(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_DESCRIPTION, NULL, NULL,
                                        NULL, VIR_DOMAIN_AFFECT_CURRENT),
                        ==, 0);
}

static void a_domain_that_is_gone_has_no_facts(void) {
        const char *definition = "<domain type='test'><name>short-lived</name>"
                                 "<memory>1024</memory><os><type>hvm</type></os></domain>";
        g_autoptr(virDomain) domain = virDomainDefineXML(connection, definition);
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(virDomainUndefine(domain), ==, 0);
        g_assert_null(facts_read(domain, &error));
        assert_error(error, NO_SUCH_VIRTUAL_MACHINE);
}

static void a_copy_owns_everything(void) {
        MachineFacts *facts = g_new0(MachineFacts, 1);
        g_autoptr(MachineFacts) copy = NULL;

        facts->read_at = 17;
        facts->name = g_strdup("web");
        facts->notes = g_strdup("a note");
        facts->image_path = g_strdup("/image");
        facts->active = true;
        facts->snapshots = g_ptr_array_new();
        g_ptr_array_add(facts->snapshots, facts->name);
        copy = facts_copy(facts);
        g_assert_null(facts_free(facts));
        g_assert_cmpstr(copy->name, ==, "web");
        g_assert_cmpstr(copy->notes, ==, "a note");
        g_assert_cmpstr(copy->image_path, ==, "/image");
        g_assert_cmpint(copy->read_at, ==, 17);
        g_assert_true(copy->active);
        g_assert_cmpuint(copy->snapshots->len, ==, 1);
        g_assert_null(facts_free(NULL));
}

static void ignore_error(void *userdata, virErrorPtr error) {
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        virSetErrorFunc(NULL, ignore_error);
        connection = virConnectOpen("test:///default");
        ADD(facts_are_what_libvirt_says);
        ADD(notes_are_the_description);
        ADD(a_domain_that_is_gone_has_no_facts);
        ADD(a_copy_owns_everything);
        status = g_test_run();
        (void) virConnectClose(connection);
        return status;
}
