/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "bus-path"

#include <string.h>
#include <systemd/sd-bus.h>

#include "bus/bus-path.h"
#include "support.h"

#define UUID    "e2c0ffee-0123-4567-89ab-cdef01234567"
#define ENCODED "e2c0ffee_0123_4567_89ab_cdef01234567"

static bool is_task(const char *path) {
        uint32_t id = 4711;
        bool ok = bus_path_to_task(path, &id);

        /* An output is never touched on failure. */
        g_assert_true(ok || id == 4711);
        return ok;
}

static bool is_machine(const char *path) {
        char uuid[UUID_STRING_SIZE] = "untouched";
        bool ok = bus_path_to_machine(path, uuid);

        g_assert_true(ok || g_str_equal(uuid, "untouched"));
        return ok;
}

static bool is_snapshot(const char *path) {
        char uuid[UUID_STRING_SIZE] = "untouched";
        char *id = NULL;
        bool ok = bus_path_to_snapshot(path, uuid, &id);

        g_assert_true(ok || (g_str_equal(uuid, "untouched") && !id));
        g_free(id);
        return ok;
}

static void a_task_comes_back_from_its_path(void) {
        const uint32_t ids[] = {1, 9, 10, 17, 4294967295};

        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
                g_autofree char *path = bus_path_task(ids[i]);
                uint32_t id;

                g_assert_true(bus_path_to_task(path, &id));
                g_assert_cmpuint(id, ==, ids[i]);
        }
}

static void a_machine_comes_back_from_its_path(void) {
        g_autofree char *path = bus_path_machine(UUID);
        char uuid[UUID_STRING_SIZE];

        g_assert_cmpstr(path, ==, "/org/virtask1/vm/_" ENCODED);
        g_assert_true(bus_path_to_machine(path, uuid));
        g_assert_cmpstr(uuid, ==, UUID);
}

static void the_prefix_alone_is_no_task(void) {
        g_assert_false(is_task("/org/virtask1/task"));
        g_assert_false(is_task("/org/virtask1/task/"));
        g_assert_false(is_task("/org/virtask1"));
        g_assert_false(is_task("/"));
        g_assert_false(is_task(""));
}

static void a_number_is_written_in_one_way_only(void) {
        g_assert_false(is_task("/org/virtask1/task/0"));
        g_assert_false(is_task("/org/virtask1/task/017"));
        g_assert_false(is_task("/org/virtask1/task/+17"));
        g_assert_false(is_task("/org/virtask1/task/-17"));
        g_assert_false(is_task("/org/virtask1/task/ 17"));
        g_assert_false(is_task("/org/virtask1/task/17 "));
        g_assert_false(is_task("/org/virtask1/task/0x11"));
        g_assert_false(is_task("/org/virtask1/task/17/x"));
        g_assert_false(is_task("/org/virtask1/task/x"));
}

static void a_number_that_is_too_large_is_no_task(void) {
        g_assert_false(is_task("/org/virtask1/task/4294967296"));
        g_assert_false(is_task("/org/virtask1/task/18446744073709551633"));
        g_assert_false(is_task("/org/virtask1/task/99999999999999999999999999"));
}

static void another_prefix_is_no_task(void) {
        g_assert_false(is_task("/org/virtask1/tasks/17"));
        g_assert_false(is_task("/org/virtask2/task/17"));
        g_assert_false(is_task("/org/virtask1/vm/17"));
}

static void the_prefix_alone_is_no_machine(void) {
        g_assert_false(is_machine("/org/virtask1/vm"));
        g_assert_false(is_machine("/org/virtask1/vm/"));
        g_assert_false(is_machine("/org/virtask1/vm/_"));
        g_assert_false(is_machine("/"));
        g_assert_false(is_machine(""));
}

static void upper_case_is_no_machine(void) {
        g_assert_false(is_machine("/org/virtask1/vm/_E2c0ffee_0123_4567_89ab_cdef01234567"));
        g_assert_false(is_machine("/org/virtask1/vm/_e2c0ffee_0123_4567_89ab_cdef0123456F"));
}

static void a_wrong_length_is_no_machine(void) {
        g_assert_false(is_machine("/org/virtask1/vm/_e2c0ffee_0123_4567_89ab_cdef0123456"));
        g_assert_false(is_machine("/org/virtask1/vm/_e2c0ffee_0123_4567_89ab_cdef012345678"));
        g_assert_false(is_machine("/org/virtask1/vm/_e2c0ffee0123456789abcdef01234567"));
        g_assert_false(is_machine("/org/virtask1/vm/_" ENCODED "/snapshot"));
}

static void a_dash_belongs_to_its_place(void) {
        g_assert_false(is_machine("/org/virtask1/vm/_e2c0ffee-0123-4567-89ab-cdef01234567"));
        g_assert_false(is_machine("/org/virtask1/vm/_e2c0ffe_e0123_4567_89ab_cdef01234567"));
        g_assert_false(is_machine("/org/virtask1/vm/_e2c0ffee_0123_4567_89ab_cdef0123456g"));
        g_assert_false(is_machine("/org/virtask1/vm/e2c0ffee_0123_4567_89ab_cdef012345678"));
}

static void a_snapshot_comes_back_from_its_path(void) {
        const char *ids[] = {"s1", "1", "a/b", "Büro", " ", ".", "..", "_", "_61", "x<y>&\"z", ""};

        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
                g_autofree char *path = bus_path_snapshot(UUID, ids[i]), *id = NULL;
                char uuid[UUID_STRING_SIZE];

                g_assert_true(sd_bus_object_path_is_valid(path));
                g_assert_true(g_str_has_prefix(path, "/org/virtask1/vm/_" ENCODED "/snapshot/"));
                g_assert_true(bus_path_to_snapshot(path, uuid, &id));
                g_assert_cmpstr(uuid, ==, UUID);
                g_assert_cmpstr(id, ==, ids[i]);
        }
}

static void a_snapshot_is_written_in_one_way_only(void) {
        g_assert_true(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshot/a"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshot/_61"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshot/_2E"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshot/_g"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshot/_2"));
}

static void a_reference_point_is_at_another_place(void) {
        g_autofree char *path = bus_path_reference_point(UUID, "a/b"), *id = NULL, *other = NULL;
        char uuid[UUID_STRING_SIZE];

        g_assert_cmpstr(path, ==, "/org/virtask1/vm/_" ENCODED "/referencepoint/a_2fb");
        g_assert_true(bus_path_to_reference_point(path, uuid, &id));
        g_assert_cmpstr(uuid, ==, UUID);
        g_assert_cmpstr(id, ==, "a/b");
        g_assert_false(is_snapshot(path));
        g_assert_false(bus_path_to_reference_point(
                        "/org/virtask1/vm/_" ENCODED "/snapshot/a", uuid, &other));
        g_assert_false(bus_path_to_reference_point(
                        "/org/virtask1/vm/_" ENCODED "/referencepoint/_61", uuid, &other));
}

static void a_hard_disk_has_the_digest_of_its_file(void) {
        g_autofree char *path = bus_path_hard_disk("/a/b.qcow2");
        g_autofree char *digest =
                        g_compute_checksum_for_string(G_CHECKSUM_SHA256, "/a/b.qcow2", -1);

        g_assert_true(g_str_has_prefix(path, "/org/virtask1/harddisk/"));
        g_assert_cmpuint(strlen(path), ==, strlen("/org/virtask1/harddisk/") + 32);
        g_assert_true(strncmp(path + strlen("/org/virtask1/harddisk/"), digest, 32) == 0);
}

static void a_collection_of_reference_points_comes_back_from_its_path(void) {
        g_autofree char *path = bus_path_reference_point_collection(UUID);
        char id[UUID_STRING_SIZE];

        g_assert_cmpstr(path, ==, "/org/virtask1/referencepointcollection/_" ENCODED);
        g_assert_true(bus_path_to_reference_point_collection(path, id));
        g_assert_cmpstr(id, ==, UUID);
        g_assert_false(bus_path_to_snapshot_collection(path, id));
}

static void another_place_is_no_snapshot(void) {
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshot"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshot/"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshot/a/b"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/snapshots/a"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED "/a"));
        g_assert_false(is_snapshot("/org/virtask1/vm/_" ENCODED));
        g_assert_false(is_snapshot("/org/virtask1/vm/snapshot/a"));
        g_assert_false(is_snapshot("/snapshot/a"));
        g_assert_false(is_snapshot("/"));
        g_assert_false(is_snapshot(""));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_task_comes_back_from_its_path);
        ADD(a_machine_comes_back_from_its_path);
        ADD(the_prefix_alone_is_no_task);
        ADD(a_number_is_written_in_one_way_only);
        ADD(a_number_that_is_too_large_is_no_task);
        ADD(another_prefix_is_no_task);
        ADD(the_prefix_alone_is_no_machine);
        ADD(upper_case_is_no_machine);
        ADD(a_wrong_length_is_no_machine);
        ADD(a_dash_belongs_to_its_place);
        ADD(a_snapshot_comes_back_from_its_path);
        ADD(a_snapshot_is_written_in_one_way_only);
        ADD(another_place_is_no_snapshot);
        ADD(a_reference_point_is_at_another_place);
        ADD(a_hard_disk_has_the_digest_of_its_file);
        ADD(a_collection_of_reference_points_comes_back_from_its_path);
        return g_test_run();
}
