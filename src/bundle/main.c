/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtask-bundle: what is done with the files of a caller, by a process that has become the caller.
 *
 *     virtask-bundle write < PLAN              a bundle (bundle/writer.h)
 *     virtask-bundle write-package < PLAN      a package (bundle/package-writer.h)
 *     virtask-bundle verify DIRECTORY          whether it is as it was written
 *     virtask-bundle verify FILE               the same of a package (ovf/ova.h)
 *     virtask-bundle read DIRECTORY            a summary of it into descriptor 3 (bundle/summary.h)
 *     virtask-bundle read-package FILE         the same of a package (bundle/package-reader.h)
 *     virtask-bundle extract DIRECTORY < PLAN  its files into descriptors (bundle/extract.h)
 *     virtask-bundle convert FILE < PLAN       its disks into NBD servers (bundle/package-reader.h)
 *     virtask-bundle find DIRECTORY NAME PARTIAL      whether either has become whole: its path
 *     virtask-bundle remove DIRECTORY NAME PARTIAL    what is there of it, whole or not
 *     virtask-bundle create-image < PLAN       an image, and its facts into descriptor 3
 *     virtask-bundle read-image < PLAN         the facts of an image (bundle/image-create.h)
 *     virtask-bundle remove-image < PLAN       what is left of one that is unfinished
 *
 * stdout has lines for a program: "total BYTES", "file NAME", "done BYTES", "path PATH", and if it
 * fails "error NAME TEXT". The status is 0 or 1; 2 for wrong arguments. SIGTERM ends it in order:
 * nothing half is left. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bundle/extract.h"
#include "bundle/image-create.h"
#include "bundle/package-reader.h"
#include "bundle/package-writer.h"
#include "bundle/place.h"
#include "bundle/reader.h"
#include "bundle/summary.h"
#include "bundle/writer.h"
#include "image/image-facts.h"
#include "ovf/ova.h"
#include "util/error.h"
#include "util/fd.h"

#define PLAN_MAX           (16U << 20)
#define SUMMARY_DESCRIPTOR 3
#define REPORT_USEC        (G_USEC_PER_SEC / 20) /* between two lines about the progress */

static volatile sig_atomic_t stopped;

static void on_signal(int signal_number) {
        stopped = 1;
}

typedef struct Report {
        gint64 next; /* when the next line may be printed */
        uint64_t done;
} Report;

static bool on_stop(void *userdata) {
        return stopped != 0;
}

static void on_total(uint64_t bytes, void *userdata) {
        (void) printf("total %" PRIu64 "\n", bytes);
        (void) fflush(stdout);
}

static void on_file(const char *name, void *userdata) {
        (void) printf("file %s\n", name);
        (void) fflush(stdout);
}

static void on_done(uint64_t bytes, void *userdata) {
        Report *report = userdata;
        gint64 now = g_get_monotonic_time();

        report->done = bytes;
        if (now < report->next)
                return;
        report->next = now + REPORT_USEC;
        (void) printf("done %" PRIu64 "\n", bytes);
        (void) fflush(stdout);
}

static void on_copied(uint64_t bytes, void *userdata) {
        Report *report = userdata;

        on_done(report->done + bytes, report);
}

/* Verbs */

typedef bool (*Write)(JsonObject *plan, const WriterHooks *hooks, char **ret_path, GError **error);
typedef bool (*Follow)(
                const char *path, JsonObject *plan, const WriterHooks *hooks, GError **error);

static char *read_plan(GError **error) {
        GString *text = g_string_new(NULL);
        char data[4096];
        size_t n;

        while ((n = fread(data, 1, sizeof(data), stdin)) > 0 && text->len <= PLAN_MAX)
                g_string_append_len(text, data, (gssize) n);
        if (text->len <= PLAN_MAX && !ferror(stdin))
                return g_string_free(text, FALSE);
        (void) g_string_free(text, TRUE);
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "There is no plan");
        return NULL;
}

/* Nobody else who is the caller gets at the descriptors, and at QEMU's locks with them. Before this
 * it is the mode of the program that keeps them out: nobody may read it (meson.build). */
static void hide_descriptors(void) {
        (void) prctl(PR_SET_DUMPABLE, 0);
}

/* A debugger may look when there are none: the one that looks for leaks, for example. */
static void close_descriptors(void) {
        (void) syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
        (void) prctl(PR_SET_DUMPABLE, 1);
}

static bool write_with(Write function, GError **error) {
        Report report = {0};
        const WriterHooks hooks = {on_stop, on_total, on_file, on_done, &report};
        g_autofree char *text = read_plan(error), *path = NULL;
        g_autoptr(JsonNode) plan = text ? json_from_string(text, error) : NULL;

        if (!plan || !function(json_node_get_object(plan), &hooks, &path, error))
                return false;
        (void) printf("done %" PRIu64 "\npath %s\n", report.done, path);
        return true;
}

static bool write_bundle(char **arguments, GError **error) {
        return write_with(bundle_write, error);
}

static bool write_package(char **arguments, GError **error) {
        return write_with(package_write, error);
}

static bool verify_directory(const char *path, GError **error) {
        Report report = {0};
        const FileHooks hooks = {on_stop, on_copied, &report};
        g_autoptr(Bundle) bundle = bundle_open(path, error);
        uint64_t total;

        if (!bundle || !bundle_measure(bundle, &total, error))
                return false;
        on_total(total, NULL);
        if (!bundle_verify(bundle, &hooks, error))
                return false;
        (void) printf("done %" PRIu64 "\n", report.done);
        return true;
}

static bool verify_package(const char *path, GError **error) {
        Report report = {0};
        const OvaHooks hooks = {on_stop, on_copied, &report};
        auto_fd fd = package_open(path, error);
        g_autoptr(Ova) ova = fd >= 0 ? ova_open(fd, error) : NULL;

        if (!ova)
                return false;
        if (!ova->digests) {
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "The package has no manifest, which would tell how it was written");
                return false;
        }
        on_total(ova_measure(ova), NULL);
        if (!ova_verify(ova, &hooks, error))
                return false;
        (void) printf("done %" PRIu64 "\n", report.done);
        return true;
}

static bool is_package(const char *path) {
        struct stat st;

        return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool verify(char **arguments, GError **error) {
        return is_package(arguments[0]) ? verify_package(arguments[0], error)
                                        : verify_directory(arguments[0], error);
}

static char *package_id(const char *path) {
        auto_fd fd = package_open(path, NULL);
        g_autoptr(Ova) ova = fd >= 0 ? ova_open(fd, NULL) : NULL;

        return ova ? g_strdup(ova->machine->package) : NULL;
}

static char *bundle_id(const char *path) {
        g_autoptr(Bundle) bundle = bundle_open(path, NULL);

        return bundle ? g_strdup(manifest_id(bundle->manifest)) : NULL;
}

/* Whether what has that name is what had this name before. */
static bool is_that(const char *path, const char *partial) {
        g_autofree char *id = is_package(path) ? package_id(path) : bundle_id(path);
        const char *wanted = g_strrstr(partial, MANIFEST_PARTIAL);

        return id && wanted && g_str_equal(id, wanted + strlen(MANIFEST_PARTIAL));
}

/* A package may have both names, if whoever wrote it ended between two steps (bundle/place.c). */
static bool find_bundle(char **arguments, GError **error) {
        g_autofree char *path = g_build_filename(arguments[0], arguments[1], NULL);

        if (is_that(path, arguments[2])) {
                (void) place_remove(arguments[0], arguments[2], NULL);
                (void) printf("path %s\n", path);
                return true;
        }
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FILE_NOT_FOUND, "There is no such export");
        return false;
}

static bool give(const char *data, size_t length, GError **error) {
        for (ssize_t n; length > 0; data += n, length -= (size_t) n) {
                n = write(SUMMARY_DESCRIPTOR, data, length);
                if (n > 0)
                        continue;
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                "Nobody takes the summary");
                return false;
        }
        return true;
}

static bool read_bundle(char **arguments, GError **error) {
        g_autoptr(GBytes) summary = summary_make(arguments[0], error);
        size_t length;
        const char *data = summary ? g_bytes_get_data(summary, &length) : NULL;

        if (!summary)
                return false;
        if (length <= SUMMARY_MAX)
                return give(data, length, error);
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "Its definitions are longer than 64 MiB");
        return false;
}

static bool read_package(char **arguments, GError **error) {
        g_autofree char *text = package_describe(arguments[0], error);

        return text && give(text, strlen(text), error);
}

static bool follow_plan(const char *path, Follow function, GError **error) {
        Report report = {0};
        const WriterHooks hooks = {on_stop, on_total, on_file, on_done, &report};
        g_autofree char *text = read_plan(error);
        g_autoptr(JsonNode) plan = text ? json_from_string(text, error) : NULL;

        if (!plan || !function(path, json_node_get_object(plan), &hooks, error))
                return false;
        (void) printf("done %" PRIu64 "\n", report.done);
        return true;
}

static bool extract_bundle(char **arguments, GError **error) {
        return follow_plan(arguments[0], bundle_extract, error);
}

static bool convert_package(char **arguments, GError **error) {
        return follow_plan(arguments[0], package_convert, error);
}

/* It can be done again, so it may end anywhere. */
static bool remove_bundle(char **arguments, GError **error) {
        g_autofree char *path = g_build_filename(arguments[0], arguments[1], NULL);

        (void) signal(SIGTERM, SIG_DFL);
        if (is_that(path, arguments[2]) && !place_remove(arguments[0], arguments[1], error))
                return false;
        return place_remove(arguments[0], arguments[2], error);
}

/* Images */

static JsonNode *read_plan_node(GError **error) {
        g_autofree char *text = read_plan(error);

        return text ? json_from_string(text, error) : NULL;
}

static bool give_facts(GPtrArray *chain, GError **error) {
        g_autoptr(GBytes) bytes = chain ? image_facts_to_bytes(chain) : NULL;
        size_t length;
        const char *data = bytes ? g_bytes_get_data(bytes, &length) : NULL;

        g_clear_pointer(&chain, g_ptr_array_unref);
        return data && give(data, length, error);
}

static bool create_image(char **arguments, GError **error) {
        Report report = {0};
        const WriterHooks hooks = {on_stop, on_total, on_file, on_done, &report};
        g_autoptr(JsonNode) plan = read_plan_node(error);

        return plan && give_facts(image_create(json_node_get_object(plan), &hooks, error), error);
}

static bool read_image(char **arguments, GError **error) {
        g_autoptr(JsonNode) plan = read_plan_node(error);

        return plan && give_facts(image_look_at(json_node_get_object(plan), error), error);
}

/* As remove_bundle(). */
static bool remove_image(char **arguments, GError **error) {
        g_autoptr(JsonNode) plan = read_plan_node(error);

        (void) signal(SIGTERM, SIG_DFL);
        return plan && image_remove_partial(json_node_get_object(plan), error);
}

static const struct {
        const char *name;
        int arguments;
        bool (*run)(char **arguments, GError **error);
} verbs[] = {
                {"write", 0, write_bundle},
                {"write-package", 0, write_package},
                {"verify", 1, verify},
                {"read", 1, read_bundle},
                {"read-package", 1, read_package},
                {"extract", 1, extract_bundle},
                {"convert", 1, convert_package},
                {"find", 3, find_bundle},
                {"remove", 3, remove_bundle},
                {"create-image", 0, create_image},
                {"read-image", 0, read_image},
                {"remove-image", 0, remove_image},
};

static void print_error(const GError *error) {
        g_autofree char *text = g_strdelimit(g_strdup(error->message), "\n\r", ' ');

        (void) printf("error %s %s\n", error_info_of(error)->name, text);
}

int main(int argc, char **argv) {
        const struct sigaction action = {.sa_handler = on_signal};
        g_autoptr(GError) error = NULL;

        hide_descriptors();
        (void) umask(0077);
        (void) sigaction(SIGTERM, &action, NULL);
        (void) sigaction(SIGINT, &action, NULL);
        (void) signal(SIGXFSZ, SIG_IGN); /* an error of write(), like others */
        for (unsigned i = 0; argc > 1 && i < G_N_ELEMENTS(verbs); i++) {
                if (!g_str_equal(argv[1], verbs[i].name) || argc - 2 != verbs[i].arguments)
                        continue;
                if (!verbs[i].run(argv + 2, &error))
                        print_error(error);
                close_descriptors();
                return error ? 1 : 0;
        }
        (void) fputs("virtask-bundle write < PLAN | write-package < PLAN |\n"
                     "               verify DIRECTORY|FILE | read DIRECTORY | read-package FILE |\n"
                     "               extract DIRECTORY < PLAN | convert FILE < PLAN |\n"
                     "               find DIRECTORY NAME PARTIAL | remove DIRECTORY NAME PARTIAL "
                     "|\n"
                     "               create-image < PLAN | read-image < PLAN | remove-image < "
                     "PLAN\n",
                        stderr);
        return 2;
}
