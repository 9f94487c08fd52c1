/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "snapshot-ref.h"
#include "snapshot-tree.h"
#include "suggest.h"

#define ADD(test) g_test_add_func("/tool-snapshot/" #test, test)

static const SnapshotTreeStyle lines = {.lines = true};
static const SnapshotTreeStyle plain = {.lines = false};

/* The strings of a test are constants, which nobody frees. */
static SnapshotInfo snapshot(const char *id, const char *parent) {
        return (SnapshotInfo){.path = (char *) id,
                        .id = (char *) id,
                        .name = (char *) id,
                        .parent = (char *) parent};
}

static SnapshotInfo named(const char *id, const char *name) {
        SnapshotInfo info = snapshot(id, "/");

        info.name = (char *) name;
        return info;
}

static void fill(SnapshotInfo **list, SnapshotInfo *all, size_t count) {
        for (size_t i = 0; i < count; i++)
                list[i] = all + i;
}

/* Branch and ID of each row, a row in a line. */
static char *draw(SnapshotInfo *all, size_t count, SnapshotTreeStyle style) {
        g_autofree SnapshotInfo **list = g_new0(SnapshotInfo *, count);
        _cleanup_(snapshot_tree_clear) SnapshotTree tree = {0};
        GString *text = g_string_new(NULL);

        fill(list, all, count);
        snapshot_tree_make(&tree, list, count, &style);
        g_assert_cmpuint(tree.count, ==, count);
        for (size_t i = 0; i < tree.count; i++)
                g_string_append_printf(
                                text, "%s%s\n", tree.rows[i].branch, tree.rows[i].snapshot->id);
        return g_string_free(text, FALSE);
}

static void assert_drawn(
                SnapshotInfo *all, size_t count, SnapshotTreeStyle style, const char *expected) {
        g_autofree char *text = draw(all, count, style);

        g_assert_cmpstr(text, ==, expected);
}

static void a_tree_has_branches(void) {
        SnapshotInfo all[] = {snapshot("base", "/"), snapshot("a", "base"), snapshot("b", "base"),
                        snapshot("a1", "a"), snapshot("b1", "b"), snapshot("a2", "a1"),
                        snapshot("other", "/")};

        assert_drawn(all, G_N_ELEMENTS(all), lines,
                        "base\n"
                        "├─ a\n"
                        "│  └─ a1\n"
                        "│     └─ a2\n"
                        "└─ b\n"
                        "   └─ b1\n"
                        "other\n");
}

static void without_lines_there_is_indentation(void) {
        SnapshotInfo all[] = {snapshot("base", "/"), snapshot("a", "base"), snapshot("b", "base"),
                        snapshot("a1", "a")};

        assert_drawn(all, G_N_ELEMENTS(all), plain, "base\n  a\n    a1\n  b\n");
}

static void a_parent_may_come_later_in_the_list(void) {
        SnapshotInfo all[] = {snapshot("c", "b"), snapshot("b", "a"), snapshot("a", "/")};

        assert_drawn(all, G_N_ELEMENTS(all), plain, "a\n  b\n    c\n");
}

static void no_snapshots_make_an_empty_tree(void) {
        assert_drawn(NULL, 0, lines, "");
}

static void a_snapshot_without_its_parent_is_a_root(void) {
        SnapshotInfo all[] = {snapshot("a", "gone"), snapshot("b", "a"), snapshot("c", NULL)};

        assert_drawn(all, G_N_ELEMENTS(all), lines, "a\n└─ b\nc\n");
}

static void each_snapshot_of_a_circle_is_shown_once(void) {
        SnapshotInfo all[] = {snapshot("a", "c"), snapshot("b", "a"), snapshot("c", "b"),
                        snapshot("self", "self")};

        assert_drawn(all, G_N_ELEMENTS(all), lines, "a\n└─ b\n   └─ c\nself\n");
}

static void of_a_deep_tree_the_last_levels_are_drawn(void) {
        SnapshotInfo all[] = {snapshot("a", "/"), snapshot("b", "a"), snapshot("c", "b"),
                        snapshot("d", "c"), snapshot("e", "d"), snapshot("d2", "c")};

        assert_drawn(all, G_N_ELEMENTS(all), (SnapshotTreeStyle){true, 2},
                        "a\n"
                        "└─ b\n"
                        "   └─ c\n"
                        "…    ├─ d\n"
                        "… │  └─ e\n"
                        "…    └─ d2\n");
        assert_drawn(all, G_N_ELEMENTS(all), (SnapshotTreeStyle){false, 1},
                        "a\n  b\n~   c\n~   d\n~   e\n~   d2\n");
}

static void a_row_knows_its_parent(void) {
        SnapshotInfo all[] = {snapshot("b", "a"), snapshot("a", "gone")};
        SnapshotInfo *list[] = {all, all + 1};
        _cleanup_(snapshot_tree_clear) SnapshotTree tree = {0};

        snapshot_tree_make(&tree, list, 2, &plain);
        g_assert_null(tree.rows[0].parent);
        g_assert_true(tree.rows[1].parent == all + 1);
}

static const SnapshotInfo *find(
                SnapshotInfo *all, size_t count, const char *argument, size_t *ret_count) {
        g_autofree SnapshotInfo **list = g_new0(SnapshotInfo *, count);

        fill(list, all, count);
        return snapshot_ref_find(list, count, argument, ret_count);
}

static void a_snapshot_has_an_id_a_name_and_a_path(void) {
        SnapshotInfo all[] = {named("1", "one"), named("2", "two")};
        size_t count = 0;

        all[1].path = (char *) "/two";
        g_assert_true(find(all, 2, "2", &count) == all + 1);
        g_assert_true(find(all, 2, "two", &count) == all + 1);
        g_assert_true(find(all, 2, "/two", &count) == all + 1);
        g_assert_cmpuint(count, ==, 1);
        g_assert_null(find(all, 2, "tw", &count));
        g_assert_cmpuint(count, ==, 0);
        g_assert_null(find(all, 2, "", &count));
        g_assert_null(find(NULL, 0, "x", &count));
}

static void a_name_of_several_is_nobody(void) {
        SnapshotInfo all[] = {named("1", "same"), named("2", "same"), named("3", "same")};
        size_t count = 0;

        g_assert_null(find(all, 3, "same", &count));
        g_assert_cmpuint(count, ==, 3);
        g_assert_true(find(all, 3, "3", &count) == all + 2);
}

static void an_id_is_stronger_than_a_name(void) {
        SnapshotInfo all[] = {named("2", "1"), named("1", "x"), named("3", "1")};
        size_t count = 0;

        g_assert_true(find(all, 3, "1", &count) == all + 1);
        g_assert_cmpuint(count, ==, 1);
}

static void assert_candidate(SnapshotInfo *all, size_t count, const char *prefix, const char *id) {
        g_autofree SnapshotInfo **list = g_new0(SnapshotInfo *, count);

        fill(list, all, count);
        g_assert_cmpstr(snapshot_ref_candidate(list, count, all, prefix), ==, id);
}

static void completion_offers_what_means_the_snapshot(void) {
        SnapshotInfo one[] = {named("base-2", "before it")};
        SnapshotInfo several[] = {named("base-2", "same"), named("base-3", "same")};
        SnapshotInfo taken[] = {named("base-2", "x"), named("x", "y")};

        assert_candidate(one, 1, "", "base-2");
        assert_candidate(one, 1, "b", "base-2");
        assert_candidate(one, 1, "bef", "before it");
        assert_candidate(one, 1, "c", NULL);
        assert_candidate(several, 2, "sa", NULL);
        assert_candidate(taken, 2, "x", NULL);
}

static void a_label_has_the_id_where_it_differs(void) {
        SnapshotInfo all[] = {named("a", "a"), named("a-2", "a"), named("a", NULL), named("a", "")};
        g_autofree char *same = snapshot_info_label(all), *other = snapshot_info_label(all + 1);
        g_autofree char *none = snapshot_info_label(all + 2), *empty = snapshot_info_label(all + 3);

        g_assert_cmpstr(same, ==, "a");
        g_assert_cmpstr(other, ==, "a (a-2)");
        g_assert_cmpstr(none, ==, "a");
        g_assert_cmpstr(empty, ==, "a");
}

static void the_oldest_comes_first(void) {
        SnapshotInfo a = snapshot("s-10", "/"), b = snapshot("s-9", "/"), c = snapshot("z", "/");

        a.created = b.created = 2;
        c.created = 1;
        g_assert_cmpint(snapshot_info_compare(&a, &b), >, 0);
        g_assert_cmpint(snapshot_info_compare(&c, &a), <, 0);
        g_assert_cmpint(snapshot_info_compare(&a, &a), ==, 0);
}

static void a_type_has_a_word(void) {
        static const struct {
                uint32_t type;
                const char *word;
        } cases[] = {{2, "full"}, {3, "disks"}, {32768, "recovery"}, {7, "unknown"}};

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const SnapshotInfo info = {.type = cases[i].type};

                g_assert_cmpstr(snapshot_info_type_word(&info), ==, cases[i].word);
        }
}

static void near_names_are_suggested(void) {
        static const char *const names[] = {"web1", "web2", "database", "c", "d", "e", "f"};
        g_autofree char *near = suggest_names("wep1", names, G_N_ELEMENTS(names));
        g_autofree char *part = suggest_names("base", names, G_N_ELEMENTS(names));
        g_autofree char *far = suggest_names("x-long-word", names, G_N_ELEMENTS(names));
        g_autofree char *none = suggest_names("x", NULL, 0);

        g_assert_cmpstr(near, ==, "web1, web2");
        g_assert_cmpstr(part, ==, "database");
        g_assert_cmpstr(far, ==, "c, d, database, e, f, ...");
        g_assert_cmpstr(none, ==, "");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_tree_has_branches);
        ADD(without_lines_there_is_indentation);
        ADD(a_parent_may_come_later_in_the_list);
        ADD(no_snapshots_make_an_empty_tree);
        ADD(a_snapshot_without_its_parent_is_a_root);
        ADD(each_snapshot_of_a_circle_is_shown_once);
        ADD(of_a_deep_tree_the_last_levels_are_drawn);
        ADD(a_row_knows_its_parent);
        ADD(a_snapshot_has_an_id_a_name_and_a_path);
        ADD(a_name_of_several_is_nobody);
        ADD(an_id_is_stronger_than_a_name);
        ADD(completion_offers_what_means_the_snapshot);
        ADD(a_label_has_the_id_where_it_differs);
        ADD(the_oldest_comes_first);
        ADD(a_type_has_a_word);
        ADD(near_names_are_suggested);
        return g_test_run();
}
