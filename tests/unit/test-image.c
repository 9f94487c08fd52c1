/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "image"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/image.h"
#include "images.h"
#include "support.h"

/* Offsets in a qcow2 header */
enum {
        VERSION = 4,
        BACKING_OFFSET = 8,
        BACKING_LENGTH = 16,
        CLUSTER_BITS = 20,
        VIRTUAL_SIZE = 24,
        FEATURES = 72,
        HEADER_LENGTH = 100,
        EXTENSIONS = 104,
        NAME = 512,
};

static GError *error;
static uint8_t header[4096];

/* Handmade headers */

static void put32(size_t offset, uint32_t value) {
        value = GUINT32_TO_BE(value);
        memcpy(header + offset, &value, sizeof(value));
}

static void put64(size_t offset, uint64_t value) {
        value = GUINT64_TO_BE(value);
        memcpy(header + offset, &value, sizeof(value));
}

static void put_extension(uint32_t type, uint32_t length, const char *data) {
        put32(EXTENSIONS, type);
        put32(EXTENSIONS + 4, length);
        memcpy(header + EXTENSIONS + 8, data, strlen(data));
}

/* A good one, of an image without backing file. */
static void begin_header(void) {
        memset(header, 0, sizeof(header));
        memcpy(header, "QFI\xFB", 4);
        put32(VERSION, 3);
        put32(CLUSTER_BITS, 16);
        put64(VIRTUAL_SIZE, MEBIBYTE);
        put32(HEADER_LENGTH, 104);
}

static void begin_overlay(const char *backing) {
        begin_header();
        put64(BACKING_OFFSET, NAME);
        put32(BACKING_LENGTH, (uint32_t) strlen(backing));
        memcpy(header + NAME, backing, strlen(backing));
        put_extension(0xE2792ACA, 5, "qcow2");
}

static char *write_header(const char *name, size_t size) {
        char *path = images_path(name);

        images_write(path, header, size);
        return path;
}

static ImageInfo *read_header_of(size_t size) {
        g_autofree char *path = write_header("header", size);

        return image_info_read(path, "qcow2", &error);
}

static ImageInfo *read_header(void) {
        ImageInfo *info = read_header_of(sizeof(header));

        g_assert_no_error(error);
        return info;
}

#define assert_refused(code)                                                                       \
        do {                                                                                       \
                g_assert_null(read_header_of(sizeof(header)));                                     \
                assert_error(error, code);                                                         \
        } while (0)

static void assert_backing_refused(const char *backing) {
        begin_overlay(backing);
        assert_refused(NOT_SUPPORTED);
}

static ImageInfo *info_of(const char *path) {
        ImageInfo *info = image_info_read(path, "qcow2", &error);

        g_assert_no_error(error);
        return info;
}

/* Information */

static void a_real_image_is_read(void) {
        g_autofree char *path = images_make("a", "qcow2", "compat=1.1");
        g_autoptr(ImageInfo) info = info_of(path);

        g_assert_cmpstr(info->path, ==, path);
        g_assert_cmpstr(info->format, ==, "qcow2");
        g_assert_null(info->backing);
        g_assert_null(info->backing_format);
        g_assert_cmpuint(info->virtual_size, ==, 16 * MEBIBYTE);
        g_assert_cmpuint(info->actual_size, >, 0);
        g_assert_cmpuint(info->actual_size, <, MEBIBYTE);
}

static void every_kind_of_qcow2_is_read(void) {
        const char *const options[] = {"compat=0.10", "cluster_size=512", "cluster_size=2M",
                        "extended_l2=on", "compression_type=zstd", "lazy_refcounts=on"};

        for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
                g_autofree char *path = images_make("a", "qcow2", options[i]);
                g_autofree char *overlay = images_path("b");
                const char *const arguments[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-o",
                                options[i], "-F", "qcow2", "-b", path, overlay, NULL};
                g_autoptr(ImageInfo) info = info_of(path), info_of_overlay = NULL;

                images_run(arguments);
                info_of_overlay = info_of(overlay);
                g_assert_cmpuint(info->virtual_size, ==, 16 * MEBIBYTE);
                g_assert_null(info->backing);
                g_assert_cmpstr(info_of_overlay->backing, ==, path);
                g_assert_cmpstr(info_of_overlay->backing_format, ==, "qcow2");
        }
}

static void a_raw_image_is_as_large_as_its_file(void) {
        g_autofree char *path = images_make("a", "raw", "preallocation=off");
        g_autoptr(ImageInfo) info = image_info_read(path, "raw", &error);

        g_assert_no_error(error);
        g_assert_cmpuint(info->virtual_size, ==, 16 * MEBIBYTE);
        g_assert_cmpuint(info->actual_size, <, MEBIBYTE);
}

static void a_raw_image_with_a_header_in_it_has_no_backing_file(void) {
        g_autofree char *path = NULL;
        g_autoptr(ImageInfo) info = NULL;

        begin_overlay("/etc/shadow");
        path = write_header("a", sizeof(header));
        info = image_info_read(path, "raw", &error);
        g_assert_no_error(error);
        g_assert_null(info->backing);
        g_assert_cmpuint(info->virtual_size, ==, sizeof(header));
}

static void a_header_alone_is_enough(void) {
        g_autoptr(ImageInfo) info = NULL;

        begin_header();
        info = read_header();
        g_assert_cmpuint(info->virtual_size, ==, MEBIBYTE);
        g_assert_null(info->backing);
}

static void a_backing_file_is_read(void) {
        g_autoptr(ImageInfo) info = NULL;

        begin_overlay("/srv/a:b, c.qcow2");
        info = read_header();
        g_assert_cmpstr(info->backing, ==, "/srv/a:b, c.qcow2");
        g_assert_cmpstr(info->backing_format, ==, "qcow2");
}

static void a_backing_file_without_format_has_none(void) {
        g_autoptr(ImageInfo) info = NULL;

        begin_overlay("/srv/a");
        put_extension(0, 0, "");
        info = read_header();
        g_assert_cmpstr(info->backing, ==, "/srv/a");
        g_assert_null(info->backing_format);
}

static void a_format_without_backing_file_does_not_count(void) {
        g_autoptr(ImageInfo) info = NULL;

        begin_overlay("");
        info = read_header();
        g_assert_null(info->backing);
        g_assert_null(info->backing_format);
}

static void other_extensions_are_passed_over(void) {
        g_autoptr(ImageInfo) info = NULL;

        begin_overlay("/srv/a");
        put_extension(0x6803F857, 5, "abcde");
        put32(EXTENSIONS + 16, 0xE2792ACA);
        put32(EXTENSIONS + 20, 3);
        memcpy(header + EXTENSIONS + 24, "raw", 3);
        info = read_header();
        g_assert_cmpstr(info->backing_format, ==, "raw");
}

static void a_relative_name_belongs_to_the_directory_of_the_image(void) {
        g_autofree char *expected = images_path("sub/base:1");
        g_autoptr(ImageInfo) info = NULL;

        begin_overlay("sub/base:1");
        info = read_header();
        g_assert_cmpstr(info->backing, ==, expected);
}

/* Hostile headers */

static void a_short_file_is_refused(void) {
        const size_t sizes[] = {0, 1, 4, 71, 72, 100, 103};

        begin_header();
        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_assert_null(read_header_of(sizes[i]));
                assert_error(error, FAILED);
        }
}

static void another_magic_is_refused(void) {
        begin_header();
        header[3] = 0xFA;
        assert_refused(FAILED);
}

static void an_unknown_version_is_refused(void) {
        const uint32_t versions[] = {0, 1, 4, 9, UINT32_MAX};

        for (unsigned i = 0; i < G_N_ELEMENTS(versions); i++) {
                begin_header();
                put32(VERSION, versions[i]);
                assert_refused(NOT_SUPPORTED);
        }
}

static void an_impossible_cluster_size_is_refused(void) {
        const uint32_t bits[] = {0, 8, 22, 64, UINT32_MAX};

        for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++) {
                begin_header();
                put32(CLUSTER_BITS, bits[i]);
                assert_refused(FAILED);
        }
}

static void an_impossible_size_is_refused(void) {
        begin_header();
        put64(VIRTUAL_SIZE, UINT64_MAX);
        assert_refused(FAILED);
}

static void an_impossible_header_length_is_refused(void) {
        const uint32_t lengths[] = {0, 72, 103, sizeof(header) + 1, 65537, UINT32_MAX};

        for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
                begin_header();
                put32(HEADER_LENGTH, lengths[i]);
                assert_refused(FAILED);
        }
}

static void an_external_data_file_is_refused(void) {
        g_autofree char *data = images_path("data");
        g_autofree char *options = g_strconcat("data_file=", data, NULL);
        g_autofree char *path = images_make("a", "qcow2", options);

        g_assert_null(image_info_read(path, "qcow2", &error));
        assert_error(error, NOT_SUPPORTED);
        begin_header();
        put64(FEATURES, 4);
        assert_refused(NOT_SUPPORTED);
}

static void an_unknown_feature_is_refused(void) {
        for (unsigned bit = 5; bit < 64; bit++) {
                begin_header();
                put64(FEATURES, UINT64_C(1) << bit);
                assert_refused(NOT_SUPPORTED);
        }
}

static void a_name_beyond_the_file_is_refused(void) {
        const uint64_t offsets[] = {sizeof(header) - 1, sizeof(header), sizeof(header) + 1, 65536,
                        UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 5};

        for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++) {
                begin_overlay("/srv/a");
                put64(BACKING_OFFSET, offsets[i]);
                assert_refused(FAILED);
        }
}

static void a_name_in_the_header_is_refused(void) {
        begin_overlay("/srv/a");
        put64(BACKING_OFFSET, 72);
        assert_refused(FAILED);
}

static void a_name_that_is_too_long_is_refused(void) {
        const uint32_t lengths[] = {1024, 2000, INT32_MAX, UINT32_MAX};

        for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
                begin_overlay("/srv/a");
                put32(BACKING_LENGTH, lengths[i]);
                assert_refused(FAILED);
        }
}

static void a_long_name_is_read(void) {
        g_autofree char *name = g_strnfill(1023, 'a');
        g_autoptr(ImageInfo) info = NULL;

        name[0] = '/';
        begin_overlay(name);
        info = read_header();
        g_assert_cmpstr(info->backing, ==, name);
}

static void a_name_that_is_no_text_is_refused(void) {
        const char *const names[] = {"/srv/a\xFF", "/srv/a\nb", "/srv/\x1B[31m"};

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                begin_overlay(names[i]);
                assert_refused(FAILED);
        }
        begin_overlay("/srv/a");
        header[NAME + 2] = 0;
        assert_refused(FAILED);
}

static void a_backing_file_that_is_no_file_is_refused(void) {
        assert_backing_refused("json:{\"driver\":\"file\",\"filename\":\"/etc/shadow\"}");
        assert_backing_refused("nbd:localhost:10809");
        assert_backing_refused("nbd+unix:///?socket=/run/x");
        assert_backing_refused("http://localhost/a");
        assert_backing_refused("ssh://localhost/a");
        assert_backing_refused("file:/etc/shadow");
        assert_backing_refused("fat:rw:/etc");
        assert_backing_refused(":");
        assert_backing_refused("a:b");
}

static void an_extension_that_is_too_long_is_refused(void) {
        const uint32_t lengths[] = {sizeof(header), INT32_MAX, UINT32_MAX - 6, UINT32_MAX};

        for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
                begin_header();
                put_extension(1, lengths[i], "");
                assert_refused(FAILED);
        }
}

static void an_extension_may_not_reach_into_the_name(void) {
        begin_overlay("/srv/a");
        put_extension(1, NAME - EXTENSIONS - 8 + 1, "");
        assert_refused(FAILED);
}

static void an_impossible_backing_format_is_refused(void) {
        const char *const formats[] = {"", "a,b", "json:{}", "../../a", "0123456789abcdef"};

        for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
                begin_overlay("/srv/a");
                put_extension(0xE2792ACA, (uint32_t) strlen(formats[i]), formats[i]);
                assert_refused(FAILED);
        }
}

static void a_header_of_any_bytes_does_no_harm(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(1);

        for (int i = 0; i < 2000; i++) {
                g_autoptr(ImageInfo) info = NULL;

                begin_overlay("/srv/a");
                for (int k = 0; k < 4; k++)
                        header[g_rand_int_range(random, 4, 160)] = (uint8_t) g_rand_int(random);
                info = read_header_of((size_t) g_rand_int_range(random, 60, 700));
                g_assert_true((info == NULL) == (error != NULL));
                g_clear_error(&error);
        }
}

/* What is no image */

static void a_missing_file_is_not_found(void) {
        g_autofree char *path = images_path("missing");

        g_assert_null(image_info_read(path, "qcow2", &error));
        assert_error(error, FILE_NOT_FOUND);
}

static void what_is_no_regular_file_is_refused(void) {
        g_autofree char *fifo = images_path("fifo");
        const char *const paths[] = {images_directory, fifo, "/dev/zero"};
        const char *const formats[] = {"raw", "qcow2"};

        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        for (unsigned i = 0; i < G_N_ELEMENTS(paths) * 2; i++) {
                g_assert_null(image_info_read(paths[i / 2], formats[i % 2], &error));
                assert_error(error, NOT_SUPPORTED);
        }
}

static void a_relative_path_is_refused(void) {
        const char *const paths[] = {"", "a", "-f", "json:{}"};

        for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
                g_assert_null(image_info_read(paths[i], "raw", &error));
                assert_error(error, INVALID_ARGUMENT);
        }
}

static void another_format_is_refused(void) {
        g_autofree char *path = images_make("a", "qcow2", "compat=1.1");
        const char *const formats[] = {"", "vmdk", "QCOW2", "-f"};

        for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
                g_assert_null(image_info_read(path, formats[i], &error));
                assert_error(error, NOT_SUPPORTED);
        }
}

static void links_are_followed_as_qemu_does(void) {
        g_autofree char *sub = images_path("sub"), *image = NULL, *link = images_path("link");
        g_autofree char *dangling = images_path("dangling"), *expected = images_path("base");
        g_autofree char *circle = images_path("circle");
        g_autoptr(ImageInfo) info = NULL;

        g_assert_cmpint(mkdir(sub, 0700), ==, 0);
        begin_overlay("base");
        image = write_header("sub/image", sizeof(header));
        g_assert_cmpint(symlink(image, link), ==, 0);
        info = info_of(link);
        g_assert_cmpstr(info->backing, ==, expected);

        g_assert_cmpint(symlink("nowhere", dangling), ==, 0);
        g_assert_null(image_info_read(dangling, "raw", &error));
        assert_error(error, FILE_NOT_FOUND);
        g_assert_cmpint(symlink("circle", circle), ==, 0);
        g_assert_null(image_info_read(circle, "raw", &error));
        assert_error(error, FAILED);
}

/* Chains */

static void a_chain_goes_down_to_the_root(void) {
        g_autofree char *root = images_make("root", "raw", "preallocation=off");
        g_autofree char *middle = images_path("middle"), *top = images_path("top");
        g_autoptr(GPtrArray) chain = NULL;
        const char *const paths[] = {top, middle, root};
        const char *const formats[] = {"qcow2", "qcow2", "raw"};

        g_assert_true(image_create_overlay(middle, root, "raw", &error));
        g_assert_true(image_create_overlay(top, middle, "qcow2", &error));
        chain = image_chain_read(top, "qcow2", &error);
        g_assert_no_error(error);
        g_assert_cmpuint(chain->len, ==, G_N_ELEMENTS(paths));
        for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
                const ImageInfo *info = g_ptr_array_index(chain, i);

                g_assert_cmpstr(info->path, ==, paths[i]);
                g_assert_cmpstr(info->format, ==, formats[i]);
        }
}

static void assert_chain_refused(const char *name) {
        g_autofree char *path = images_path(name);

        g_assert_null(image_chain_read(path, "qcow2", &error));
        assert_error(error, NOT_SUPPORTED);
}

static void a_loop_is_refused(void) {
        g_autofree char *a = NULL, *b = NULL, *hard_link = images_path("c");

        begin_overlay("b");
        a = write_header("a", sizeof(header));
        begin_overlay("c");
        b = write_header("b", sizeof(header));
        g_assert_cmpint(link(a, hard_link), ==, 0);
        assert_chain_refused("a");
        begin_overlay("a");
        (void) unlink(a);
        g_free(a);
        a = write_header("a", sizeof(header));
        assert_chain_refused("a");
}

static void a_chain_of_unknown_format_is_refused(void) {
        g_autofree char *top = NULL;

        g_free(images_make("root", "qcow2", "compat=1.1"));
        begin_overlay("root");
        put_extension(0, 0, "");
        top = write_header("top", sizeof(header));
        assert_chain_refused("top");
}

static void a_chain_with_a_missing_image_is_not_found(void) {
        g_autofree char *top = NULL;

        begin_overlay("missing");
        top = write_header("top", sizeof(header));
        g_assert_null(image_chain_read(top, "qcow2", &error));
        assert_error(error, FILE_NOT_FOUND);
}

static void a_chain_has_a_limit(void) {
        g_autofree char *top = images_path("256");
        g_autoptr(GPtrArray) chain = NULL;

        for (int i = 0; i <= 256; i++) {
                g_autofree char *name = g_strdup_printf("%d", i);
                g_autofree char *base = g_strdup_printf("%d", i - 1);
                g_autofree char *path = NULL;

                begin_overlay(i > 0 ? base : "");
                path = write_header(name, sizeof(header));
        }
        assert_chain_refused("256");
        g_free(top);
        top = images_path("255");
        chain = image_chain_read(top, "qcow2", &error);
        g_assert_no_error(error);
        g_assert_cmpuint(chain->len, ==, 256);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_IMAGE(a_real_image_is_read);
        ADD_IMAGE(every_kind_of_qcow2_is_read);
        ADD_IMAGE(a_raw_image_is_as_large_as_its_file);
        ADD_IMAGE(a_raw_image_with_a_header_in_it_has_no_backing_file);
        ADD_IMAGE(a_header_alone_is_enough);
        ADD_IMAGE(a_backing_file_is_read);
        ADD_IMAGE(a_backing_file_without_format_has_none);
        ADD_IMAGE(a_format_without_backing_file_does_not_count);
        ADD_IMAGE(other_extensions_are_passed_over);
        ADD_IMAGE(a_relative_name_belongs_to_the_directory_of_the_image);
        ADD_IMAGE(a_short_file_is_refused);
        ADD_IMAGE(another_magic_is_refused);
        ADD_IMAGE(an_unknown_version_is_refused);
        ADD_IMAGE(an_impossible_cluster_size_is_refused);
        ADD_IMAGE(an_impossible_size_is_refused);
        ADD_IMAGE(an_impossible_header_length_is_refused);
        ADD_IMAGE(an_external_data_file_is_refused);
        ADD_IMAGE(an_unknown_feature_is_refused);
        ADD_IMAGE(a_name_beyond_the_file_is_refused);
        ADD_IMAGE(a_name_in_the_header_is_refused);
        ADD_IMAGE(a_name_that_is_too_long_is_refused);
        ADD_IMAGE(a_long_name_is_read);
        ADD_IMAGE(a_name_that_is_no_text_is_refused);
        ADD_IMAGE(a_backing_file_that_is_no_file_is_refused);
        ADD_IMAGE(an_extension_that_is_too_long_is_refused);
        ADD_IMAGE(an_extension_may_not_reach_into_the_name);
        ADD_IMAGE(an_impossible_backing_format_is_refused);
        ADD_IMAGE(a_header_of_any_bytes_does_no_harm);
        ADD_IMAGE(a_missing_file_is_not_found);
        ADD_IMAGE(what_is_no_regular_file_is_refused);
        ADD_IMAGE(a_relative_path_is_refused);
        ADD_IMAGE(another_format_is_refused);
        ADD_IMAGE(links_are_followed_as_qemu_does);
        ADD_IMAGE(a_chain_goes_down_to_the_root);
        ADD_IMAGE(a_loop_is_refused);
        ADD_IMAGE(a_chain_of_unknown_format_is_refused);
        ADD_IMAGE(a_chain_with_a_missing_image_is_not_found);
        ADD_IMAGE(a_chain_has_a_limit);
        return g_test_run();
}
