/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "package-digests"

#include "ovf/package-digests.h"
#include "support.h"

#define SUM1   "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SUM256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static GError *error;

static void a_line_is_as_long_as_its_name_wants(void) {
        g_autofree char *line = package_digest_line("web.ovf", SUM256);

        g_assert_cmpstr(line, ==, "SHA256(web.ovf)= " SUM256 "\n");
}

static void manifests_of_others_are_read(void) {
        g_autoptr(GHashTable) digests = package_digests_parse(
                        "SHA1(a.ovf)= " SUM1
                        "\r\nSHA256(b (2).vmdk) = E3B0C44298fc1c149afbf4c8996fb9"
                        "2427ae41e4649b934ca495991b7852b855\r\n\r\nSHA1(c=d)=" SUM1,
                        &error);
        const PackageDigest *digest;

        g_assert_no_error(error);
        g_assert_cmpuint(g_hash_table_size(digests), ==, 3);
        digest = g_hash_table_lookup(digests, "b (2).vmdk");
        g_assert_cmpint(digest->algorithm, ==, DIGEST_SHA256);
        g_assert_cmpstr(digest->text, ==, SUM256);
        digest = g_hash_table_lookup(digests, "a.ovf");
        g_assert_cmpint(digest->algorithm, ==, DIGEST_SHA1);
        g_assert_nonnull(g_hash_table_lookup(digests, "c=d"));
}

static void what_is_no_manifest_is_refused(void) {
        static const char *const texts[] = {"x", "SHA1(a)", "SHA1(a)=", "SHA1(a)= " SUM256,
                        "SHA256(a)= " SUM1, "SHA512(a)= " SUM256, "SHA1(a= " SUM1,
                        "SHA1(a)b= " SUM1, "SHA1()= " SUM1, "SHA1(../a)= " SUM1, "SHA1(/a)= " SUM1,
                        "SHA1(a)= " SUM1 "\nSHA1(a)= " SUM1, "SHA1(a)= g" SUM1, "SHA1(\xff)= " SUM1,
                        "sha1(a)= " SUM1};
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                if (package_digests_parse(texts[i], &error))
                        g_error("taken: %s", texts[i]);
                assert_error(error, INVALID_BUNDLE);
        }
        for (unsigned i = 0; i < 600; i++)
                g_string_append_printf(text, "SHA1(%u)= " SUM1 "\n", i);
        g_assert_null(package_digests_parse(text->str, &error));
        assert_error(error, INVALID_BUNDLE);
        (void) g_string_free(text, TRUE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_line_is_as_long_as_its_name_wants);
        ADD(manifests_of_others_are_read);
        ADD(what_is_no_manifest_is_refused);
        return g_test_run();
}
