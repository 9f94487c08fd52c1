/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "import-files"

#include "export/import-files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/job.h"
#include "support.h"
#include "util/fd.h"

static GError *error;
static Job job;
static char *directory; /* of the test */

static char *path_of(const char *name) {
        return g_build_filename(directory, name, NULL);
}

static bool exists(const char *name) {
        g_autofree char *path = path_of(name);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

static unsigned count_entries(void) {
        g_autoptr(GDir) entries = g_dir_open(directory, 0, NULL);
        unsigned n = 0;

        while (g_dir_read_name(entries))
                n++;
        return n;
}

static void run_test(const void *test) {
        directory = test_directory_new();
        job.memory = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        ((void (*)(void)) test)();
        g_hash_table_unref(job.memory);
        test_directory_clear(&directory);
}

#define ADD_FILES(test) g_test_add_data_func("/" MODULE "/" #test, (const void *) (test), run_test)

/* A directory with two files, one of them deeper, and a file. */
static ImportFiles *make(void) {
        ImportFiles *files = import_files_new();
        g_autofree char *whole = path_of("web"), *single = path_of("web.save");
        ImportPlace *place = import_files_add_place(files, whole, true);

        import_files_add(files, place, "vda.raw", "disks/vda.raw");
        import_files_add(files, place, "deep/file", "state/deep");
        import_files_add(files, import_files_add_place(files, single, false), NULL, "state/saved");
        return files;
}

static void create(ImportFiles *files) {
        bool ok = import_files_create(files, &job, 0, &error);

        g_assert_no_error(error);
        g_assert_true(ok);
        for (unsigned i = 0; i < files->files->len; i++)
                g_assert_cmpint(write(((ImportFile *) files->files->pdata[i])->fd, "data", 4), ==,
                                4);
}

static void they_get_their_names_at_the_end(void) {
        g_autoptr(ImportFiles) files = make();
        struct stat st;
        g_autofree char *whole = path_of("web"), *text = NULL;

        g_assert_true(import_files_check(files, &error));
        create(files);
        g_assert_false(exists("web"));
        g_assert_true(import_files_seal(files, true, &error));
        g_assert_true(import_files_publish(files, &job, &error));
        g_assert_no_error(error);
        g_assert_true(exists("web/vda.raw"));
        text = test_read(whole, "deep/file");
        g_assert_cmpstr(text, ==, "data");
        g_assert_cmpint(stat(whole, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 0777, ==, 0711);
        g_assert_cmpuint(count_entries(), ==, 2);
        g_assert_false(import_files_check(files, &error));
        assert_error(error, FILE_EXISTS);
}

/* By this process or by the next one: what was remembered is enough. */
static void what_was_made_can_be_taken_back(void) {
        for (unsigned published = 0; published < 2; published++) {
                ImportFiles *files = make();

                create(files);
                if (published)
                        g_assert_true(import_files_publish(files, &job, &error));
                import_files_free(files);
                g_assert_true(import_files_remove(&job, &error));
                g_assert_cmpuint(count_entries(), ==, 0);
                g_assert_true(import_files_remove(&job, &error)); /* interrupted, and again */
                g_hash_table_remove_all(job.memory);
        }
}

static void nothing_is_removed_that_somebody_else_has_made(void) {
        g_autoptr(ImportFiles) files = make();

        test_write(directory, "web.save", "of another");
        create(files);
        g_assert_false(import_files_publish(files, &job, &error)); /* one of two got its name */
        assert_error(error, FILE_EXISTS);
        g_assert_true(exists("web/vda.raw"));
        g_assert_true(import_files_remove(&job, &error));
        g_assert_false(exists("web"));
        g_assert_cmpuint(count_entries(), ==, 1);
        g_assert_true(exists("web.save"));
}

static void nothing_is_remembered_before_and_nothing_removed(void) {
        test_write(directory, "web.save", "of another");
        g_assert_true(import_files_remove(&job, &error));
        g_assert_true(exists("web.save"));
}

/* Whoever copied has a descriptor, and may have kept it. */
static void one_that_somebody_can_still_write_to_is_refused(void) {
        g_autoptr(ImportFiles) files = make();
        auto_fd kept = -1;

        create(files);
        kept = dup(((ImportFile *) files->files->pdata[0])->fd);
        g_assert_false(import_files_seal(files, true, &error));
        assert_error(error, FILE_IN_USE);
        fd_close(&kept);
        g_assert_true(import_files_seal(files, true, &error));
        g_assert_no_error(error);
}

static void a_link_is_not_followed(void) {
        g_autoptr(ImportFiles) files = import_files_new();
        g_autofree char *real = path_of("real"), *parent = path_of("parent"),
                        *final = path_of("parent/web");
        ImportPlace *place;

        g_assert_cmpint(mkdir(real, 0700), ==, 0);
        place = import_files_add_place(files, final, true); /* its directory is not there yet */
        import_files_add(files, place, "vda.raw", "disks/vda.raw");
        g_assert_cmpint(symlink(real, parent), ==, 0);
        g_assert_false(import_files_create(files, &job, 0, &error));
        g_clear_error(&error);
        g_assert_false(exists("real/web"));
}

static void a_check_makes_heads_in_memory(void) {
        g_autoptr(ImportFiles) files = make();
        const ImportFile *file = files->files->pdata[0];
        g_autofree char *path = NULL;

        g_assert_true(import_files_create(files, &job, 4096, &error));
        path = import_file_path(file);
        g_assert_true(g_str_has_prefix(path, "/proc/self/fd/"));
        g_assert_cmpuint(count_entries(), ==, 0);
        g_assert_cmpuint(g_hash_table_size(job.memory), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD_FILES(they_get_their_names_at_the_end);
        ADD_FILES(what_was_made_can_be_taken_back);
        ADD_FILES(nothing_is_removed_that_somebody_else_has_made);
        ADD_FILES(nothing_is_remembered_before_and_nothing_removed);
        ADD_FILES(one_that_somebody_can_still_write_to_is_refused);
        ADD_FILES(a_link_is_not_followed);
        ADD_FILES(a_check_makes_heads_in_memory);
        return g_test_run();
}
