/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "image-facts"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/image-facts.h"
#include "images.h"
#include "support.h"

#define ANY ((const char *const *) NULL)

static GError *error;

static ImageFacts *read_facts(const char *path, const char *format) {
        ImageFacts *facts = image_facts_read(path, format, ANY, &error);

        g_assert_no_error(error);
        g_assert_nonnull(facts);
        return facts;
}

static void assert_refused(const char *path, const char *format, VirtaskError code) {
        g_assert_null(image_facts_read(path, format, ANY, &error));
        g_assert_error(error, VIRTASK_ERROR, (int) code);
        g_clear_error(&error);
}

/* Writes over a part of the file. */
static void patch(const char *path, off_t offset, const void *data, size_t length) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        g_assert_cmpint(pwrite(fd, data, length, offset), ==, (ssize_t) length);
        g_assert_no_errno(close(fd));
}

static off_t size_of(const char *path) {
        struct stat st;

        g_assert_no_errno(stat(path, &st));
        return st.st_size;
}

/* Formats */

static void an_image_of_each_format_is_read(void) {
        static const struct {
                const char *name, *format, *options;
                ImageType type;
        } rows[] = {
                        {"a.raw", "raw", "preallocation=off", IMAGE_DYNAMIC},
                        {"b.img", "raw", "preallocation=falloc", IMAGE_FIXED},
                        {"c.qcow2", "qcow2", "preallocation=off", IMAGE_DYNAMIC},
                        {"d.qcow2", "qcow2", "preallocation=falloc", IMAGE_FIXED},
                        {"e.vhd", "vpc", "subformat=dynamic,force_size=on", IMAGE_DYNAMIC},
                        {"f.vhd", "vpc", "subformat=fixed,force_size=on", IMAGE_FIXED},
                        {"g.vhdx", "vhdx", "subformat=dynamic", IMAGE_DYNAMIC},
                        {"h.vhdx", "vhdx", "subformat=fixed", IMAGE_FIXED},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *path = images_make(rows[i].name, rows[i].format, rows[i].options);
                g_autoptr(ImageFacts) facts = read_facts(path, NULL);
                g_autoptr(ImageFacts) told = read_facts(path, rows[i].format);

                g_assert_cmpstr(facts->format, ==, rows[i].format);
                g_assert_cmpstr(facts->path, ==, path);
                g_assert_cmpuint(facts->virtual_size, ==, 16 * MEBIBYTE);
                g_assert_cmpuint(facts->type, ==, rows[i].type);
                g_assert_null(facts->parent);
                g_assert_cmpuint(facts->host_free, >, 0);
                g_assert_cmpuint(facts->size, ==, (uint64_t) size_of(path));
                g_assert_cmpuint(told->virtual_size, ==, facts->virtual_size);
        }
}

/* As Virtual PC counts: QEMU without force_size rounds up to whole cylinders. */
static void the_size_of_a_vhd_with_a_geometry_is_what_qemu_says(void) {
        g_autofree char *path = images_make("a.vhd", "vpc", "subformat=dynamic");
        g_autoptr(ImageFacts) facts = read_facts(path, NULL);

        g_assert_cmpuint(facts->virtual_size, ==, 16781312);
}

static void the_guest_of_a_raw_image_can_not_make_it_another_one(void) {
        g_autofree char *raw = images_make("a.img", "raw", "preallocation=off");
        g_autofree char *nameless = images_make("nameless", "raw", "preallocation=off");
        static const char *const heads[] = {"QFI\xfb", "vhdxfile", "conectix", "KDMV"};

        for (unsigned i = 0; i < G_N_ELEMENTS(heads); i++) {
                patch(raw, 0, heads[i], strlen(heads[i]));
                patch(nameless, 0, heads[i], strlen(heads[i]));
                assert_refused(raw, NULL, VIRTASK_ERROR_NOT_SUPPORTED);
                assert_refused(nameless, NULL, VIRTASK_ERROR_NOT_SUPPORTED);
                image_facts_free(read_facts(raw, "raw"));
                patch(raw, 0, "\0\0\0\0\0\0\0", 8);
                patch(nameless, 0, "\0\0\0\0\0\0\0", 8);
        }
        patch(raw, size_of(raw) - 512, "conectix", 8);
        assert_refused(raw, NULL, VIRTASK_ERROR_NOT_SUPPORTED);
}

static void a_file_without_a_known_ending_and_header_is_raw(void) {
        g_autofree char *path = images_make("nameless", "raw", "preallocation=off");
        g_autoptr(ImageFacts) facts = read_facts(path, NULL);

        g_assert_cmpstr(facts->format, ==, "raw");
}

static void what_is_not_what_it_is_called_is_invalid(void) {
        static const char *const names[] = {"a.qcow2", "b.vhd", "c.vhdx"};

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = images_make(names[i], "raw", "preallocation=off");

                assert_refused(path, NULL, VIRTASK_ERROR_INVALID_DISK_IMAGE);
                images_write(path, "", 0);
                assert_refused(path, NULL, VIRTASK_ERROR_INVALID_DISK_IMAGE);
        }
}

static void an_unknown_format_is_refused(void) {
        g_autofree char *path = images_make("a.raw", "raw", "preallocation=off");

        assert_refused(path, "vmdk", VIRTASK_ERROR_NOT_SUPPORTED);
}

/* Damage */

static void a_damaged_vhd_is_refused(void) {
        g_autofree char *path = images_make("a.vhd", "vpc", "subformat=fixed,force_size=on");
        off_t footer = size_of(path) - 512;

        patch(path, footer + 60, "\0\0\0\7", 4); /* the type, and the sum does not fit */
        assert_refused(path, NULL, VIRTASK_ERROR_INVALID_DISK_IMAGE);
        g_assert_no_errno(truncate(path, 511));
        assert_refused(path, NULL, VIRTASK_ERROR_INVALID_DISK_IMAGE);
}

/* Every byte of what is read is changed in turn: it is refused, or read, and no more. */
static void a_vhdx_with_any_byte_changed_does_no_harm(void) {
        static const struct {
                off_t begin, end;
        } parts[] = {{0, 16}, {192 << 10, (192 << 10) + 128}, {256 << 10, (256 << 10) + 128},
                        {2 << 20, (2 << 20) + 256},
                        {(2 << 20) + (64 << 10), (2 << 20) + (65 << 10)}};
        g_autofree char *path = images_make("a.vhdx", "vhdx", "subformat=dynamic");
        int fd = open(path, O_RDWR | O_CLOEXEC);

        for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
                for (off_t at = parts[i].begin; at < parts[i].end; at++) {
                        uint8_t before, after = 0xff;
                        ImageFacts *facts;

                        g_assert_cmpint(pread(fd, &before, 1, at), ==, 1);
                        after ^= before;
                        g_assert_cmpint(pwrite(fd, &after, 1, at), ==, 1);
                        facts = image_facts_read(path, "vhdx", ANY, NULL);
                        g_assert_true(!facts || facts->virtual_size <= UINT64_C(64) << 40);
                        image_facts_free(facts);
                        g_assert_cmpint(pwrite(fd, &before, 1, at), ==, 1);
                }
        g_assert_no_errno(close(fd));
        image_facts_free(read_facts(path, NULL));
}

static void a_vhdx_without_its_first_table_has_a_second(void) {
        g_autofree char *path = images_make("a.vhdx", "vhdx", "subformat=dynamic");

        patch(path, 192 << 10, "nothing", 7);
        image_facts_free(read_facts(path, NULL));
        patch(path, 256 << 10, "nothing", 7);
        assert_refused(path, NULL, VIRTASK_ERROR_INVALID_DISK_IMAGE);
}

static void a_truncated_vhdx_is_refused(void) {
        static const off_t sizes[] = {4, 100 << 10, 200 << 10, 1 << 20, (2 << 20) + 100};
        g_autofree char *path = images_make("a.vhdx", "vhdx", "subformat=dynamic");

        for (unsigned i = G_N_ELEMENTS(sizes); i-- > 0;) {
                g_assert_no_errno(truncate(path, sizes[i]));
                assert_refused(path, NULL, VIRTASK_ERROR_INVALID_DISK_IMAGE);
        }
}

/* Files */

static void what_is_no_file_is_not_opened(void) {
        g_autofree char *fifo = images_path("fifo.raw"), *missing = images_path("missing.raw");
        g_autofree char *nowhere = images_path("no/where.raw");

        g_assert_no_errno(mkfifo(fifo, 0600));
        assert_refused(fifo, NULL, VIRTASK_ERROR_NOT_SUPPORTED);
        assert_refused("/dev/zero", NULL, VIRTASK_ERROR_NOT_SUPPORTED);
        assert_refused(images_directory, NULL, VIRTASK_ERROR_NOT_SUPPORTED);
        assert_refused(missing, NULL, VIRTASK_ERROR_FILE_NOT_FOUND);
        assert_refused(nowhere, NULL, VIRTASK_ERROR_PATH_NOT_FOUND);
}

static void a_link_is_followed_and_its_target_is_the_path(void) {
        g_autofree char *path = images_make("a.raw", "raw", "preallocation=off");
        g_autofree char *link = images_path("link.raw");
        g_autoptr(ImageFacts) facts = NULL;

        g_assert_no_errno(symlink(path, link));
        facts = read_facts(link, NULL);
        g_assert_cmpstr(facts->path, ==, path);
}

static void beneath_a_directory_there_are_no_links_and_no_way_out(void) {
        g_autofree char *inside = images_path("inside"), *deep = images_path("inside/deep");
        g_autofree char *outside = images_make("outside.raw", "raw", "preallocation=off");
        g_autofree char *image = NULL, *link = images_path("inside/link.raw");
        g_autofree char *around = images_path("inside/../outside.raw");
        g_autofree char *through = images_path("inside/way/outside.raw");
        g_autofree char *way = images_path("inside/way");
        const char *const beneath[] = {"/nonexistent", inside, NULL};
        const char *const bad[] = {outside, link, around, through, NULL};
        ImageFacts *facts;

        g_assert_no_errno(mkdir(inside, 0700));
        g_assert_no_errno(mkdir(deep, 0700));
        image = images_make("inside/deep/a.raw", "raw", "preallocation=off");
        g_assert_no_errno(symlink(image, link));
        g_assert_no_errno(symlink(images_directory, way));
        facts = image_facts_read(image, NULL, beneath, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(facts->path, ==, image);
        image_facts_free(facts);
        for (unsigned i = 0; bad[i]; i++) {
                g_assert_null(image_facts_read(bad[i], NULL, beneath, &error));
                g_assert_true(g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_PATH_NOT_FOUND) ||
                                g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_ACCESS_DENIED));
                g_clear_error(&error);
        }
}

/* Chains */

static char *make_overlay(const char *name, const char *backing, const char *format) {
        g_autofree char *options =
                        g_strdup_printf("backing_file=%s,backing_fmt=%s", backing, format);

        return images_make(name, "qcow2", options);
}

static void a_chain_is_read_to_its_root(void) {
        g_autofree char *root = images_make("root.vhd", "vpc", "subformat=dynamic,force_size=on");
        g_autofree char *middle = make_overlay("middle.qcow2", "root.vhd", "vpc");
        g_autofree char *top = make_overlay("top.qcow2", middle, "qcow2");
        g_autoptr(GPtrArray) chain = image_facts_read_chain(top, NULL, ANY, &error, &error);
        const ImageFacts *facts;

        g_assert_no_error(error);
        g_assert_cmpuint(chain->len, ==, 3);
        facts = chain->pdata[0];
        g_assert_cmpuint(facts->type, ==, IMAGE_DIFFERENCING);
        g_assert_cmpstr(facts->parent, ==, middle);
        facts = chain->pdata[1];
        g_assert_cmpstr(facts->parent, ==, root);
        facts = chain->pdata[2];
        g_assert_cmpstr(facts->format, ==, "vpc");
        g_assert_null(facts->parent);
}

static void a_chain_ends_where_it_can_not_be_read(void) {
        g_autofree char *root = images_make("root.raw", "raw", "preallocation=off");
        g_autofree char *top = make_overlay("top.qcow2", "root.raw", "raw");
        g_autoptr(GPtrArray) chain = NULL;

        g_assert_no_errno(unlink(root));
        chain = image_facts_read_chain(top, NULL, ANY, &error, NULL);
        g_assert_cmpuint(chain->len, ==, 1);
        g_assert_cmpstr(((ImageFacts *) chain->pdata[0])->parent, ==, root);
        assert_error(error, FILE_NOT_FOUND);
}

static void an_image_that_rests_on_itself_is_there_once(void) {
        g_autofree char *root = images_make("root.qcow2", "qcow2", "preallocation=off");
        g_autofree char *top = make_overlay("top.qcow2", "root.qcow2", "qcow2");
        g_autoptr(GPtrArray) chain = NULL;

        g_assert_no_errno(rename(top, root));
        chain = image_facts_read_chain(root, NULL, ANY, &error, NULL);
        g_assert_cmpuint(chain->len, ==, 1);
        assert_error(error, NOT_SUPPORTED);
}

/* Between processes */

static void a_chain_comes_over_as_it_is(void) {
        g_autofree char *root = images_make("root.raw", "raw", "preallocation=off");
        g_autofree char *top = make_overlay("top.qcow2", "root.raw", "raw");
        g_autoptr(GPtrArray) chain = image_facts_read_chain(top, NULL, ANY, NULL, &error);
        g_autoptr(GBytes) bytes = image_facts_to_bytes(chain);
        g_autoptr(GPtrArray) other = image_facts_from_bytes(bytes, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(((ImageFacts *) other->pdata[1])->path, ==, root);
        g_assert_cmpuint(other->len, ==, 2);
        for (unsigned i = 0; i < 2; i++) {
                const ImageFacts *a = chain->pdata[i], *b = other->pdata[i];

                g_assert_cmpstr(a->path, ==, b->path);
                g_assert_cmpstr(a->format, ==, b->format);
                g_assert_cmpstr(a->parent, ==, b->parent);
                g_assert_cmpstr(a->parent_format, ==, b->parent_format);
                g_assert_cmpuint(a->type, ==, b->type);
                g_assert_cmpuint(a->virtual_size, ==, b->virtual_size);
                g_assert_cmpuint(a->inode, ==, b->inode);
                g_assert_cmpint(a->mtime, ==, b->mtime);
        }
}

/* Whatever another process says. */
static void other_bytes_are_refused_or_harmless(void) {
        g_autofree char *path = images_make("a.raw", "raw", "preallocation=off");
        g_autoptr(GPtrArray) chain = image_facts_read_chain(path, NULL, ANY, NULL, &error);
        g_autoptr(GBytes) bytes = image_facts_to_bytes(chain);
        g_autoptr(GBytes) empty = g_bytes_new_static("", 0);
        size_t length;
        const uint8_t *data = g_bytes_get_data(bytes, &length);

        g_assert_null(image_facts_from_bytes(empty, &error));
        assert_error(error, FAILED);
        for (size_t i = 0; i < length; i++)
                for (unsigned value = 0; value < 256; value += 5) {
                        g_autofree uint8_t *copy = g_memdup2(data, length);
                        g_autoptr(GBytes) changed = NULL;
                        GPtrArray *other;

                        copy[i] = (uint8_t) value;
                        changed = g_bytes_new_take(g_steal_pointer(&copy), length);
                        other = image_facts_from_bytes(changed, NULL);
                        for (unsigned n = 0; other && n < other->len; n++)
                                g_assert_true(*((ImageFacts *) other->pdata[n])->path == '/');
                        g_clear_pointer(&other, g_ptr_array_unref);
                }
}

/* Sizes */

static void sizes_have_limits(void) {
        static const struct {
                ImageFormat format;
                uint64_t size;
                VirtaskError code;
        } rows[] = {
                        {IMAGE_QCOW2, 3 * MEBIBYTE, VIRTASK_ERROR_NONE},
                        {IMAGE_QCOW2, 3 * MEBIBYTE - 512, VIRTASK_ERROR_SIZE_TOO_SMALL},
                        {IMAGE_QCOW2, 3 * MEBIBYTE + 1, VIRTASK_ERROR_INVALID_ARGUMENT},
                        {IMAGE_VPC, 2088960 * MEBIBYTE, VIRTASK_ERROR_NONE},
                        {IMAGE_VPC, 2088960 * MEBIBYTE + 512, VIRTASK_ERROR_SIZE_TOO_LARGE},
                        {IMAGE_RAW, UINT64_C(64) << 40, VIRTASK_ERROR_NONE},
                        {IMAGE_VHDX, (UINT64_C(64) << 40) + 512, VIRTASK_ERROR_SIZE_TOO_LARGE},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
                bool ok = image_format_check_size(rows[i].format, rows[i].size, &error);

                g_assert_true(ok == (rows[i].code == VIRTASK_ERROR_NONE));
                if (!ok)
                        g_assert_error(error, VIRTASK_ERROR, (int) rows[i].code);
                g_clear_error(&error);
        }
}

static void formats_have_names(void) {
        ImageFormat format;

        for (int i = 0; i < IMAGE_FORMAT_COUNT; i++) {
                g_assert_true(image_format_find(image_format_name((ImageFormat) i), &format));
                g_assert_cmpint(format, ==, i);
        }
        g_assert_true(image_format_find("vhd", &format) && format == IMAGE_VPC);
        g_assert_false(image_format_find("vmdk", &format));
        g_assert_true(image_format_of_name("/a.b/c.VHDX", &format) && format == IMAGE_VHDX);
        g_assert_false(image_format_of_name("/a.qcow2/c", &format));
        g_assert_false(image_format_of_name("/a/qcow2", &format));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_IMAGE(an_image_of_each_format_is_read);
        ADD_IMAGE(the_size_of_a_vhd_with_a_geometry_is_what_qemu_says);
        ADD_IMAGE(the_guest_of_a_raw_image_can_not_make_it_another_one);
        ADD_IMAGE(a_file_without_a_known_ending_and_header_is_raw);
        ADD_IMAGE(what_is_not_what_it_is_called_is_invalid);
        ADD_IMAGE(an_unknown_format_is_refused);
        ADD_IMAGE(a_damaged_vhd_is_refused);
        ADD_IMAGE(a_vhdx_with_any_byte_changed_does_no_harm);
        ADD_IMAGE(a_vhdx_without_its_first_table_has_a_second);
        ADD_IMAGE(a_truncated_vhdx_is_refused);
        ADD_IMAGE(what_is_no_file_is_not_opened);
        ADD_IMAGE(a_link_is_followed_and_its_target_is_the_path);
        ADD_IMAGE(beneath_a_directory_there_are_no_links_and_no_way_out);
        ADD_IMAGE(a_chain_is_read_to_its_root);
        ADD_IMAGE(a_chain_ends_where_it_can_not_be_read);
        ADD_IMAGE(an_image_that_rests_on_itself_is_there_once);
        ADD_IMAGE(a_chain_comes_over_as_it_is);
        ADD_IMAGE(other_bytes_are_refused_or_harmless);
        ADD(sizes_have_limits);
        ADD(formats_have_names);
        return g_test_run();
}
