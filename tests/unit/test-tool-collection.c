/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "collection-ref.h"

#define ADD(test) g_test_add_func("/tool-collection/" #test, test)

#define UUID_A "6695eb01-f6a4-8304-79aa-97f2502e193f"
#define UUID_B "6695eb01-aaaa-8304-79aa-97f2502e193f"
#define UUID_C "12345678-aaaa-8304-79aa-97f2502e193f"

/* The strings of a test are constants, which nobody frees. */
static Candidate candidate(
                const char *path, const char *uuid, const char *name, const char *qualified) {
        return (Candidate){(char *) path, (char *) uuid, (char *) name, (char *) qualified};
}

/* Two snapshots "base", one of "web" and one of "db", and one "last" whose collection is gone. */
static Candidate items[3];
static const CandidateList list = {items, G_N_ELEMENTS(items)};

static void fill_list(void) {
        items[0] = candidate("/a", UUID_A, "base", "web/base");
        items[1] = candidate("/b", UUID_B, "base", "db/base");
        items[2] = candidate("/c", UUID_C, "last", "last");
}

static void assert_means(const char *argument, const Candidate *expected, size_t expected_count) {
        size_t count = 99;

        g_assert_true(candidate_list_find(&list, argument, &count) == expected);
        g_assert_cmpuint(count, ==, expected_count);
}

static void a_snapshot_has_several_names(void) {
        assert_means("/b", items + 1, 1);
        assert_means(UUID_B, items + 1, 1);
        assert_means("6695EB01-AAAA-8304-79AA-97F2502E193F", items + 1, 1);
        assert_means("db/base", items + 1, 1);
        assert_means("6695eb01aa", items + 1, 1);
        assert_means("last", items + 2, 1);
}

static void what_fits_several_is_nobody(void) {
        assert_means("base", NULL, 2);
        assert_means("6695eb01", NULL, 2);
}

static void what_fits_none_is_nobody(void) {
        assert_means("", NULL, 0);
        assert_means("web", NULL, 0);
        assert_means("web/last", NULL, 0);
        assert_means("669", NULL, 0);
}

static void a_uuid_is_stronger_than_a_name(void) {
        Candidate liars[] = {candidate("/a", UUID_A, "x", NULL),
                        candidate("/b", UUID_B, UUID_A, NULL),
                        candidate("/c", UUID_C, "6695", NULL)};
        const CandidateList names = {liars, G_N_ELEMENTS(liars)};
        size_t count = 0;

        g_assert_true(candidate_list_find(&names, UUID_A, &count) == liars);
        g_assert_true(candidate_list_find(&names, "6695", &count) == liars + 2);
}

static void completion_offers_what_means_one(void) {
        g_assert_cmpstr(candidate_list_word(&list, items, ""), ==, "web/base");
        g_assert_cmpstr(candidate_list_word(&list, items, "web"), ==, "web/base");
        g_assert_cmpstr(candidate_list_word(&list, items, "6"), ==, UUID_A);
        g_assert_cmpstr(candidate_list_word(&list, items, "b"), ==, NULL);
        g_assert_cmpstr(candidate_list_word(&list, items + 2, ""), ==, "last");
}

static void a_member_that_is_gone_has_the_uuid_of_its_path(void) {
        char path[] = "/org/virtask1/vm/_6695eb01_f6a4_8304_79aa_97f2502e193f";
        char *paths[] = {path};
        const CollectionInfo collection = {.members = {paths, 1}};
        const Inventory inventory = {0};
        _cleanup_(candidate_list_clear) CandidateList members = {0};
        size_t count = 0;

        candidate_list_add_members(&members, &inventory, &collection);
        g_assert_cmpuint(members.count, ==, 1);
        g_assert_cmpstr(members.items->uuid, ==, UUID_A);
        g_assert_cmpstr(members.items->name, ==, NULL);
        g_assert_true(candidate_list_find(&members, "6695eb01-f6", &count) == members.items);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        fill_list();
        ADD(a_snapshot_has_several_names);
        ADD(what_fits_several_is_nobody);
        ADD(what_fits_none_is_nobody);
        ADD(a_uuid_is_stronger_than_a_name);
        ADD(completion_offers_what_means_one);
        ADD(a_member_that_is_gone_has_the_uuid_of_its_path);
        return g_test_run();
}
