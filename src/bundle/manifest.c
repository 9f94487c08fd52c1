/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bundle/manifest.h"

#include <string.h>

#include "util/digest.h"
#include "util/error.h"

#define COMPONENT_MAX 128U
#define COMPONENTS    2U
#define DEPTH_MAX     16U /* the parser calls itself */

static bool fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool fail(GError **error, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list args;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "The manifest %s", text);
        return false;
}

static bool component_is_valid(const char *text) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789._-";
        size_t length = strlen(text);

        return length > 0 && length <= COMPONENT_MAX && strspn(text, letters) == length &&
               *text != '.' && *text != '-';
}

bool manifest_name_is_valid(const char *name) {
        g_auto(GStrv) components = g_strsplit(name, "/", COMPONENTS + 1);
        unsigned count = g_strv_length(components);

        for (unsigned i = 0; i < count; i++)
                if (!component_is_valid(components[i]))
                        return false;
        return count >= 1 && count <= COMPONENTS;
}

/* JSON */

/* The parser takes the last of two members with one name, others take the first: whoever reads
 * both could be told two things. */
static void on_member(JsonParser *parser, JsonObject *object, const char *name, void *userdata) {
        GHashTable *seen = userdata;
        g_autofree char *key = g_strdup_printf("%p %s", (void *) object, name);

        if (!g_hash_table_add(seen, g_steal_pointer(&key)))
                g_object_set_data(G_OBJECT(parser), "twice", GINT_TO_POINTER(1));
}

/* What the parser makes something else of; NULL: nothing. */
static const char *find_fault(const char *text) {
        unsigned depth = 0;
        bool in_string = false;

        for (const char *p = text; *p; p++) {
                if (in_string && g_str_has_prefix(p, "\\u0000"))
                        return "has a text with a zero in it"; /* it would end there */
                if (in_string && *p == '\\' && p[1])
                        p++;
                else if (*p == '"')
                        in_string = !in_string;
                else if (!in_string && (*p == '{' || *p == '['))
                        depth++;
                else if (!in_string && (*p == '}' || *p == ']') && depth > 0)
                        depth--;
                if (depth > DEPTH_MAX)
                        return "is too deep";
        }
        return NULL;
}

JsonNode *manifest_parse_json(const char *text, GError **error) {
        g_autoptr(JsonParser) parser = json_parser_new_immutable();
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GError) cause = NULL;
        const char *fault;
        JsonNode *root;

        if (strlen(text) > MANIFEST_MAX)
                return fail(error, "is longer than 1 MiB"), NULL;
        if (!g_utf8_validate(text, -1, NULL))
                return fail(error, "is no text"), NULL;
        fault = find_fault(text);
        if (fault)
                return fail(error, "%s", fault), NULL;
        g_signal_connect(parser, "object-member", G_CALLBACK(on_member), seen);
        if (!json_parser_load_from_data(parser, text, -1, &cause))
                return fail(error, "can not be read: %s", cause->message), NULL;
        if (g_object_get_data(G_OBJECT(parser), "twice"))
                return fail(error, "has a member twice"), NULL;
        root = json_parser_steal_root(parser); /* none of an empty text */
        return root ? root : (fail(error, "is no object"), NULL);
}

/* Values of the right type, or nothing. */

const char *manifest_text_of(JsonNode *node) {
        return node && JSON_NODE_HOLDS_VALUE(node) &&
                                               json_node_get_value_type(node) == G_TYPE_STRING
                               ? json_node_get_string(node)
                               : NULL;
}

const char *manifest_text(JsonObject *object, const char *member) {
        return manifest_text_of(json_object_get_member(object, member));
}

bool manifest_number(JsonObject *object, const char *member, uint64_t *ret) {
        JsonNode *node = json_object_get_member(object, member);

        if (!node || !JSON_NODE_HOLDS_VALUE(node) ||
                        json_node_get_value_type(node) != G_TYPE_INT64 ||
                        json_node_get_int(node) < 0)
                return false;
        *ret = (uint64_t) json_node_get_int(node);
        return true;
}

bool manifest_flag(JsonObject *object, const char *member) {
        JsonNode *node = json_object_get_member(object, member);

        return node && JSON_NODE_HOLDS_VALUE(node) &&
               json_node_get_value_type(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node);
}

JsonArray *manifest_array(JsonObject *object, const char *member) {
        JsonNode *node = json_object_get_member(object, member);

        return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

JsonObject *manifest_object(JsonNode *node) {
        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* Files */

static void free_file(void *data) {
        ManifestFile *file = data;

        g_free(file->name);
        g_free(file->sha256);
        g_free(file->chunks);
        g_free(file);
}

static bool add_file(Manifest *manifest, JsonNode *node, GError **error) {
        JsonObject *object = manifest_object(node);
        const char *name = object ? manifest_text(object, "name") : NULL;
        const char *sha256 = object ? manifest_text(object, "sha256") : NULL;
        const char *chunks = object ? manifest_text(object, "chunks") : NULL;
        ManifestFile *file;
        uint64_t size = 0;

        if (!name || !manifest_number(object, "size", &size) || !sha256 == !chunks)
                return fail(error, "does not say what one of its files is");
        if (!manifest_name_is_valid(name))
                return fail(error, "names a file '%s'", name);
        if (manifest_find(manifest, name))
                return fail(error, "has the file '%s' twice", name);
        if ((sha256 && !digest_is_valid(sha256)) || (chunks && !manifest_name_is_valid(chunks)))
                return fail(error, "has no digest of '%s'", name);
        file = g_new0(ManifestFile, 1);
        file->name = g_strdup(name);
        file->size = size;
        file->sha256 = g_strdup(sha256);
        file->chunks = g_strdup(chunks);
        g_ptr_array_add(manifest->files, file);
        return true;
}

/* A chunk list is a file like others, with a digest. */
static bool check_chunk_lists(const Manifest *manifest, GError **error) {
        for (unsigned i = 0; i < manifest->files->len; i++) {
                const ManifestFile *file = manifest->files->pdata[i];
                const ManifestFile *list =
                                file->chunks ? manifest_find(manifest, file->chunks) : NULL;

                if (file->chunks && (!list || !list->sha256))
                        return fail(error, "has no chunk list of '%s'", file->name);
        }
        return true;
}

static bool read_files(Manifest *manifest, GError **error) {
        JsonArray *files = manifest_array(manifest->object, "files");

        if (!files)
                return fail(error, "names no files");
        if (json_array_get_length(files) > MANIFEST_FILES)
                return fail(error, "names more than %u files", MANIFEST_FILES);
        for (unsigned i = 0; i < json_array_get_length(files); i++)
                if (!add_file(manifest, json_array_get_element(files, i), error))
                        return false;
        return check_chunk_lists(manifest, error);
}

static bool check_format(const Manifest *manifest, GError **error) {
        const char *format = manifest_text(manifest->object, "format");
        uint64_t version;

        if (g_strcmp0(format, MANIFEST_FORMAT) != 0)
                return fail(error, "is not of the format '" MANIFEST_FORMAT "'");
        if (!manifest_number(manifest->object, "version", &version))
                return fail(error, "has no version");
        return version == MANIFEST_VERSION ||
               fail(error, "is of version %" G_GUINT64_FORMAT ", and only version %d is known",
                               version, MANIFEST_VERSION);
}

Manifest *manifest_parse(const char *text, GError **error) {
        g_autoptr(Manifest) manifest = g_new0(Manifest, 1);

        manifest->files = g_ptr_array_new_with_free_func(free_file);
        manifest->root = manifest_parse_json(text, error);
        if (!manifest->root)
                return NULL;
        if (!JSON_NODE_HOLDS_OBJECT(manifest->root))
                return fail(error, "is no object"), NULL;
        manifest->object = json_node_get_object(manifest->root);
        if (!check_format(manifest, error) || !read_files(manifest, error))
                return NULL;
        return g_steal_pointer(&manifest);
}

void manifest_free(Manifest *manifest) {
        if (!manifest)
                return;
        if (manifest->root)
                json_node_unref(manifest->root);
        (void) g_ptr_array_unref(manifest->files);
        g_free(manifest);
}

const char *manifest_id(const Manifest *manifest) {
        return manifest_text(manifest->object, "id");
}

const ManifestFile *manifest_find(const Manifest *manifest, const char *name) {
        for (unsigned i = 0; i < manifest->files->len; i++) {
                const ManifestFile *file = manifest->files->pdata[i];

                if (g_str_equal(file->name, name))
                        return file;
        }
        return NULL;
}
