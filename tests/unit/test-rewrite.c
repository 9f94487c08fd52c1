/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "rewrite"

#include "export/rewrite.h"

#include "support.h"

static GError *error;

static char *rewrite(const char *text) {
        g_autoptr(GHashTable) copies = g_hash_table_new(g_str_hash, g_str_equal);

        g_hash_table_insert(copies, (char *) "/old/a", (char *) "/new/a & b");
        g_hash_table_insert(copies, (char *) "/old/n", (char *) "/new/n");
        return rewrite_paths(text, copies, &error);
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
        ADD(what_is_no_xml_is_refused);
        return g_test_run();
}
