/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "chunks"

#include "bundle/chunks.h"

#include "support.h"

#define SUM  "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351"
#define HEAD "virtask-chunks 1\n"

static GError *error;

static void a_list_is_read_as_it_was_written(void) {
        g_autoptr(ChunkList) list = chunk_list_new(UINT64_C(8) << 30), read = NULL;
        g_autofree char *text = NULL, *again = NULL;

        chunk_list_add(list, 0, CHUNK_LENGTH, SUM);
        chunk_list_add(list, UINT64_C(7) << 30, 1, SUM);
        text = chunk_list_to_text(list);
        g_assert_cmpstr(text, ==,
                        HEAD "size 8589934592\n" SUM " 0 4194304\n" SUM " 7516192768 1\n");
        read = chunk_list_parse(text, &error);
        g_assert_no_error(error);
        again = chunk_list_to_text(read);
        g_assert_cmpstr(again, ==, text);
}

static void a_list_may_be_empty(void) {
        g_autoptr(ChunkList) list = chunk_list_parse(HEAD "size 0\n", &error);

        g_assert_no_error(error);
        g_assert_cmpuint(list->size, ==, 0);
        g_assert_cmpuint(list->chunks->len, ==, 0);
}

static void what_is_no_list_is_refused(void) {
        static const char *const texts[] = {"", "\n", HEAD, "virtask-chunks 2\nsize 1\n",
                        HEAD "size \n", HEAD "size -1\n", HEAD "size 9223372036854775808\n",
                        HEAD "size 5", HEAD "size 5\n\n", HEAD "size 5\n" SUM "\n",
                        HEAD "size 5\n" SUM " 0 5", HEAD "size 5\n" SUM " 0 6\n",
                        HEAD "size 5\n" SUM " 0 0\n", HEAD "size 5\n" SUM " 5 1\n",
                        HEAD "size 5\n" SUM " 1 1\n" SUM " 0 1\n",
                        HEAD "size 5\n" SUM " 0 2\n" SUM " 1 1\n", HEAD "size 5\n" SUM " 0 1 \n",
                        HEAD "size 5\n" SUM "  0 1\n", HEAD "size 5\n" SUM "0 0 1\n",
                        HEAD "size 5\nABCD 0 1\n", HEAD "size 99999999\n" SUM " 0 4194305\n",
                        HEAD "size 5\n" SUM " 18446744073709551615 2\n"};

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_assert_null(chunk_list_parse(texts[i], &error));
                assert_error(error, INVALID_BUNDLE);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_list_is_read_as_it_was_written);
        ADD(a_list_may_be_empty);
        ADD(what_is_no_list_is_refused);
        return g_test_run();
}
