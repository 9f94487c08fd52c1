/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "rewrite"

#include "export/rewrite.h"

#include <string.h>

#include "backend/snapshot-metadata.h"
#include "snapshot/image-notes.h"
#include "support.h"

static GError *error;

static char *rewrite(const char *text) {
        g_autoptr(GHashTable) copies = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) snapshots = g_hash_table_new(g_str_hash, g_str_equal);

        g_hash_table_insert(copies, (char *) "/old/a", (char *) "/new/a & b");
        g_hash_table_insert(copies, (char *) "/old/n", (char *) "/new/n");
        g_hash_table_add(snapshots, (char *) "s1");
        return rewrite_definition(text, copies, snapshots, &error);
}

static void assert_becomes(const char *text, const char *wanted) {
        g_autofree char *result = rewrite(text);

        g_assert_no_error(error);
        g_assert_nonnull(g_strstr_len(result, -1, wanted));
}

static void a_path_is_found_wherever_it_is(void) {
        assert_becomes("<d><s file='/old/a'/></d>", "<s file=\"/new/a &amp; b\"/>");
        assert_becomes("<d><x><s dev='/old/a' index='1'/></x></d>",
                        "<s dev=\"/new/a &amp; b\" index=\"1\"/>");
        assert_becomes("<d><nvram template='/t'>/old/n</nvram></d>",
                        "<nvram template=\"/t\">/new/n</nvram>");
        assert_becomes("<d><nvram>/old/a</nvram></d>", "<nvram>/new/a &amp; b</nvram>");
        assert_becomes("<d><a f='/old/n'/><a f='/old/n'/></d>",
                        "<a f=\"/new/n\"/><a f=\"/new/n\"/>");
}

static void what_is_only_like_it_stays(void) {
        assert_becomes("<d><s file='/old/aa'/></d>", "file=\"/old/aa\"");
        assert_becomes("<d><s file='x/old/a'/></d>", "file=\"x/old/a\"");
        assert_becomes("<d><t>the file /old/a</t></d>", "<t>the file /old/a</t>");
        assert_becomes("<d><!-- /old/a --></d>", "<!-- /old/a -->");
}

static void assert_is(const char *text, const char *wanted) {
        g_autofree char *result = rewrite(text),
                        *whole = g_strconcat("<?xml version=\"1.0\"?>\n", wanted, "\n", NULL);

        g_assert_no_error(error);
        g_assert_cmpstr(result, ==, whole);
}

/* Whoever defined it would have the images of another machine merged and removed. */
static void notes_of_what_does_not_travel_stay_behind(void) {
        assert_is("<d><i:images xmlns:i='" IMAGE_NOTES_NAMESPACE "'><i:made path='/old/a'/>"
                  "<i:made path='/other'/><i:hidden path='/third'/></i:images></d>",
                        "<d><i:images xmlns:i=\"" IMAGE_NOTES_NAMESPACE
                        "\"><i:made path=\"/new/a &amp; b\"/></i:images></d>");
        assert_is("<d><images xmlns='" IMAGE_NOTES_NAMESPACE "'><hidden path='/x'/></images>"
                  "<images><hidden path='/x'/></images></d>",
                        "<d>"
                        "<images><hidden path=\"/x\"/></images></d>");
        assert_is("<d><v:s xmlns:v='" SNAPSHOT_METADATA_NAMESPACE
                  "'><v:snapshot id='s1' name='n' collection='c'/><v:snapshot id='s2'/></v:s></d>",
                        "<d><v:s xmlns:v=\"" SNAPSHOT_METADATA_NAMESPACE
                        "\"><v:snapshot id=\"s1\" name=\"n\"/></v:s></d>");
}

static void a_machine_of_its_own_has_its_own_number(void) {
        g_autofree char *result =
                        rewrite_uuid("<d><uuid>a</uuid><x><uuid>a</uuid></x></d>", "b", &error);

        g_assert_nonnull(strstr(result, "<d><uuid>b</uuid><x><uuid>a</uuid></x></d>"));
}

static void a_snapshot_is_described_without_its_memory(void) {
        g_autofree char *result = rewrite_without_memory(
                        "<s><state>running</state><memory snapshot='external' file='/m'/></s>",
                        &error);

        g_assert_nonnull(strstr(
                        result, "<s><state>disk-snapshot</state><memory snapshot=\"no\"/></s>"));
}

static void what_is_no_xml_is_refused(void) {
        g_assert_null(rewrite("<d"));
        assert_error(error, FAILED);
        g_assert_null(rewrite(""));
        assert_error(error, FAILED);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_path_is_found_wherever_it_is);
        ADD(what_is_only_like_it_stays);
        ADD(notes_of_what_does_not_travel_stay_behind);
        ADD(a_machine_of_its_own_has_its_own_number);
        ADD(a_snapshot_is_described_without_its_memory);
        ADD(what_is_no_xml_is_refused);
        return g_test_run();
}
