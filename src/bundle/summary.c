/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A serialized GVariant of a fixed type: whatever its bytes are, reading it is safe. The data is
 * that of the files that are no definitions. */

#include "bundle/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bundle/extents.h"
#include "bundle/reader.h"
#include "bundle/writer.h"
#include "util/error.h"
#include "util/fd.h"

/* QEMU's locks, see disk/image-lock.c. */
#define BYTE_WRITE  101
#define BYTE_RESIZE 103

#define TYPE "(sa{ss}t)" /* manifest, texts by name, bytes of data */

static bool fail(GError **error, const char *name, const char *what) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "%s: %s", name, what);
        return false;
}

/* The definitions */

static bool add_text(GHashTable *texts, const Bundle *bundle, const char *name, GError **error) {
        const ManifestFile *file = name ? manifest_find(bundle->manifest, name) : NULL;
        g_autofree char *text = NULL;

        if (!file)
                return fail(error, MANIFEST_FILE, "It names a definition that there is not");
        text = bundle_read_text(bundle, file, SUMMARY_TEXT_MAX, error);
        if (!text)
                return false;
        if (!g_utf8_validate(text, -1, NULL))
                return fail(error, name, "It is no text");
        g_hash_table_insert(texts, file->name, g_steal_pointer(&text));
        return true;
}

static const char *definition_of(JsonNode *node) {
        JsonObject *object = manifest_object(node);

        return object ? manifest_text(object, "definition") : NULL;
}

static bool add_texts(GHashTable *texts, const Bundle *bundle, GError **error) {
        JsonObject *manifest = bundle->manifest->object;
        JsonArray *all = manifest_array(manifest, "snapshots");

        if (!add_text(texts, bundle, definition_of(json_object_get_member(manifest, "machine")),
                            error))
                return false;
        for (unsigned i = 0; all && i < json_array_get_length(all); i++)
                if (!add_text(texts, bundle, definition_of(json_array_get_element(all, i)), error))
                        return false;
        return true;
}

/* The files */

/* A machine that somebody runs from the bundle. */
static bool is_written_to(int fd) {
        static const off_t bytes[] = {BYTE_WRITE, BYTE_RESIZE};

        for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++) {
                struct flock lock = {.l_type = F_WRLCK,
                                .l_whence = SEEK_SET,
                                .l_start = bytes[i],
                                .l_len = 1};

                if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
                        return true;
        }
        return false;
}

static bool look_at(
                const Bundle *bundle, const ManifestFile *file, uint64_t *data, GError **error) {
        auto_fd fd = bundle_open_file(bundle, file->name, error);
        g_auto(ExtentList) extents = {0};

        if (fd < 0)
                return false;
        if (is_written_to(fd)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FILE_IN_USE, "'%s' is in use",
                                file->name);
                return false;
        }
        if (!extent_list_read(fd, &extents))
                return fail(error, file->name, g_strerror(errno));
        if (extents.size != file->size)
                return fail(error, file->name,
                                "It does not have the size that it was written with");
        *data += extents.data_length;
        return true;
}

static bool look_at_all(const Bundle *bundle, GHashTable *texts, uint64_t *data, GError **error) {
        for (unsigned i = 0; i < bundle->manifest->files->len; i++) {
                const ManifestFile *file = bundle->manifest->files->pdata[i];

                if (!g_hash_table_contains(texts, file->name) &&
                                !look_at(bundle, file, data, error))
                        return false;
        }
        return true;
}

static GBytes *to_bytes(const Bundle *bundle, GHashTable *texts, uint64_t data) {
        g_autoptr(GVariantBuilder) builder = g_variant_builder_new(G_VARIANT_TYPE("a{ss}"));
        g_autoptr(GVariant) summary = NULL;
        GHashTableIter iter;
        void *name, *text;

        g_hash_table_iter_init(&iter, texts);
        while (g_hash_table_iter_next(&iter, &name, &text))
                g_variant_builder_add(builder, "{ss}", name, text);
        summary = g_variant_ref_sink(
                        g_variant_new(TYPE, bundle->manifest_text, builder, (guint64) data));
        return g_variant_get_data_as_bytes(summary);
}

GBytes *summary_make(const char *directory, GError **error) {
        g_autoptr(Bundle) bundle = bundle_open(directory, error);
        g_autoptr(GHashTable) texts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
        uint64_t data = 0;

        if (!bundle || !bundle_check_sums(bundle, error) || !add_texts(texts, bundle, error) ||
                        !look_at_all(bundle, texts, &data, error))
                return NULL;
        return to_bytes(bundle, texts, data);
}

/* The other side */

static bool take_texts(Summary *summary, GVariant *texts, GError **error) {
        GVariantIter iter;
        const char *name, *text;

        g_variant_iter_init(&iter, texts);
        while (g_variant_iter_next(&iter, "{&s&s}", &name, &text)) {
                if (strlen(text) > SUMMARY_TEXT_MAX)
                        return fail(error, name, "It is longer than 1 MiB");
                g_hash_table_insert(summary->texts, g_strdup(name), g_strdup(text));
        }
        return true;
}

Summary *summary_parse(GBytes *bytes, GError **error) {
        g_autoptr(Summary) summary = g_new0(Summary, 1);
        g_autoptr(GVariant) all = g_variant_ref_sink(
                        g_variant_new_from_bytes(G_VARIANT_TYPE(TYPE), bytes, false));
        g_autoptr(GVariant) texts = NULL;
        guint64 data;

        summary->texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        if (!g_variant_is_normal_form(all)) {
                fail(error, MANIFEST_FILE, "What was read of the bundle can not be understood");
                return NULL;
        }
        g_variant_get(all, "(s@a{ss}t)", &summary->manifest_text, &texts, &data);
        summary->data = data;
        if (!take_texts(summary, texts, error))
                return NULL;
        summary->manifest = manifest_parse(summary->manifest_text, error);
        return summary->manifest ? g_steal_pointer(&summary) : NULL;
}

void summary_free(Summary *summary) {
        if (!summary)
                return;
        manifest_free(summary->manifest);
        g_hash_table_unref(summary->texts);
        g_free(summary->manifest_text);
        g_free(summary);
}
