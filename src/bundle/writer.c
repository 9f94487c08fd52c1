/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The manifest is the last file: a directory without one is no bundle, whatever it is called. */

#include "bundle/writer.h"

#include <fcntl.h>
#include <string.h>

#include "bundle/extents.h"
#include "bundle/file-copy.h"
#include "bundle/image-make.h"
#include "bundle/place.h"
#include "bundle/qcow2-head.h"
#include "util/error.h"
#include "util/fd.h"

typedef struct Writer {
        JsonObject *plan;
        const WriterHooks *hooks;
        FileHooks file_hooks;
        uint64_t done;
        Place place;
        GString *sums;
        JsonArray *files;
} Writer;

static const char *text_of(JsonObject *object, const char *member) {
        return json_object_get_string_member_with_default(object, member, NULL);
}

/* What has been written */

static void note_sum(Writer *w, const char *name, const char *sha256) {
        g_string_append_printf(w->sums, "%s  %s\n", sha256, name);
}

static void note_file(Writer *w, const char *name, const FileDigest *digest, const char *chunks) {
        JsonObject *file = json_object_new();

        json_object_set_string_member(file, "name", name);
        json_object_set_int_member(file, "size", (gint64) digest->size);
        if (digest->sha256)
                json_object_set_string_member(file, "sha256", digest->sha256);
        else
                json_object_set_string_member(file, "chunks", chunks);
        json_array_add_object_element(w->files, file);
        if (digest->sha256)
                note_sum(w, name, digest->sha256);
}

static char *digest_of_text(const char *text) {
        g_autoptr(Digest) digest = digest_new(DIGEST_SHA256);

        digest_add(digest, text, strlen(text));
        return digest_end(digest);
}

static bool write_text(Writer *w, const char *name, const char *text, GError **error) {
        g_auto(FileDigest) digest = {.size = strlen(text), .sha256 = digest_of_text(text)};

        if (!place_write(&w->place, name, text, error))
                return false;
        note_file(w, name, &digest, NULL);
        return true;
}

/* Texts: the path of the bundle is known only here. */

static char *with_path(const Writer *w, const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, text_of(w->plan, "here"), -1);
        g_autofree char *path = g_markup_escape_text(w->place.path, -1);

        return g_strjoinv(path, parts);
}

static bool write_texts(Writer *w, GError **error) {
        JsonObject *texts = json_object_get_object_member(w->plan, "texts");
        g_autoptr(GList) names = json_object_get_members(texts);

        for (GList *name = names; name; name = name->next) {
                g_autofree char *text = with_path(w, text_of(texts, name->data));

                if (!write_text(w, name->data, text, error))
                        return false;
        }
        return true;
}

/* Images */

static bool write_chunks(
                Writer *w, const char *name, const FileDigest *digest, char **ret, GError **error) {
        g_autofree char *text = NULL;

        if (!digest->chunks)
                return true;
        *ret = g_strconcat(name, CHUNKS_SUFFIX, NULL);
        text = chunk_list_to_text(digest->chunks);
        return write_text(w, *ret, text, error);
}

static int descriptor_of(JsonObject *image) {
        return (int) json_object_get_int_member(image, "descriptor");
}

static bool copy_image(Writer *w, JsonObject *image, int target, FileDigest *ret, GError **error) {
        const char *backing = text_of(image, "backing");
        int source = descriptor_of(image);
        g_autoptr(GBytes) head = NULL;
        FileCopy copy;

        if (backing) {
                head = qcow2_head_with_backing(source, backing, error);
                if (!head)
                        return false;
        }
        copy = (FileCopy){
                        .source = source,
                        .target = target,
                        .gentle = json_object_get_boolean_member_with_default(
                                        w->plan, "gentle", FALSE),
                        .hooks = &w->file_hooks,
                        .head = head ? g_bytes_get_data(head, NULL) : NULL,
                        .head_length = head ? g_bytes_get_size(head) : 0,
        };
        return file_copy(&copy, ret, error);
}

/* What another program has written is read once more, from memory for the most part. */
static bool hash_image(const Writer *w, int fd, FileDigest *ret, GError **error) {
        const FileHooks hooks = {.stop = w->file_hooks.stop, .userdata = w->file_hooks.userdata};
        const FileCopy copy = {.source = fd, .target = -1, .hooks = &hooks};

        return file_copy(&copy, ret, error);
}

/* The data of an image whose size is a guess. */
typedef struct Conversion {
        Writer *writer;
        uint64_t begin, size;
} Conversion;

static void on_percent(double percent, void *userdata) {
        const Conversion *conversion = userdata;
        Writer *w = conversion->writer;

        w->done = conversion->begin + (uint64_t) (percent / 100 * (double) conversion->size);
        w->hooks->done(w->done, w->hooks->userdata);
}

static bool on_conversion_stop(void *userdata) {
        const Conversion *conversion = userdata;
        const WriterHooks *hooks = conversion->writer->hooks;

        return hooks->stop(hooks->userdata);
}

static bool make_image(Writer *w, JsonObject *image, int target, GError **error) {
        const char *overlay = text_of(image, "overlay");
        uint64_t size = (uint64_t) json_object_get_int_member(image, "size");
        Conversion conversion = {w, w->done, size};
        const ImageMakeHooks hooks = {on_conversion_stop, on_percent, &conversion};

        if (overlay)
                return image_make_overlay(target, overlay, text_of(image, "format"), size, error);
        return image_make_copy(
                        target, descriptor_of(image), text_of(image, "export"), &hooks, error);
}

static bool is_made(JsonObject *image) {
        return json_object_has_member(image, "overlay") || json_object_has_member(image, "export");
}

static bool write_image(Writer *w, JsonObject *image, GError **error) {
        const char *name = text_of(image, "file");
        auto_fd target = place_create(&w->place, name, error);
        g_auto(FileDigest) digest = {0};
        g_autofree char *chunks = NULL;

        if (target < 0)
                return false;
        w->hooks->file(name, w->hooks->userdata);
        if (is_made(image) ? !make_image(w, image, target, error) ||
                                                        !hash_image(w, target, &digest, error)
                           : !copy_image(w, image, target, &digest, error))
                return false;
        if (!write_chunks(w, name, &digest, &chunks, error))
                return false;
        note_file(w, name, &digest, chunks);
        return true;
}

static bool write_images(Writer *w, GError **error) {
        JsonArray *images = json_object_get_array_member(w->plan, "images");

        for (unsigned i = 0; i < json_array_get_length(images); i++)
                if (!write_image(w, json_array_get_object_element(images, i), error))
                        return false;
        return true;
}

static bool count(const Writer *w, uint64_t *ret, GError **error) {
        JsonArray *images = json_object_get_array_member(w->plan, "images");

        *ret = 0;
        for (unsigned i = 0; i < json_array_get_length(images); i++) {
                JsonObject *image = json_array_get_object_element(images, i);
                g_auto(ExtentList) list = {0};

                if (json_object_has_member(image, "export"))
                        *ret += (uint64_t) json_object_get_int_member(image, "size");
                if (is_made(image))
                        continue;
                if (!extent_list_read(descriptor_of(image), &list)) {
                        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                        "The source of '%s' can not be read",
                                        text_of(image, "file"));
                        return false;
                }
                *ret += list.data_length;
        }
        return true;
}

/* The last files */

static char *complete_manifest(const Writer *w) {
        JsonObject *manifest = json_object_get_object_member(w->plan, "manifest");
        g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
        g_autofree char *text = NULL;

        json_object_set_array_member(manifest, "files", json_array_ref(w->files));
        json_node_set_object(node, manifest);
        text = json_to_string(node, true);
        return g_strconcat(text, "\n", NULL);
}

static bool write_manifest(Writer *w, GError **error) {
        g_autofree char *manifest = complete_manifest(w), *sha256 = digest_of_text(manifest);

        note_sum(w, MANIFEST_FILE, sha256);
        return place_write(&w->place, SUMS_FILE, w->sums->str, error) &&
               place_write(&w->place, MANIFEST_FILE, manifest, error);
}

static bool is_to_stop(const Writer *w, GError **error) {
        if (!w->hooks->stop(w->hooks->userdata))
                return false;
        g_set_error_literal(
                        error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED, "The export was stopped");
        return true;
}

static bool fill(Writer *w, GError **error) {
        uint64_t total;

        if (!count(w, &total, error) || !place_check_room(&w->place, total, error))
                return false;
        w->hooks->total(total, w->hooks->userdata);
        return write_texts(w, error) && write_images(w, error) && !is_to_stop(w, error) &&
               write_manifest(w, error);
}

static void on_copied(uint64_t bytes, void *userdata) {
        Writer *w = userdata;

        w->done += bytes;
        w->hooks->done(w->done, w->hooks->userdata);
}

static bool on_stop(void *userdata) {
        const Writer *w = userdata;

        return w->hooks->stop(w->hooks->userdata);
}

bool bundle_write(JsonObject *plan, const WriterHooks *hooks, char **ret_path, GError **error) {
        bool replace_empty = json_object_get_boolean_member(plan, "replace_empty");
        Writer w = {.plan = plan, .hooks = hooks, .files = json_array_new()};
        bool ok;

        w.file_hooks = (FileHooks){.stop = on_stop, .copied = on_copied, .userdata = &w};
        w.sums = g_string_new(NULL);
        ok = place_make(text_of(plan, "directory"), text_of(plan, "name"), text_of(plan, "partial"),
                             replace_empty, PLACE_FOLLOWS_LINKS, &w.place, error) &&
             fill(&w, error) && place_publish(&w.place, replace_empty, error);
        if (ok)
                *ret_path = g_strdup(w.place.path);
        else
                place_discard(&w.place);
        place_clear(&w.place);
        (void) g_string_free(w.sums, TRUE);
        json_array_unref(w.files);
        return ok;
}
