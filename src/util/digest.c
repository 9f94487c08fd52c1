/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "util/digest.h"

#include <openssl/evp.h>
#include <string.h>

struct Digest {
        EVP_MD_CTX *context;
        const EVP_MD *algorithm;
};

/* It fails only where the library has no memory or lacks the algorithm; both end the program, as in
 * GLib. */
static void check(int result) {
        if (result != 1)
                g_error("A digest can not be computed");
}

Digest *digest_new(DigestAlgorithm algorithm) {
        Digest *digest = g_new0(Digest, 1);

        digest->context = EVP_MD_CTX_new();
        digest->algorithm = algorithm == DIGEST_SHA1 ? EVP_sha1() : EVP_sha256();
        check(digest->context != NULL);
        check(EVP_DigestInit_ex(digest->context, digest->algorithm, NULL));
        return digest;
}

void digest_add(Digest *digest, const void *data, size_t length) {
        check(EVP_DigestUpdate(digest->context, data, length));
}

void digest_add_zeros(Digest *digest, uint64_t length) {
        static const char zeros[64 * 1024];

        for (uint64_t n; length > 0; length -= n) {
                n = MIN(length, sizeof(zeros));
                digest_add(digest, zeros, n);
        }
}

char *digest_end(Digest *digest) {
        unsigned char value[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        GString *text = g_string_sized_new(DIGEST_LENGTH);

        check(EVP_DigestFinal_ex(digest->context, value, &length));
        check(EVP_DigestInit_ex(digest->context, digest->algorithm, NULL));
        for (unsigned i = 0; i < length; i++)
                g_string_append_printf(text, "%02x", value[i]);
        return g_string_free(text, FALSE);
}

void digest_free(Digest *digest) {
        if (!digest)
                return;
        EVP_MD_CTX_free(digest->context);
        g_free(digest);
}

bool digest_is_valid(const char *text) {
        return strlen(text) == DIGEST_LENGTH && strspn(text, "0123456789abcdef") == DIGEST_LENGTH;
}
