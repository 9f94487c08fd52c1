/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "import-check"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "export/import-plan.h"
#include "images.h"
#include "support.h"

/* Offsets in a qcow2 header */
enum {
        VERSION = 4,
        BACKING_OFFSET = 8,
        BACKING_LENGTH = 16,
        CLUSTER_BITS = 20,
        VIRTUAL_SIZE = 24,
        ENCRYPTION = 32,
        FEATURES = 72,
        HEADER_LENGTH = 100,
};

#define SIZE (16 * MEBIBYTE)

static GError *error;

/* A plan of images that lie in the directory of the test, as if they had been copied. */
static ImportPlan *new_plan(void) {
        ImportPlan *plan = g_new0(ImportPlan, 1);
        g_autofree char *final = g_build_filename(images_directory, "copy", NULL);
        ImportPlace *place;

        plan->disks = g_ptr_array_new();
        plan->snapshots = g_ptr_array_new();
        plan->lower_disks = g_ptr_array_new();
        plan->joints = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        plan->by_target = g_hash_table_new(g_str_hash, g_str_equal);
        plan->files = import_files_new();
        definition_import_init(&plan->import);
        place = import_files_add_place(plan->files, final, true);
        g_free(place->temporary);
        place->temporary = g_strdup(images_directory);
        return plan;
}

static void add_image(ImportPlan *plan, const char *name) {
        import_files_add(plan->files, plan->files->places->pdata[0], name + strlen(IMAGES_PREFIX),
                        name);
        g_hash_table_insert(plan->import.images, g_strdup(name), NULL);
}

static void add_disk(ImportPlan *plan, const char *format, uint64_t size, const char *first, ...) {
        ImportDisk *disk = g_new0(ImportDisk, 1);
        va_list args;

        disk->target = g_strdup("vda");
        disk->size = size;
        disk->images = g_ptr_array_new();
        va_start(args, first);
        for (const char *name = first; name; name = va_arg(args, const char *)) {
                if (!g_hash_table_contains(plan->import.images, name))
                        add_image(plan, name);
                g_ptr_array_add(disk->images, (char *) name);
        }
        va_end(args);
        g_ptr_array_add(plan->disks, disk);
        g_assert_true(definition_import_image(&plan->import, first, format, NULL));
}

static void free_plan(ImportPlan *plan) {
        for (unsigned i = 0; i < plan->disks->len; i++) {
                ImportDisk *disk = plan->disks->pdata[i];

                g_ptr_array_unref(disk->images);
                g_free(disk->target);
                g_free(disk);
        }
        import_plan_free(plan);
}

static void assert_good(ImportPlan *plan) {
        bool ok = import_plan_check_images(plan, &error);

        g_assert_no_error(error);
        g_assert_true(ok);
        free_plan(plan);
}

static void assert_bad(ImportPlan *plan, const char *word) {
        g_assert_false(import_plan_check_images(plan, &error));
        if (!strstr(error->message, word) || strstr(error->message, images_directory))
                g_error("%s, not %s", error->message, word);
        assert_error(error, INVALID_BUNDLE);
        free_plan(plan);
}

/* Images */

static void make_image(const char *name, const char *format) {
        bool raw = g_str_equal(format, "raw");

        g_free(images_make(name, format, raw ? "preallocation=off" : "compat=1.1"));
}

static void make_overlay(const char *name, const char *backing, const char *format) {
        g_autofree char *path = images_path(name);
        const char *const arguments[] = {"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b",
                        backing, "-F", format, path, "16M", NULL};

        images_run(arguments);
}

static void change(const char *name, long offset, const void *data, size_t length) {
        g_autofree char *path = images_path(name);
        FILE *file = fopen(path, "r+b");

        g_assert_cmpint(fseek(file, offset, SEEK_SET), ==, 0);
        g_assert_cmpuint(fwrite(data, 1, length, file), ==, length);
        g_assert_cmpint(fclose(file), ==, 0);
}

static void change32(const char *name, long offset, uint32_t value) {
        value = GUINT32_TO_BE(value);
        change(name, offset, &value, sizeof(value));
}

static void change64(const char *name, long offset, uint64_t value) {
        value = GUINT64_TO_BE(value);
        change(name, offset, &value, sizeof(value));
}

/* What is as it should be */

static void a_raw_image_and_a_chain_are_right(void) {
        ImportPlan *plan = new_plan();

        make_image("vda.raw", "raw");
        make_image("vdb-2.qcow2", "qcow2");
        make_overlay("vdb-1.qcow2", "vdb-2.qcow2", "qcow2");
        make_overlay("vdb.qcow2", "vdb-1.qcow2", "qcow2");
        add_disk(plan, "raw", SIZE, "disks/vda.raw", NULL);
        add_disk(plan, "qcow2", SIZE, "disks/vdb.qcow2", "disks/vdb-1.qcow2", "disks/vdb-2.qcow2",
                        NULL);
        assert_good(plan);
}

static void a_branch_of_a_snapshot_is_right(void) {
        ImportPlan *plan = new_plan();

        make_image("vda-1.raw", "raw");
        make_overlay("vda.qcow2", "vda-1.raw", "raw");
        make_overlay("vda-2.qcow2", "vda-1.raw", "raw");
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vda-1.raw", NULL);
        add_image(plan, "disks/vda-2.qcow2");
        g_assert_true(definition_import_image(&plan->import, "disks/vda-2.qcow2", "qcow2", NULL));
        assert_good(plan);
}

/* A raw image is data, whatever it looks like: its format is given and never guessed. */
static void a_raw_image_may_look_like_another(void) {
        g_autofree char *path = images_path("vda.raw");
        ImportPlan *plan = new_plan();

        make_image("vda.raw", "qcow2");
        change64("vda.raw", FEATURES, 4);
        g_assert_cmpint(truncate(path, SIZE), ==, 0);
        add_disk(plan, "raw", SIZE, "disks/vda.raw", NULL);
        assert_good(plan);
}

/* What a header can say */

typedef struct Hostile {
        const char *name;
        long offset;
        unsigned bits;
        uint64_t value;
        const char *word;
} Hostile;

static const Hostile hostile[] = {
                {"no qcow2", 0, 32, 0x12345678, "begin"},
                {"nothing", 0, 32, 0, "begin"},
                {"VMDK", 0, 32, 0x4b444d56, "begin"},
                {"version 1", VERSION, 32, 1, "version"},
                {"version 4", VERSION, 32, 4, "version"},
                {"tiny clusters", CLUSTER_BITS, 32, 8, "cluster"},
                {"huge clusters", CLUSTER_BITS, 32, 22, "cluster"},
                {"clusters that shift too far", CLUSTER_BITS, 32, 0xffffffff, "cluster"},
                {"external data", FEATURES, 64, 4, "external"},
                {"external data and more", FEATURES, 64, 4 | 8, "external"},
                {"unknown feature", FEATURES, 64, 32, "feature"},
                {"all features", FEATURES, 64, UINT64_MAX & ~UINT64_C(4), "feature"},
                {"highest feature", FEATURES, 64, UINT64_C(1) << 63, "feature"},
                {"AES", ENCRYPTION, 32, 1, "encrypted"},
                {"LUKS", ENCRYPTION, 32, 2, "encrypted"},
                {"unknown encryption", ENCRYPTION, 32, 0x80000000, "encrypted"},
                {"larger than it says", VIRTUAL_SIZE, 64, SIZE + 512, "size"},
                {"smaller than it says", VIRTUAL_SIZE, 64, 512, "size"},
                {"larger than 16 TiB", VIRTUAL_SIZE, 64, (UINT64_C(16) << 40) + 512, "16 TiB"},
                {"largest", VIRTUAL_SIZE, 64, INT64_MAX, "16 TiB"},
                {"negative", VIRTUAL_SIZE, 64, UINT64_MAX, "size"},
                {"short header", HEADER_LENGTH, 32, 72, "length"},
                {"long header", HEADER_LENGTH, 32, 0x10000000, "length"},
                {"no header", HEADER_LENGTH, 32, 0, "length"},
                {"backing name outside", BACKING_OFFSET, 64, UINT64_C(1) << 40, "backing"},
                {"backing name in the header", BACKING_OFFSET, 64, 8, "backing"},
                {"backing name at the end of all", BACKING_OFFSET, 64, UINT64_MAX, "backing"},
                {"long backing name", BACKING_LENGTH, 32, 1024, "backing"},
                {"endless backing name", BACKING_LENGTH, 32, UINT32_MAX, "backing"},
};

static void a_header_that_is_not_right_is_refused(void) {
        for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
                const Hostile *h = &hostile[i];
                ImportPlan *plan = new_plan();

                make_image("vda-1.raw", "raw");
                make_overlay("vda.qcow2", "vda-1.raw", "raw");
                if (h->bits == 32)
                        change32("vda.qcow2", h->offset, (uint32_t) h->value);
                else
                        change64("vda.qcow2", h->offset, h->value);
                g_test_message("%s", h->name);
                add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vda-1.raw", NULL);
                assert_bad(plan, h->word);
        }
}

/* The same of what a disk rests on. */
static void a_header_below_that_is_not_right_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_image("vda-1.qcow2", "qcow2");
        make_overlay("vda.qcow2", "vda-1.qcow2", "qcow2");
        change64("vda-1.qcow2", FEATURES, 4);
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vda-1.qcow2", NULL);
        assert_bad(plan, "external");
}

/* Where a backing file can be */

/* qemu-img does not make it of every name, so it is put where there was room for a longer one. */
static void make_overlay_on_any(const char *name, const char *backing) {
        g_autofree char *room = g_strnfill(200, 'x'), *path = images_path(name), *data = NULL;
        gsize length;
        char *at;

        make_overlay(name, room, "raw");
        g_assert_true(g_file_get_contents(path, &data, &length, NULL));
        at = memmem(data, length, room, strlen(room));
        change(name, at - data, backing, strlen(backing));
        change32(name, BACKING_LENGTH, (uint32_t) strlen(backing));
}

static void a_backing_file_elsewhere_is_refused(void) {
        static const char *const names[] = {"/etc/shadow", "../vda-1.raw", "./../../etc/shadow",
                        "x/vda-1.raw", "/dev/sda",
                        "json:{\"driver\":\"file\",\"filename\":\"/etc/shadow\"}",
                        "nbd://192.0.2.1/x", "fat:rw:/etc", "ssh://x/y", "host_device:/dev/sda"};

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                ImportPlan *plan = new_plan();

                make_image("vda-1.raw", "raw");
                make_overlay_on_any("vda.qcow2", names[i]);
                add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vda-1.raw", NULL);
                assert_bad(plan, i < 5 ? "not in the bundle" : "not a plain file");
        }
}

static void a_backing_file_that_is_not_in_the_bundle_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_overlay("vda.qcow2", "other.raw", "raw");
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", NULL);
        assert_bad(plan, "no image");
}

static void a_chain_that_is_longer_than_the_manifest_says_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_image("vda-1.raw", "raw");
        make_overlay("vda.qcow2", "vda-1.raw", "raw");
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", NULL);
        add_image(plan, "disks/vda-1.raw");
        assert_bad(plan, "list");
}

static void a_chain_that_is_shorter_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_image("vda.qcow2", "qcow2");
        make_image("vda-1.raw", "raw");
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vda-1.raw", NULL);
        assert_bad(plan, "belongs to no disk");
}

static void a_chain_on_another_disk_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_image("vda-1.raw", "raw");
        make_image("vdb.raw", "raw");
        make_overlay("vda.qcow2", "vdb.raw", "raw");
        add_disk(plan, "raw", SIZE, "disks/vdb.raw", NULL);
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vdb.raw", NULL);
        assert_bad(plan, "another disk");
}

static void a_circle_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_overlay("vda.qcow2", "vda-1.qcow2", "qcow2");
        make_overlay("vda-1.qcow2", "vda.qcow2", "qcow2");
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vda-1.qcow2", NULL);
        assert_bad(plan, "itself");
        plan = new_plan();
        make_overlay("vda.qcow2", "vda.qcow2", "qcow2");
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", NULL);
        assert_bad(plan, "itself");
}

/* An image that a guest can write to any format's header is never read as another format. */
static void an_image_of_two_formats_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_image("vda-1.raw", "raw");
        make_overlay("vda.qcow2", "vda-1.raw", "raw");
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vda-1.raw", NULL);
        g_assert_true(definition_import_image(&plan->import, "disks/vda-1.raw", "qcow2", NULL));
        g_assert_false(import_plan_check_images(plan, &error));
        g_clear_error(&error);
        free_plan(plan);
}

static void a_backing_format_that_is_not_known_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_image("vda-1.raw", "raw");
        make_overlay("vda.qcow2", "vda-1.raw", "vmdk");
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", "disks/vda-1.raw", NULL);
        assert_bad(plan, "format");
}

static void a_raw_image_of_another_size_is_refused(void) {
        ImportPlan *plan = new_plan();

        make_image("vda.raw", "raw");
        add_disk(plan, "raw", SIZE - 512, "disks/vda.raw", NULL);
        assert_bad(plan, "size");
}

static void an_empty_file_is_no_image(void) {
        g_autofree char *path = images_path("vda.qcow2");
        ImportPlan *plan = new_plan();

        images_write(path, "", 0);
        add_disk(plan, "qcow2", SIZE, "disks/vda.qcow2", NULL);
        assert_bad(plan, "short");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_IMAGE(a_raw_image_and_a_chain_are_right);
        ADD_IMAGE(a_branch_of_a_snapshot_is_right);
        ADD_IMAGE(a_raw_image_may_look_like_another);
        ADD_IMAGE(a_header_that_is_not_right_is_refused);
        ADD_IMAGE(a_header_below_that_is_not_right_is_refused);
        ADD_IMAGE(a_backing_file_elsewhere_is_refused);
        ADD_IMAGE(a_backing_file_that_is_not_in_the_bundle_is_refused);
        ADD_IMAGE(a_chain_that_is_longer_than_the_manifest_says_is_refused);
        ADD_IMAGE(a_chain_that_is_shorter_is_refused);
        ADD_IMAGE(a_chain_on_another_disk_is_refused);
        ADD_IMAGE(a_circle_is_refused);
        ADD_IMAGE(an_image_of_two_formats_is_refused);
        ADD_IMAGE(a_backing_format_that_is_not_known_is_refused);
        ADD_IMAGE(a_raw_image_of_another_size_is_refused);
        ADD_IMAGE(an_empty_file_is_no_image);
        return g_test_run();
}
