/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The manifest of a bundle, as somebody has written it whom we do not trust. docs/EXPORT-FORMAT.md
 * has the format. Any thread. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#define MANIFEST_FORMAT  "virtask-export"
#define MANIFEST_VERSION 1
#define MANIFEST_MAX     (UINT64_C(1) << 20) /* bytes */
#define MANIFEST_FILES   1024U

typedef struct ManifestFile {
        char *name; /* "machine.xml", "disks/vda.qcow2" */
        uint64_t size;
        char *sha256; /* NULL: it has a chunk list */
        char *chunks; /* the name of that; NULL: it has a digest */
} ManifestFile;

/* The name of an unfinished bundle, ".NAME.partial-ID", with the identity that it will keep. */
#define MANIFEST_PARTIAL ".partial-"

/* An image whose backing file is called TARGET.base rests on the disk of another bundle. */
#define MANIFEST_BASE ".base"

typedef struct Manifest {
        JsonNode *root;
        JsonObject *object; /* of the root */
        GPtrArray *files;   /* of ManifestFile */
} Manifest;

/* INVALID_BUNDLE, with what is wrong: no JSON, a member twice, another format or version, a file
 * name that is not of the format's letters, or twice, or a number out of range. */
Manifest *manifest_parse(const char *text, GError **error);
void manifest_free(Manifest *manifest);

/* A text of JSON, from whom we do not trust: INVALID_BUNDLE if it is none, longer than
 * MANIFEST_MAX, too deep, or has a member twice. */
JsonNode *manifest_parse_json(const char *text, GError **error);

/* The identity of the bundle, NULL if the manifest has none. Belongs to the manifest. */
const char *manifest_id(const Manifest *manifest);

/* NULL if there is none of that name. Belongs to the manifest. */
const ManifestFile *manifest_find(const Manifest *manifest, const char *name);

/* Values of the right type, or NULL and false. */
const char *manifest_text(JsonObject *object, const char *member);
const char *manifest_text_of(JsonNode *node);
bool manifest_number(JsonObject *object, const char *member, uint64_t *ret);
bool manifest_flag(JsonObject *object, const char *member); /* also false if it is not there */
JsonArray *manifest_array(JsonObject *object, const char *member);
JsonObject *manifest_object(JsonNode *node); /* also of NULL */

/* Whether it can be the name of a file of a bundle: one component or two, of the letters
 * A-Z a-z 0-9 . _ -, not beginning with a dot or a dash. */
bool manifest_name_is_valid(const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manifest, manifest_free)
