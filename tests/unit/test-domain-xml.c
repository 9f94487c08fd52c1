/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "domain-xml"

#include <string.h>

#include "backend/domain-xml.h"
#include "support.h"

static char *name;
static char *uuid;
static GError *error;

static bool read_identity(const char *definition) {
        g_clear_pointer(&name, g_free);
        g_clear_pointer(&uuid, g_free);
        g_clear_error(&error);
        return domain_xml_read_identity(definition, &name, &uuid, &error);
}

static bool refused(const char *definition) {
        return !read_identity(definition) && !name && !uuid &&
               g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT);
}

static void name_and_uuid_are_read(void) {
        g_assert_true(read_identity("<domain type='kvm'><name>web &amp; mail</name>"
                                    "<uuid>u-u-i-d</uuid></domain>"));
        g_assert_cmpstr(name, ==, "web & mail");
        g_assert_cmpstr(uuid, ==, "u-u-i-d");
}

static void a_uuid_may_be_missing(void) {
        g_assert_true(read_identity("<domain><!-- c --><name>web</name></domain>"));
        g_assert_cmpstr(name, ==, "web");
        g_assert_null(uuid);
}

static void only_children_of_the_domain_count(void) {
        g_assert_true(refused("<domain><metadata><name>web</name></metadata></domain>"));
}

static void what_is_not_well_formed_is_refused(void) {
        g_assert_true(refused(""));
        g_assert_true(refused("web"));
        g_assert_true(refused("<domain><name>web</domain>"));
        g_assert_true(refused("<domain><name>web</name></domain><domain/>"));
        g_assert_true(refused("<domain><name>&lt"));
}

static void another_root_is_refused(void) {
        g_assert_true(refused("<network><name>web</name></network>"));
        g_assert_true(refused("<domainsnapshot><name>web</name></domainsnapshot>"));
}

static void a_definition_without_name_is_refused(void) {
        g_assert_true(refused("<domain/>"));
}

static void a_document_type_is_refused(void) {
        g_assert_true(refused("<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>"
                              "<domain><name>&e;</name></domain>"));
        g_assert_true(refused("<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x.dtd'>"
                              "<domain><name>web</name></domain>"));
}

static void entities_do_not_explode(void) {
        g_autoptr(GString) text = g_string_new("<!DOCTYPE domain [<!ENTITY e0 'xxxxxxxxxx'>");

        for (int i = 1; i < 12; i++)
                g_string_append_printf(text,
                                "<!ENTITY e%d '&e%d;&e%d;&e%d;&e%d;&e%d;&e%d;&e%d;&e%d;'>", i,
                                i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        g_string_append(text, "]><domain><name>&e11;</name></domain>");
        g_assert_true(refused(text->str));
}

static void a_definition_that_is_nested_deep_is_refused(void) {
        g_autoptr(GString) text = g_string_new("<domain>");

        for (int i = 0; i < 100000; i++)
                g_string_append(text, "<a>");
        g_assert_true(refused(text->str));
}

int main(int argc, char **argv) {
        int status;

        g_test_init(&argc, &argv, NULL);
        ADD(name_and_uuid_are_read);
        ADD(a_uuid_may_be_missing);
        ADD(only_children_of_the_domain_count);
        ADD(what_is_not_well_formed_is_refused);
        ADD(another_root_is_refused);
        ADD(a_definition_without_name_is_refused);
        ADD(a_document_type_is_refused);
        ADD(entities_do_not_explode);
        ADD(a_definition_that_is_nested_deep_is_refused);
        status = g_test_run();
        g_free(name);
        g_free(uuid);
        g_clear_error(&error);
        return status;
}
