/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ovf/ovf-digest.h"

#include <openssl/evp.h>

struct OvfDigest {
        EVP_MD_CTX *context;
};

/* It fails only where the library has no memory or lacks the algorithm; both end the program, as in
 * GLib. */
static void check(int result) {
        if (result != 1)
                g_error("A digest can not be computed");
}

OvfDigest *ovf_digest_new(OvfAlgorithm algorithm) {
        OvfDigest *digest = g_new0(OvfDigest, 1);

        digest->context = EVP_MD_CTX_new();
        check(digest->context != NULL);
        check(EVP_DigestInit_ex(
                        digest->context, algorithm == OVF_SHA1 ? EVP_sha1() : EVP_sha256(), NULL));
        return digest;
}

void ovf_digest_add(OvfDigest *digest, const void *data, size_t length) {
        check(EVP_DigestUpdate(digest->context, data, length));
}

char *ovf_digest_end(OvfDigest *digest) {
        unsigned char value[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        GString *text = g_string_new(NULL);

        check(EVP_DigestFinal_ex(digest->context, value, &length));
        for (unsigned i = 0; i < length; i++)
                g_string_append_printf(text, "%02x", value[i]);
        return g_string_free(text, FALSE);
}

void ovf_digest_free(OvfDigest *digest) {
        if (!digest)
                return;
        EVP_MD_CTX_free(digest->context);
        g_free(digest);
}
