/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ovf/package-digests.h"

#include <string.h>

#include "ovf/ovf-machine.h"
#include "util/error.h"

#define LINES_MAX 512U

char *package_digest_line(const char *name, const char *sha256) {
        return g_strdup_printf("SHA256(%s)= %s\n", name, sha256);
}

static void package_digest_free(PackageDigest *digest) {
        g_free(digest->text);
        g_free(digest);
}

static bool fail(const char *what, const char *line, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "The manifest of the package %s: %.80s", what, line);
        return false;
}

static bool is_digest(const char *text, DigestAlgorithm algorithm) {
        size_t length = algorithm == DIGEST_SHA1 ? DIGEST_SHA1_LENGTH : DIGEST_LENGTH;

        return strlen(text) == length && strspn(text, "0123456789abcdefABCDEF") == length;
}

/* "SHA256(" and so on: where the name begins; NULL for any other. */
static const char *read_algorithm(const char *line, DigestAlgorithm *ret) {
        if (g_str_has_prefix(line, "SHA1(")) {
                *ret = DIGEST_SHA1;
                return line + strlen("SHA1(");
        }
        *ret = DIGEST_SHA256;
        return g_str_has_prefix(line, "SHA256(") ? line + strlen("SHA256(") : NULL;
}

static bool read_line(char *line, GHashTable *digests, GError **error) {
        DigestAlgorithm algorithm;
        const char *begin = read_algorithm(line, &algorithm);
        const char *equals = begin ? strrchr(begin, '=') : NULL;
        g_autofree char *name = NULL;
        char *end, *text;
        PackageDigest *digest;

        if (!equals)
                return fail("has a line that is none", line, error);
        text = g_strstrip(line + (equals - line) + 1);
        name = g_strchomp(g_strndup(begin, (gsize) (equals - begin)));
        end = strrchr(name, ')');
        if (!end || end[1] || !is_digest(text, algorithm))
                return fail("has a line that is none", begin, error);
        *end = '\0';
        if (!ovf_file_name_is_valid(name))
                return fail("names what is no file of it", name, error);
        if (g_hash_table_contains(digests, name))
                return fail("has a file twice", name, error);
        digest = g_new(PackageDigest, 1);
        *digest = (PackageDigest){algorithm, g_ascii_strdown(text, -1)};
        g_hash_table_insert(digests, g_steal_pointer(&name), digest);
        return true;
}

GHashTable *package_digests_parse(const char *text, GError **error) {
        g_autoptr(GHashTable) digests = g_hash_table_new_full(
                        g_str_hash, g_str_equal, g_free, (GDestroyNotify) package_digest_free);
        g_auto(GStrv) lines = g_strsplit(text, "\n", LINES_MAX + 1);

        if (!g_utf8_validate(text, -1, NULL))
                return fail("is not UTF-8", "", error), NULL;
        if (g_strv_length(lines) > LINES_MAX)
                return fail("is too long", "", error), NULL;
        for (unsigned i = 0; lines[i]; i++) {
                g_strchomp(lines[i]);
                if (*lines[i] && !read_line(lines[i], digests, error))
                        return NULL;
        }
        return g_steal_pointer(&digests);
}
