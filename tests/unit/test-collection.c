/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "collection"

#include <string.h>
#include <unistd.h>

#include "collection/store.h"
#include "collection/together.h"
#include "support.h"

#define ID(n)    "00000000-0000-4000-8000-00000000000" #n
#define VM(n)    "10000000-0000-4000-8000-00000000000" #n
#define FILE_(n) "collections/" ID(n) ".collection"

static CollectionStore *open_store(const char *directory) {
        g_autoptr(GError) error = NULL;
        CollectionStore *store = collection_store_new(directory, &error);

        g_assert_no_error(error);
        return store;
}

static void put(CollectionStore *store, CollectionKind kind, const char *id, const char *member) {
        g_autoptr(Collection) collection = collection_new(kind, id, "name");
        g_autoptr(GError) error = NULL;

        if (member)
                collection_add(collection, member, NULL);
        g_assert_true(collection_store_put(store, collection, &error));
        g_assert_no_error(error);
}

static bool is_there(CollectionStore *store, const char *id) {
        g_autoptr(Collection) collection = collection_store_find(store, id, NULL);

        return collection;
}

/* One */

static void an_id_is_made_up(void) {
        g_autoptr(Collection) one = collection_new(COLLECTION_OF_MACHINES, NULL, "a");
        g_autoptr(Collection) other = collection_new(COLLECTION_OF_MACHINES, NULL, "a");

        g_assert_true(collection_id_check(one->id, NULL));
        g_assert_cmpstr(one->id, !=, other->id);
}

static void an_id_is_a_uuid_in_lower_case(void) {
        g_autoptr(GError) error = NULL;

        g_assert_true(collection_id_check(ID(1), NULL));
        g_assert_false(collection_id_check("ABCDEF00-0000-4000-8000-000000000001", &error));
        assert_error(error, INVALID_ARGUMENT);
        g_assert_false(collection_id_check("../00000-0000-4000-8000-000000000001", NULL));
        g_assert_false(collection_id_check("", NULL));
}

static void members_come_and_go_in_order(void) {
        g_autoptr(Collection) collection = collection_new(COLLECTION_OF_MACHINES, ID(1), "a");

        collection_add(collection, VM(3), NULL);
        collection_add(collection, VM(1), NULL);
        collection_add(collection, VM(2), NULL);
        collection_remove(collection, VM(1));
        collection_remove(collection, VM(1));
        g_assert_cmpuint(collection->members->len, ==, 2);
        g_assert_false(collection_has(collection, VM(1)));
        g_assert_cmpstr(((CollectionMember *) collection->members->pdata[0])->uuid, ==, VM(3));
        g_assert_cmpstr(((CollectionMember *) collection->members->pdata[1])->uuid, ==, VM(2));
}

static void a_copy_is_another_one(void) {
        g_autoptr(Collection) one = collection_new(COLLECTION_OF_MACHINES, ID(1), "a");
        g_autoptr(Collection) copy = NULL;

        collection_add(one, VM(1), NULL);
        copy = collection_copy(one);
        collection_rename(copy, "b");
        collection_remove(copy, VM(1));
        g_assert_cmpstr(one->name, ==, "a");
        g_assert_true(collection_has(one, VM(1)));
        g_assert_cmpstr(copy->id, ==, one->id);
}

/* The store */

static void all_survives_a_reload(void) {
        auto_directory directory = test_directory_new();
        CollectionStore *store = open_store(directory);
        g_autoptr(Collection) made = collection_new(COLLECTION_OF_SNAPSHOTS, ID(2), "täglich; =1");
        g_autoptr(Collection) read = NULL;
        const CollectionMember *member;

        collection_add(made, VM(2), "snap;shot\n2");
        collection_add(made, VM(1), "1");
        g_strlcpy(made->origin, ID(1), sizeof(made->origin));
        made->type = 2;
        made->consistency = 1;
        made->created = UINT64_MAX;
        g_assert_true(collection_store_put(store, made, NULL));
        put(store, COLLECTION_OF_MACHINES, ID(1), VM(1));
        put(store, COLLECTION_OF_COLLECTIONS, ID(3), NULL);
        collection_store_free(store);

        store = open_store(directory);
        read = collection_store_find(store, ID(2), NULL);
        g_assert_cmpstr(read->name, ==, made->name);
        g_assert_cmpint(read->kind, ==, COLLECTION_OF_SNAPSHOTS);
        g_assert_cmpuint(read->type, ==, 2);
        g_assert_cmpuint(read->consistency, ==, 1);
        g_assert_cmpuint(read->created, ==, UINT64_MAX);
        g_assert_cmpstr(read->origin, ==, ID(1));
        g_assert_cmpuint(read->members->len, ==, 2);
        member = read->members->pdata[0];
        g_assert_cmpstr(member->uuid, ==, VM(2));
        g_assert_cmpstr(member->snapshot, ==, "snap;shot\n2");
        g_assert_true(is_there(store, ID(1)));
        g_assert_true(is_there(store, ID(3)));
        collection_store_free(store);
}

static void one_of_snapshots_becomes_one_of_reference_points(void) {
        auto_directory directory = test_directory_new();
        CollectionStore *store = open_store(directory);
        g_autoptr(Collection) made = collection_new(COLLECTION_OF_SNAPSHOTS, ID(1), "a");
        g_autoptr(Collection) changed = NULL, read = NULL;

        g_strlcpy(made->origin, ID(2), sizeof(made->origin));
        collection_add(made, VM(1), "s");
        g_assert_true(collection_is_group(made));
        g_assert_true(collection_store_put(store, made, NULL));
        changed = collection_copy(made);
        changed->kind = COLLECTION_OF_POINTS;
        g_assert_true(collection_store_put(store, changed, NULL));
        collection_store_free(store);

        store = open_store(directory);
        read = collection_store_find(store, ID(1), NULL);
        g_assert_cmpint(read->kind, ==, COLLECTION_OF_POINTS);
        g_assert_true(collection_is_group(read));
        g_assert_cmpstr(read->origin, ==, ID(2));
        g_assert_cmpstr(collection_snapshot_of(read, VM(1)), ==, "s");
        collection_store_free(store);
}

static void as_many_members_as_may_be_survive_a_reload(void) {
        auto_directory directory = test_directory_new();
        CollectionStore *store = open_store(directory);
        g_autoptr(Collection) made = collection_new(COLLECTION_OF_SNAPSHOTS, ID(1), "a");
        g_autoptr(Collection) read = NULL;

        g_strlcpy(made->origin, ID(2), sizeof(made->origin));
        for (unsigned i = 0; i < COLLECTION_MEMBERS_MAX; i++) {
                g_autofree char *uuid = g_uuid_string_random();
                g_autofree char *snapshot = g_strnfill(255, ';');

                collection_add(made, uuid, snapshot);
        }
        g_assert_true(collection_store_put(store, made, NULL));
        collection_store_free(store);
        store = open_store(directory);
        read = collection_store_find(store, ID(1), NULL);
        g_assert_nonnull(read);
        g_assert_cmpuint(read->members->len, ==, COLLECTION_MEMBERS_MAX);
        collection_store_free(store);
}

static void a_file_that_makes_no_sense_is_skipped_and_stays(void) {
        static const char *const texts[] = {
                        "",
                        "no key file",
                        "[Collection]\nKind=cats\nName=a\nMembers=\n",
                        "[Collection]\nKind=machines\nMembers=\n",
                        "[Collection]\nKind=machines\nName=a\n",
                        "[Collection]\nKind=machines\nName=a\nMembers=../../etc;\n",
                        "[Collection]\nKind=snapshots\nName=a\nMembers=" VM(1) ";\nSnapshots=\n",
                        "[Collection]\nKind=snapshots\nName=a\nMembers=\nSnapshots=\nOrigin=x\n",
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                auto_directory directory = test_directory_new();
                g_autofree char *left = NULL;
                CollectionStore *store = open_store(directory);

                put(store, COLLECTION_OF_MACHINES, ID(2), NULL);
                collection_store_free(store);
                test_write(directory, FILE_(1), texts[i]);
                test_write(directory, "collections/x.collection",
                                "[Collection]\nKind=machines\nName=a\nMembers=\n");
                store = open_store(directory);
                g_assert_false(is_there(store, ID(1)));
                g_assert_false(is_there(store, "x"));
                g_assert_true(is_there(store, ID(2)));
                left = test_read(directory, FILE_(1));
                g_assert_cmpstr(left, ==, texts[i]);
                collection_store_free(store);
        }
}

/* A directory that is gone takes no file, not even root's. */
static void what_can_not_be_written_changes_nothing(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *path = g_build_filename(directory, "collections", NULL);
        g_autofree char *file = g_build_filename(directory, FILE_(1), NULL);
        CollectionStore *store = open_store(directory);
        g_autoptr(Collection) other = collection_new(COLLECTION_OF_MACHINES, ID(1), "other");
        g_autoptr(Collection) found = NULL;
        g_autoptr(GError) error = NULL;

        put(store, COLLECTION_OF_MACHINES, ID(1), NULL);
        g_assert_cmpint(unlink(file), ==, 0);
        g_assert_cmpint(rmdir(path), ==, 0);
        g_assert_false(collection_store_put(store, other, &error));
        g_assert_nonnull(error);
        found = collection_store_find(store, ID(1), NULL);
        g_assert_cmpstr(found->name, ==, "name");
        collection_store_free(store);
}

/* A directory in the place of the file can't be unlinked. */
static void what_can_not_be_removed_is_still_there(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *file = g_build_filename(directory, FILE_(1), NULL);
        CollectionStore *store = open_store(directory);
        g_autoptr(GError) error = NULL;

        put(store, COLLECTION_OF_MACHINES, ID(1), NULL);
        g_assert_cmpint(unlink(file), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(file, 0700), ==, 0);
        g_assert_false(collection_store_remove(store, ID(1), &error));
        assert_error(error, FAILED);
        g_assert_true(is_there(store, ID(1)));
        collection_store_free(store);
}

static void what_is_removed_leaves_the_others(void) {
        auto_directory directory = test_directory_new();
        CollectionStore *store = open_store(directory);
        g_autoptr(Collection) outer = NULL, held = NULL;

        put(store, COLLECTION_OF_MACHINES, ID(1), VM(1));
        put(store, COLLECTION_OF_COLLECTIONS, ID(2), ID(1));
        held = collection_store_find(store, ID(2), NULL);
        g_assert_true(collection_store_remove(store, ID(1), NULL));
        g_assert_true(collection_store_remove(store, ID(1), NULL));
        g_assert_true(collection_has(held, ID(1))); /* a collection never changes */
        collection_store_free(store);
        store = open_store(directory);
        g_assert_false(is_there(store, ID(1)));
        outer = collection_store_find(store, ID(2), NULL);
        g_assert_cmpuint(outer->members->len, ==, 0);
        collection_store_free(store);
}

static void what_is_not_there_has_an_error(void) {
        auto_directory directory = test_directory_new();
        CollectionStore *store = open_store(directory);
        g_autoptr(GError) error = NULL;

        g_assert_null(collection_store_find(store, ID(1), &error));
        assert_error(error, NO_SUCH_COLLECTION);
        collection_store_free(store);
}

static void the_oldest_come_first(void) {
        auto_directory directory = test_directory_new();
        CollectionStore *store = open_store(directory);
        static const char *const ids[] = {ID(1), ID(2), ID(3)};
        static const uint64_t times[] = {30, UINT64_MAX, 20};
        static const char *const expected[] = {ID(4), ID(5), ID(3), ID(1), ID(2)};
        g_autoptr(GPtrArray) list = NULL;

        put(store, COLLECTION_OF_MACHINES, ID(5), NULL);
        put(store, COLLECTION_OF_MACHINES, ID(4), NULL);
        for (unsigned i = 0; i < 3; i++) {
                g_autoptr(Collection) one = collection_new(COLLECTION_OF_SNAPSHOTS, ids[i], "a");

                one->created = times[i];
                g_assert_true(collection_store_put(store, one, NULL));
        }
        list = collection_store_list(store);
        g_assert_cmpuint(list->len, ==, 5);
        for (unsigned i = 0; i < 5; i++)
                g_assert_cmpstr(((Collection *) list->pdata[i])->id, ==, expected[i]);
        collection_store_free(store);
}

/* Together */

typedef struct Counts {
        _Atomic unsigned of[100];
        _Atomic unsigned at_once, most;
} Counts;

static void count(unsigned i, void *userdata) {
        Counts *counts = userdata;
        unsigned now = ++counts->at_once, most = counts->most;

        while (now > most && !atomic_compare_exchange_weak(&counts->most, &most, now))
                continue;
        counts->of[i]++;
        counts->at_once--;
}

static void each_item_is_done_once_and_not_too_many_at_a_time(void) {
        static const unsigned widths[] = {0, 1, 2, 7, 64, 1000};

        for (unsigned w = 0; w < G_N_ELEMENTS(widths); w++) {
                Counts counts = {0};

                together_do(100, widths[w], count, &counts);
                for (unsigned i = 0; i < 100; i++)
                        g_assert_cmpuint(counts.of[i], ==, 1);
                g_assert_cmpuint(counts.most, <=, MAX(widths[w], 1));
        }
}

static void nothing_is_done_for_nothing(void) {
        Counts counts = {0};

        together_do(0, 4, count, &counts);
        g_assert_cmpuint(counts.most, ==, 0);
}

/* All have to be under way at once, or this never ends. */
static void meet(unsigned i, void *userdata) {
        _Atomic unsigned *arrived = userdata;

        (*arrived)++;
        while (*arrived < 4)
                g_thread_yield();
}

static void items_are_worked_on_side_by_side(void) {
        _Atomic unsigned arrived = 0;

        together_do(4, 4, meet, &arrived);
        g_assert_cmpuint(arrived, ==, 4);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL);
        ADD(an_id_is_made_up);
        ADD(an_id_is_a_uuid_in_lower_case);
        ADD(members_come_and_go_in_order);
        ADD(a_copy_is_another_one);
        ADD(all_survives_a_reload);
        ADD(one_of_snapshots_becomes_one_of_reference_points);
        ADD(as_many_members_as_may_be_survive_a_reload);
        ADD(a_file_that_makes_no_sense_is_skipped_and_stays);
        ADD(what_can_not_be_written_changes_nothing);
        ADD(what_can_not_be_removed_is_still_there);
        ADD(what_is_removed_leaves_the_others);
        ADD(what_is_not_there_has_an_error);
        ADD(the_oldest_come_first);
        ADD(each_item_is_done_once_and_not_too_many_at_a_time);
        ADD(nothing_is_done_for_nothing);
        ADD(items_are_worked_on_side_by_side);
        return g_test_run();
}
