/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bundle/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bundle/extents.h"
#include "bundle/file-copy.h"
#include "bundle/reader.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/io.h"

#define HEAD_BLOCK 65536U

typedef struct Extractor {
        const Bundle *bundle;
        const WriterHooks *hooks;
        FileHooks file_hooks;
        GHashTable *wanted; /* name of a file -> its JsonObject in the plan */
        uint64_t done;
} Extractor;

static bool fail(int reason, const char *name, GError **error) {
        return error_fail(error_of_errno(reason), error, "Failed to copy '%s': %s", name,
                        g_strerror(reason));
}

static bool copy_data(int source, int target, Extent data) {
        char block[HEAD_BLOCK];

        for (uint64_t offset = data.begin, n; offset < data.end; offset += n) {
                n = MIN(sizeof(block), data.end - offset);
                if (!io_read(source, block, n, offset) || !io_write(target, block, n, offset))
                        return false;
        }
        return true;
}

/* The holes of it take no memory. */
static bool copy_head(
                int source, int target, uint64_t head, const ManifestFile *file, GError **error) {
        g_auto(ExtentList) extents = {0};
        Extent data;

        if (!extent_list_read(source, &extents))
                return fail(errno, file->name, error);
        for (uint64_t offset = 0; extent_list_find(&extents, offset, head, &data);
                        offset = data.end)
                if (!copy_data(source, target, data))
                        return fail(errno, file->name, error);
        return ftruncate(target, (off_t) file->size) == 0 || fail(errno, file->name, error);
}

/* The target of a file of which only the head is wanted; -1 of one that is to be compared. */
static int target_of(JsonObject *item, uint64_t *ret_head) {
        *ret_head = item ? (uint64_t) json_object_get_int_member(item, "head") : 0;
        return item ? (int) json_object_get_int_member(item, "descriptor") : -1;
}

static bool extract_file(Extractor *x, const ManifestFile *file, GError **error) {
        g_auto(FileDigest) expected = {0};
        auto_fd source = bundle_open_file(x->bundle, file->name, error);
        uint64_t head;
        int target = target_of(g_hash_table_lookup(x->wanted, file->name), &head);
        const FileCopy copy = {.source = source,
                        .target = head > 0 ? -1 : target,
                        .expected = &expected,
                        .hooks = &x->file_hooks};

        if (source < 0 || !bundle_expected(x->bundle, file, &expected, error))
                return false;
        x->hooks->file(file->name, x->hooks->userdata);
        if (head > 0 && !copy_head(source, target, head, file, error))
                return false;
        if (file_copy(&copy, NULL, error))
                return true;
        g_prefix_error(error, "%s: ", file->name);
        return false;
}

static void on_copied(uint64_t bytes, void *userdata) {
        Extractor *x = userdata;

        x->done += bytes;
        x->hooks->done(x->done, x->hooks->userdata);
}

static bool on_stop(void *userdata) {
        const Extractor *x = userdata;

        return x->hooks->stop(x->hooks->userdata);
}

static GHashTable *index_files(JsonObject *plan) {
        GHashTable *wanted = g_hash_table_new(g_str_hash, g_str_equal);
        JsonArray *files = json_object_get_array_member(plan, "files");

        for (unsigned i = 0; i < json_array_get_length(files); i++) {
                JsonObject *item = json_array_get_object_element(files, i);

                g_hash_table_insert(
                                wanted, (char *) json_object_get_string_member(item, "file"), item);
        }
        return wanted;
}

bool bundle_extract(
                const char *directory, JsonObject *plan, const WriterHooks *hooks, GError **error) {
        g_autoptr(Bundle) bundle = bundle_open_as(
                        directory, json_object_get_string_member(plan, "manifest"), error);
        g_autoptr(GHashTable) wanted = index_files(plan);
        Extractor x = {.bundle = bundle, .hooks = hooks, .wanted = wanted};
        uint64_t total;

        x.file_hooks = (FileHooks){.stop = on_stop, .copied = on_copied, .userdata = &x};
        if (!bundle || !bundle_measure(bundle, &total, error))
                return false;
        hooks->total(total, hooks->userdata);
        for (unsigned i = 0; i < bundle->manifest->files->len; i++)
                if (!extract_file(&x, bundle->manifest->files->pdata[i], error))
                        return false;
        return true;
}
