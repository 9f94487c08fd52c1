/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The place, the writer and the reader of a bundle together. */

#define MODULE "bundle"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/place.h"
#include "bundle/reader.h"
#include "bundle/writer.h"
#include "support.h"
#include "util/fd.h"

#define PARTIAL ".web.partial-0123"

static GError *error;

typedef struct Hooks {
        uint64_t total, done;
        unsigned files;
        unsigned stop_after; /* 0: never */
        unsigned asked;
} Hooks;

static bool on_stop(void *userdata) {
        Hooks *hooks = userdata;

        return hooks->stop_after > 0 && ++hooks->asked >= hooks->stop_after;
}

static void on_total(uint64_t bytes, void *userdata) {
        ((Hooks *) userdata)->total = bytes;
}

static void on_file(const char *name, void *userdata) {
        ((Hooks *) userdata)->files++;
}

static void on_done(uint64_t bytes, void *userdata) {
        ((Hooks *) userdata)->done = bytes;
}

/* A source of 3 MiB, and a sparse one. */
static int new_source(const char *directory, bool sparse) {
        g_autofree char *path = g_build_filename(directory, sparse ? "sparse" : "dense", NULL);
        g_autofree char *data = g_strnfill(3 << 20, 'x');
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(pwrite(fd, data, 3 << 20, 0), ==, 3 << 20);
        if (sparse)
                g_assert_cmpint(ftruncate(fd, 200 << 20), ==, 0);
        return fd;
}

static JsonNode *new_plan(const char *directory, const int *descriptors, bool replace_empty) {
        g_autofree char *text = g_strdup_printf(
                        "{\"directory\": \"%s/to\", \"name\": \"web\", \"partial\": \"" PARTIAL
                        "\","
                        "\"replace_empty\": %s, \"here\": \"@HERE@\", \"texts\": {\"machine.xml\": "
                        "\"<source file='@HERE@/disks/a'/>\", \"snapshots/s.xml\": \"<s/>\"},"
                        "\"images\": [{\"file\": \"disks/a\", \"descriptor\": %d, \"backing\": "
                        "null}, {\"file\": \"disks/b\", \"descriptor\": %d, \"backing\": null}],"
                        "\"manifest\": {\"format\": \"virtask-export\", \"version\": 1}}",
                        directory, replace_empty ? "true" : "false", descriptors[0],
                        descriptors[1]);

        return json_from_string(text, NULL);
}

/* Answers whether it could be written. */
static bool write_as(const char *directory, Hooks *hooks, bool replace_empty, char **ret_path) {
        auto_fd dense = new_source(directory, false), sparse = new_source(directory, true);
        const int descriptors[] = {dense, sparse};
        g_autoptr(JsonNode) plan = new_plan(directory, descriptors, replace_empty);
        const WriterHooks writer_hooks = {on_stop, on_total, on_file, on_done, hooks};
        g_autofree char *path = NULL;
        bool ok = bundle_write(json_node_get_object(plan), &writer_hooks, &path, &error);

        if (ret_path)
                *ret_path = g_steal_pointer(&path);
        return ok;
}

static char *new_directory(void) {
        char *directory = test_directory_new();
        g_autofree char *to = g_build_filename(directory, "to", NULL);

        g_assert_cmpint(mkdir(to, 0700), ==, 0);
        return directory;
}

static unsigned count_entries(const char *directory, const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
        unsigned count = 0;

        while (entries && g_dir_read_name(entries))
                count++;
        return count;
}

static void a_bundle_is_what_the_plan_says(void) {
        auto_directory directory = new_directory();
        g_autofree char *path = NULL, *wanted = g_build_filename(directory, "to/web", NULL);
        g_autofree char *text = NULL, *machine = NULL, *command = NULL;
        g_autoptr(Bundle) bundle = NULL;
        Hooks hooks = {0};
        struct stat st;

        g_assert_true(write_as(directory, &hooks, false, &path));
        g_assert_cmpstr(path, ==, wanted);
        g_assert_cmpuint(hooks.files, ==, 2);
        g_assert_cmpuint(hooks.total, ==, 6 << 20);
        g_assert_cmpuint(hooks.done, ==, 6 << 20);
        g_assert_cmpuint(count_entries(directory, "to"), ==, 1);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0700);

        machine = g_strdup_printf("<source file='%s/disks/a'/>", path);
        text = test_read(path, "machine.xml");
        g_assert_cmpstr(text, ==, machine);

        bundle = bundle_open(path, &error);
        g_assert_no_error(error);
        g_assert_nonnull(manifest_find(bundle->manifest, "disks/a")->sha256);
        g_assert_cmpstr(manifest_find(bundle->manifest, "disks/b")->chunks, ==, "disks/b.chunks");
        g_assert_true(bundle_verify(bundle, NULL, &error));

        command = g_strdup_printf("cd '%s' && sha256sum --quiet --strict -c SHA256SUMS", path);
        g_assert_cmpint(system(command), ==, 0);
}

static void a_name_that_is_taken_stays(void) {
        static const char *const names[] = {"file", "directory", "link"};

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                auto_directory directory = new_directory();
                g_autofree char *path = g_build_filename(directory, "to/web", NULL);

                if (i == 0)
                        test_write(directory, "to/web", "mine");
                else if (i == 1)
                        g_assert_cmpint(mkdir(path, 0700), ==, 0);
                else
                        g_assert_cmpint(symlink("/nowhere", path), ==, 0);
                g_assert_false(write_as(directory, &(Hooks){0}, false, NULL));
                assert_error(error, FILE_EXISTS);
                g_assert_cmpuint(count_entries(directory, "to"), ==, 1);
        }
}

static void an_empty_directory_may_be_replaced(void) {
        auto_directory directory = new_directory();
        g_autofree char *path = g_build_filename(directory, "to/web", NULL);

        g_assert_cmpint(mkdir(path, 0755), ==, 0);
        g_assert_true(write_as(directory, &(Hooks){0}, true, NULL));
        g_assert_cmpuint(count_entries(directory, "to/web"), ==, 5);
        g_assert_false(write_as(directory, &(Hooks){0}, true, NULL));
        assert_error(error, FILE_EXISTS);
        g_assert_cmpuint(count_entries(directory, "to"), ==, 1);
        g_assert_cmpuint(count_entries(directory, "to/web"), ==, 5);
}

static void a_missing_directory_is_an_error(void) {
        auto_directory directory = test_directory_new();

        g_assert_false(write_as(directory, &(Hooks){0}, false, NULL));
        assert_error(error, PATH_NOT_FOUND);
}

static void one_that_is_stopped_leaves_nothing(void) {
        bool stopped = true;

        for (unsigned after = 1; stopped; after++) {
                auto_directory directory = new_directory();
                Hooks hooks = {.stop_after = after};

                stopped = !write_as(directory, &hooks, false, NULL);
                if (stopped)
                        assert_error(error, CANCELLED);
                g_assert_cmpuint(count_entries(directory, "to"), ==, stopped ? 0 : 1);
                g_assert_cmpuint(after, <, 100);
        }
}

static void what_another_has_left_is_removed(void) {
        auto_directory directory = new_directory();
        g_autofree char *to = g_build_filename(directory, "to", NULL);
        g_autofree char *partial = g_build_filename(to, PARTIAL, "disks", NULL);

        g_assert_cmpint(g_mkdir_with_parents(partial, 0700), ==, 0);
        test_write(partial, "a", "half");
        test_write(to, "mine", "mine");
        g_assert_true(place_remove(to, PARTIAL, &error));
        g_assert_cmpuint(count_entries(directory, "to"), ==, 1);
        g_assert_true(place_remove(to, PARTIAL, &error));
        g_assert_false(place_remove(to, "..", &error));
        assert_error(error, NAME_INVALID);
        g_assert_false(place_remove(to, "mine/x", &error));
        assert_error(error, NAME_INVALID);
}

/* A link in what is removed is removed itself. */
static void no_link_is_followed(void) {
        auto_directory directory = new_directory();
        g_autofree char *to = g_build_filename(directory, "to", NULL);
        g_autofree char *partial = g_build_filename(to, PARTIAL, NULL);
        g_autofree char *link = g_build_filename(partial, "link", NULL);

        test_write(directory, "victim", "mine");
        g_assert_cmpint(mkdir(partial, 0700), ==, 0);
        g_assert_cmpint(symlink(directory, link), ==, 0);
        g_assert_true(place_remove(to, PARTIAL, &error));
        g_assert_cmpuint(count_entries(directory, "to"), ==, 0);
        g_assert_cmpuint(count_entries(directory, ""), ==, 2);
}

static void add_bytes(uint64_t bytes, void *userdata) {
        *(uint64_t *) userdata += bytes;
}

static void what_a_verification_reads_is_known_before(void) {
        auto_directory directory = new_directory();
        g_autofree char *path = NULL;
        g_autoptr(Bundle) bundle = NULL;
        uint64_t total = 0, done = 0;
        const FileHooks hooks = {.copied = add_bytes, .userdata = &done};

        g_assert_true(write_as(directory, &(Hooks){0}, false, &path));
        bundle = bundle_open(path, &error);
        g_assert_true(bundle_measure(bundle, &total, &error));
        g_assert_true(bundle_verify(bundle, &hooks, &error));
        g_assert_cmpuint(total, >, 0);
        g_assert_cmpuint(done, ==, total);
}

/* What somebody did to it */

static void assert_is_bad(const char *path) {
        g_autoptr(Bundle) bundle = bundle_open(path, &error);

        if (bundle)
                g_assert_false(bundle_verify(bundle, NULL, &error));
        assert_error(error, INVALID_BUNDLE);
}

static void each_change_is_seen(void) {
        static const char *const files[] = {"machine.xml", "snapshots/s.xml", "disks/a", "disks/b",
                        "disks/b.chunks", "SHA256SUMS", "manifest.json"};

        for (unsigned i = 0; i < G_N_ELEMENTS(files) * 3; i++) {
                auto_directory directory = new_directory();
                g_autofree char *path = NULL, *file = NULL;
                auto_fd fd = -1;

                g_assert_true(write_as(directory, &(Hooks){0}, false, &path));
                file = g_build_filename(path, files[i / 3], NULL);
                fd = open(file, O_RDWR | O_CLOEXEC);
                if (i % 3 == 0)
                        g_assert_cmpint(pwrite(fd, "\001", 1, 2), ==, 1);
                else if (i % 3 == 1)
                        g_assert_cmpint(unlink(file), ==, 0);
                else
                        g_assert_cmpint(ftruncate(fd, 3), ==, 0);
                assert_is_bad(path);
        }
}

static void only_regular_files_are_read(void) {
        for (unsigned i = 0; i < 3; i++) {
                auto_directory directory = new_directory();
                g_autofree char *path = NULL, *file = NULL, *other = NULL;

                g_assert_true(write_as(directory, &(Hooks){0}, false, &path));
                file = g_build_filename(path, "machine.xml", NULL);
                other = g_build_filename(directory, "other", NULL);
                g_assert_cmpint(rename(file, other), ==, 0);
                if (i == 0)
                        g_assert_cmpint(symlink(other, file), ==, 0);
                else if (i == 1)
                        g_assert_cmpint(mkfifo(file, 0600), ==, 0);
                else
                        g_assert_cmpint(mkdir(file, 0700), ==, 0);
                assert_is_bad(path);
        }
}

static void a_directory_without_a_manifest_is_none(void) {
        auto_directory directory = test_directory_new();
        g_autofree char *missing = g_build_filename(directory, "missing", NULL);

        assert_is_bad(directory);
        g_assert_null(bundle_open(missing, &error));
        assert_error(error, PATH_NOT_FOUND);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_bundle_is_what_the_plan_says);
        ADD(a_name_that_is_taken_stays);
        ADD(an_empty_directory_may_be_replaced);
        ADD(a_missing_directory_is_an_error);
        ADD(one_that_is_stopped_leaves_nothing);
        ADD(what_another_has_left_is_removed);
        ADD(no_link_is_followed);
        ADD(what_a_verification_reads_is_known_before);
        ADD(each_change_is_seen);
        ADD(only_regular_files_are_read);
        ADD(a_directory_without_a_manifest_is_none);
        return g_test_run();
}
