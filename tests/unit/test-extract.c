/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a process that has become the caller does with a bundle: bundle/summary.h and extract.h. */

#define MODULE "extract"

#include "bundle/extract.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/summary.h"
#include "support.h"
#include "util/digest.h"
#include "util/fd.h"

static GError *error;
static char *directory;
static bool stops;

static char *digest_of(const char *text) {
        g_autoptr(Digest) digest = digest_new(DIGEST_SHA256);

        digest_add(digest, text, strlen(text));
        return digest_end(digest);
}

static char *file_of(const char *name, const char *text) {
        g_autofree char *sum = digest_of(text);

        return g_strdup_printf("{\"name\": \"%s\", \"size\": %zu, \"sha256\": \"%s\"}", name,
                        strlen(text), sum);
}

static char *line_of(const char *name, const char *text) {
        g_autofree char *sum = digest_of(text);

        return g_strdup_printf("%s  %s\n", sum, name);
}

#define IMAGE "the content of an image"

/* The manifest of a bundle that is made in the directory. */
static char *make_bundle(void) {
        g_autofree char *machine = file_of("machine.xml", "<domain/>"),
                        *image = file_of("disks-a", IMAGE),
                        *one = line_of("machine.xml", "<domain/>"),
                        *two = line_of("disks-a", IMAGE), *three = NULL, *sums = NULL;
        char *manifest = g_strdup_printf(
                        "{\"format\": \"virtask-export\", \"version\": 1, \"machine\": "
                        "{\"definition\": \"machine.xml\"}, \"files\": [%s, %s]}",
                        machine, image);

        three = line_of("manifest.json", manifest);
        sums = g_strconcat(one, two, three, NULL);
        test_write(directory, "machine.xml", "<domain/>");
        test_write(directory, "disks-a", IMAGE);
        test_write(directory, "manifest.json", manifest);
        test_write(directory, "SHA256SUMS", sums);
        return manifest;
}

static bool on_stop(void *userdata) {
        return stops;
}

static void on_number(uint64_t bytes, void *userdata) {
}

static void on_file(const char *name, void *userdata) {
}

static bool extract(const char *manifest, int fd, unsigned head) {
        static const WriterHooks hooks = {on_stop, on_number, on_file, on_number, NULL};
        g_autofree char *escaped = g_strescape(manifest, NULL);
        g_autofree char *text = g_strdup_printf("{\"manifest\": \"%s\", \"files\": [{\"file\": "
                                                "\"disks-a\", \"descriptor\": %d, \"head\": %u}]}",
                        escaped, fd, head);
        g_autoptr(JsonNode) plan = json_from_string(text, NULL);

        return bundle_extract(directory, json_node_get_object(plan), &hooks, &error);
}

static void run_test(const void *test) {
        directory = test_directory_new();
        ((void (*)(void)) test)();
        test_directory_clear(&directory);
}

#define ADD_BUNDLE(test) g_test_add_data_func("/" MODULE "/" #test, (const void *) (test), run_test)

static char *content_of(int fd) {
        struct stat st;
        char *data;

        g_assert_cmpint(fstat(fd, &st), ==, 0);
        data = g_malloc0((size_t) st.st_size + 1);
        g_assert_cmpint(pread(fd, data, (size_t) st.st_size, 0), ==, st.st_size);
        return data;
}

static void a_file_is_copied(void) {
        g_autofree char *manifest = make_bundle(), *content = NULL;
        auto_fd fd = memfd_create("x", MFD_CLOEXEC);

        g_assert_true(extract(manifest, fd, 0));
        content = content_of(fd);
        g_assert_cmpstr(content, ==, IMAGE);
}

static void the_head_of_a_file_is_copied_and_all_of_it_compared(void) {
        g_autofree char *manifest = make_bundle(), *content = NULL;
        auto_fd fd = memfd_create("x", MFD_CLOEXEC);
        struct stat st;

        g_assert_true(extract(manifest, fd, 3));
        content = content_of(fd);
        g_assert_cmpstr(content, ==, "the");
        g_assert_cmpint(fstat(fd, &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, strlen(IMAGE));
        test_write(directory, "disks-a", "the content of an imagE");
        g_assert_false(extract(manifest, fd, 3));
        assert_error(error, INVALID_BUNDLE);
}

/* What the service has checked counts, whatever lies there by now. */
/* What is only validated is in memory. */
static void the_holes_of_a_head_take_no_memory(void) {
        g_autofree char *manifest = make_bundle();
        g_autofree char *path = g_build_filename(directory, "disks-a", NULL);
        auto_fd fd = memfd_create("x", MFD_CLOEXEC);
        struct stat st;

        g_assert_cmpint(truncate(path, 0), ==, 0);
        g_assert_cmpint(truncate(path, strlen(IMAGE)), ==, 0);
        g_assert_false(extract(manifest, fd, 4 << 20));
        assert_error(error, INVALID_BUNDLE);
        g_assert_cmpint(fstat(fd, &st), ==, 0);
        g_assert_cmpint(st.st_blocks, ==, 0);
}

static void what_was_exchanged_since_is_refused(void) {
        g_autofree char *manifest = make_bundle();
        auto_fd fd = memfd_create("x", MFD_CLOEXEC);

        test_write(directory, "manifest.json", "{}");
        g_assert_true(extract(manifest, fd, 0));
        test_write(directory, "disks-a", "the content of an imagE");
        g_assert_false(extract(manifest, fd, 0));
        assert_error(error, INVALID_BUNDLE);
        test_write(directory, "disks-a", IMAGE "s");
        g_assert_false(extract(manifest, fd, 0));
        assert_error(error, INVALID_BUNDLE);
        test_write(directory, "disks-a", IMAGE);
        test_write(directory, "machine.xml", "<Domain/>"); /* is compared, too */
        g_assert_false(extract(manifest, fd, 0));
        assert_error(error, INVALID_BUNDLE);
}

static void a_link_in_the_place_of_a_file_is_refused(void) {
        g_autofree char *manifest = make_bundle();
        g_autofree char *path = g_build_filename(directory, "disks-a", NULL);
        g_autofree char *other = g_build_filename(directory, "other", NULL);
        auto_fd fd = memfd_create("x", MFD_CLOEXEC);

        g_assert_cmpint(rename(path, other), ==, 0);
        g_assert_cmpint(symlink("other", path), ==, 0);
        g_assert_false(extract(manifest, fd, 0));
        assert_error(error, INVALID_BUNDLE);
        g_assert_null(summary_make(directory, &error));
        assert_error(error, INVALID_BUNDLE);
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        g_assert_false(extract(manifest, fd, 0));
        assert_error(error, INVALID_BUNDLE);
        g_assert_null(summary_make(directory, &error));
        assert_error(error, INVALID_BUNDLE);
}

static void it_can_be_stopped(void) {
        g_autofree char *manifest = make_bundle();
        auto_fd fd = memfd_create("x", MFD_CLOEXEC);

        stops = true;
        g_assert_false(extract(manifest, fd, 0));
        stops = false;
        assert_error(error, CANCELLED);
}

static void where_there_is_no_room_it_says_so(void) {
        g_autofree char *manifest = make_bundle();
        auto_fd fd = open("/dev/full", O_RDWR | O_CLOEXEC);

        g_assert_false(extract(manifest, fd, 0));
        g_clear_error(&error);
}

static void a_summary_has_the_definitions(void) {
        g_autofree char *manifest = make_bundle();
        g_autoptr(GBytes) bytes = summary_make(directory, &error);
        g_autoptr(Summary) summary = bytes ? summary_parse(bytes, &error) : NULL;

        g_assert_no_error(error);
        g_assert_cmpstr(summary->manifest_text, ==, manifest);
        g_assert_cmpstr(g_hash_table_lookup(summary->texts, "machine.xml"), ==, "<domain/>");
        g_assert_cmpuint(g_hash_table_size(summary->texts), ==, 1);
        g_assert_cmpuint(summary->data, >=, strlen(IMAGE));
}

static void a_bundle_that_is_not_right_has_no_summary(void) {
        static const char *const broken[][2] = {{"machine.xml", "<domaiN/>"}, {"machine.xml", ""},
                        {"disks-a", "short"}, {"SHA256SUMS", ""}, {"manifest.json", "{}"}};

        for (unsigned i = 0; i < G_N_ELEMENTS(broken); i++) {
                g_free(make_bundle());
                test_write(directory, broken[i][0], broken[i][1]);
                g_assert_null(summary_make(directory, &error));
                assert_error(error, INVALID_BUNDLE);
        }
        g_assert_null(summary_make("/nonexistent", &error));
        assert_error(error, PATH_NOT_FOUND);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_BUNDLE(a_file_is_copied);
        ADD_BUNDLE(the_head_of_a_file_is_copied_and_all_of_it_compared);
        ADD_BUNDLE(the_holes_of_a_head_take_no_memory);
        ADD_BUNDLE(what_was_exchanged_since_is_refused);
        ADD_BUNDLE(a_link_in_the_place_of_a_file_is_refused);
        ADD_BUNDLE(it_can_be_stopped);
        ADD_BUNDLE(where_there_is_no_room_it_says_so);
        ADD_BUNDLE(a_summary_has_the_definitions);
        ADD_BUNDLE(a_bundle_that_is_not_right_has_no_summary);
        return g_test_run();
}
