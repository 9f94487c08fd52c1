/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "xml"

#include "backend/xml.h"
#include "support.h"

static void what_is_there_is_read(void) {
        g_autoptr(xmlDoc) document = xml_parse("<a x='1&amp;2'><!-- c --><b>first &lt;</b>"
                                               "<b>second</b><c/></a>");
        xmlNode *root = xmlDocGetRootElement(document);
        g_autofree char *first = xml_child_text(root, "b"), *empty = xml_child_text(root, "c");
        g_autofree char *x = xml_attribute(root, "x");

        g_assert_true(xml_is(root, "a"));
        g_assert_false(xml_is(root, "b"));
        g_assert_cmpstr(first, ==, "first <");
        g_assert_cmpstr(empty, ==, "");
        g_assert_cmpstr(x, ==, "1&2");
}

static void what_is_missing_is_null(void) {
        g_autoptr(xmlDoc) document = xml_parse("<a><b><c>deep</c></b></a>");
        xmlNode *root = xmlDocGetRootElement(document);

        g_assert_null(xml_child(root, "c"));
        g_assert_null(xml_child_text(root, "c"));
        g_assert_null(xml_attribute(root, "x"));
        g_assert_null(xml_child(NULL, "a"));
        g_assert_null(xml_child_text(NULL, "a"));
        g_assert_null(xml_attribute(NULL, "a"));
}

static void what_is_not_well_formed_is_no_document(void) {
        g_assert_null(xml_parse(""));
        g_assert_null(xml_parse("text"));
        g_assert_null(xml_parse("<a>"));
        g_assert_null(xml_parse("<a/><b/>"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(what_is_there_is_read);
        ADD(what_is_missing_is_null);
        ADD(what_is_not_well_formed_is_no_document);
        return g_test_run();
}
