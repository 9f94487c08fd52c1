/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "manifest"

#include "bundle/manifest.h"

#include "support.h"

#define SUM          "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351"
#define HEAD         "{\"format\": \"virtask-export\", \"version\": 1"
#define FILE(name)   "{\"name\": \"" name "\", \"size\": 5, \"sha256\": \"" SUM "\"}"
#define FILES(files) HEAD ", \"files\": [" files "]}"

static GError *error;

static void the_files_are_those_that_are_named(void) {
        g_autoptr(Manifest) manifest = manifest_parse(
                        FILES(FILE("machine.xml") ", " FILE(
                                        "disks/a.chunks") ", {\"name\": \"disks/a\", "
                                                          "\"size\": 9, \"chunks\": "
                                                          "\"disks/a.chunks\", \"new\": [{}]}"),
                        &error);
        const ManifestFile *file;

        g_assert_no_error(error);
        g_assert_cmpuint(manifest->files->len, ==, 3);
        file = manifest_find(manifest, "machine.xml");
        g_assert_cmpuint(file->size, ==, 5);
        g_assert_cmpstr(file->sha256, ==, SUM);
        file = manifest_find(manifest, "disks/a");
        g_assert_cmpuint(file->size, ==, 9);
        g_assert_cmpstr(file->chunks, ==, "disks/a.chunks");
        g_assert_null(manifest_find(manifest, "disks"));
}

static void assert_refused(const char *text, const char *words) {
        g_assert_null(manifest_parse(text, &error));
        if (!g_strstr_len(error->message, -1, words))
                g_error("%s: %s", text, error->message);
        assert_error(error, INVALID_BUNDLE);
}

static void what_is_no_manifest_is_refused(void) {
        assert_refused("", "is no object");
        assert_refused("{", "can not be read");
        assert_refused("[]", "is no object");
        assert_refused("7", "is no object");
        assert_refused("\xff", "is no text");
        assert_refused("{}", "format");
        assert_refused("{\"format\": \"other\"}", "format");
        assert_refused("{\"format\": {}}", "format");
        assert_refused("{\"format\": \"virtask-export\"}", "version");
        assert_refused("{\"format\": \"virtask-export\", \"version\": \"1\"}", "version");
        assert_refused("{\"format\": \"virtask-export\", \"version\": 1.0}", "version");
        assert_refused("{\"format\": \"virtask-export\", \"version\": -1}", "version");
        assert_refused("{\"format\": \"virtask-export\", \"version\": 2}", "version 2");
        assert_refused(HEAD "}", "files");
        assert_refused(HEAD ", \"files\": {}}", "files");
}

static void a_file_is_described_as_a_whole(void) {
        assert_refused(FILES("7"), "what one of its files is");
        assert_refused(FILES("{}"), "what one of its files is");
        assert_refused(FILES("{\"name\": \"a\", \"size\": 5}"), "what one of its files is");
        assert_refused(FILES("{\"name\": \"a\", \"sha256\": \"" SUM "\"}"),
                        "what one of its files is");
        assert_refused(FILES("{\"name\": \"a\", \"size\": -5, \"sha256\": \"" SUM "\"}"),
                        "what one of its files is");
        assert_refused(FILES("{\"name\": \"a\", \"size\": 1e30, \"sha256\": \"" SUM "\"}"),
                        "what one of its files is");
        assert_refused(FILES("{\"name\": \"a\", \"size\": 5, \"sha256\": \"" SUM
                             "\", \"chunks\": \"b\"}"),
                        "what one of its files is");
        assert_refused(FILES("{\"name\": \"a\", \"size\": 5, \"sha256\": \"ABC\"}"), "no digest");
        assert_refused(FILES("{\"name\": \"a\", \"size\": 5, \"chunks\": \"../b\"}"), "no digest");
        assert_refused(FILES("{\"name\": \"a\", \"size\": 5, \"chunks\": \"b\"}"),
                        "no chunk list of 'a'");
        assert_refused(FILES("{\"name\": \"a\", \"size\": 5, \"chunks\": \"a\"}"),
                        "no chunk list of 'a'");
}

static void nothing_is_there_twice(void) {
        assert_refused(FILES(FILE("a") ", " FILE("a")), "'a' twice");
        assert_refused(HEAD ", \"version\": 1, \"files\": []}", "a member twice");
        assert_refused(FILES("{\"name\": \"a\", \"name\": \"b\", \"size\": 5, \"sha256\": \"" SUM
                             "\"}"),
                        "a member twice");
}

static void a_name_leads_nowhere_else(void) {
        static const char *const bad[] = {"", "/", "a/", "/a", "..", "../a", "a/..", "a/./b",
                        "a/b/c", ".a", "a/.b", "-a", "a/-b", "a b", "a\\\\b", "a\\nb", "a\\u00e4",
                        "json:a", "a:b", "a\\u0000b", "~"};
        g_autofree char *longest = g_strnfill(128, 'a'), *longer = g_strnfill(129, 'a');

        for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *text = g_strdup_printf(FILES(FILE("%s")), bad[i]);

                g_assert_null(manifest_parse(text, &error));
                assert_error(error, INVALID_BUNDLE);
        }
        g_assert_true(manifest_name_is_valid(longest));
        g_assert_false(manifest_name_is_valid(longer));
        g_assert_true(manifest_name_is_valid("disks/vda-1.qcow2"));
}

static void it_is_neither_long_nor_deep(void) {
        GString *many = g_string_new(FILE("f")), *deep = g_string_new(HEAD ", \"x\": ");
        g_autofree char *large = g_strnfill(2 << 20, ' '), *text = NULL;

        assert_refused(large, "longer than 1 MiB");
        for (unsigned i = 0; i < 100000; i++)
                g_string_append_c(deep, '[');
        assert_refused(deep->str, "too deep");
        for (unsigned i = 0; i < MANIFEST_FILES; i++)
                g_string_append_printf(many, ", " FILE("f%u"), i);
        text = g_strdup_printf(FILES("%s"), many->str);
        assert_refused(text, "more than 1024 files");
        (void) g_string_free(many, TRUE);
        (void) g_string_free(deep, TRUE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(the_files_are_those_that_are_named);
        ADD(what_is_no_manifest_is_refused);
        ADD(a_file_is_described_as_a_whole);
        ADD(nothing_is_there_twice);
        ADD(a_name_leads_nowhere_else);
        ADD(it_is_neither_long_nor_deep);
        return g_test_run();
}
