/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt names a file in many places: disks, what lies below them, mirrors, memory, variables of
 * the firmware. An absolute path that is the whole of a value is nothing else. */

#include "export/rewrite.h"

#include <string.h>

#include "backend/snapshot-metadata.h"
#include "backend/xml.h"
#include "snapshot/image-notes.h"
#include "util/error.h"

#define UTF8(text) ((const xmlChar *) (text))

static void rewrite_attributes(xmlNode *node, GHashTable *copies) {
        for (xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
                g_autofree char *value = xml_attribute(node, (const char *) attribute->name);
                const char *copy = value ? g_hash_table_lookup(copies, value) : NULL;

                if (copy)
                        xmlSetProp(node, attribute->name, UTF8(copy));
        }
}

static void rewrite_text(xmlNode *node, GHashTable *copies) {
        const char *copy = g_hash_table_lookup(copies, (const char *) node->content);

        if (!copy)
                return;
        xmlNodeSetContent(node, NULL);
        xmlNodeAddContent(node, UTF8(copy));
}

static void rewrite_node(xmlNode *node, GHashTable *copies) {
        for (; node; node = node->next) {
                if (node->type == XML_TEXT_NODE && node->content)
                        rewrite_text(node, copies);
                if (node->type != XML_ELEMENT_NODE)
                        continue;
                rewrite_attributes(node, copies);
                rewrite_node(node->children, copies);
        }
}

/* Notes of virtask */

static bool is_of(const xmlNode *node, const char *namespace) {
        return node->ns && g_strcmp0((const char *) node->ns->href, namespace) == 0;
}

static bool is_list(const xmlNode *node) {
        return (is_of(node, IMAGE_NOTES_NAMESPACE) && xml_is(node, "images")) ||
               (is_of(node, SNAPSHOT_METADATA_NAMESPACE) && xml_is(node, "snapshots"));
}

/* Paths are those of the copies by now. */
static bool is_stale(xmlNode *node, GHashTable *kept, GHashTable *snapshots) {
        g_autofree char *path =
                        is_of(node, IMAGE_NOTES_NAMESPACE) ? xml_attribute(node, "path") : NULL;
        g_autofree char *id =
                        is_of(node, SNAPSHOT_METADATA_NAMESPACE) ? xml_attribute(node, "id") : NULL;

        return (path && !g_hash_table_contains(kept, path)) ||
               (id && !g_hash_table_contains(snapshots, id));
}

static bool is_empty(const xmlNode *node) {
        const xmlNode *child = node->children;

        while (child && child->type != XML_ELEMENT_NODE)
                child = child->next;
        return !child;
}

static void drop(xmlNode *node) {
        xmlUnlinkNode(node);
        xmlFreeNode(node);
}

static void drop_notes(xmlNode *node, GHashTable *kept, GHashTable *snapshots) {
        xmlNode *next;

        for (; node; node = next) {
                next = node->next;
                if (node->type != XML_ELEMENT_NODE)
                        continue;
                if (is_stale(node, kept, snapshots)) {
                        drop(node);
                        continue;
                }
                if (is_of(node, SNAPSHOT_METADATA_NAMESPACE))
                        xmlUnsetProp(node, UTF8("collection"));
                drop_notes(node->children, kept, snapshots);
                if (is_list(node) && is_empty(node))
                        drop(node);
        }
}

static xmlDoc *parse(const char *text, GError **error) {
        xmlDoc *document = xml_parse(text);

        if (!document)
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                "libvirt gave a definition that can not be read");
        return document;
}

char *rewrite_definition(
                const char *text, GHashTable *copies, GHashTable *snapshots, GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        g_autoptr(GHashTable) kept = g_hash_table_new(g_str_hash, g_str_equal);
        GHashTableIter iter;
        void *copy;

        if (!document)
                return NULL;
        g_hash_table_iter_init(&iter, copies);
        while (g_hash_table_iter_next(&iter, NULL, &copy))
                g_hash_table_add(kept, copy);
        rewrite_node(xmlDocGetRootElement(document), copies);
        drop_notes(xmlDocGetRootElement(document), kept, snapshots);
        return xml_to_text(document);
}

char *rewrite_uuid(const char *text, const char *uuid, GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        xmlNode *node = document ? xml_child(xmlDocGetRootElement(document), "uuid") : NULL;

        if (!document)
                return NULL;
        if (node)
                xmlNodeSetContent(node, UTF8(uuid));
        return xml_to_text(document);
}

char *rewrite_without_memory(const char *text, GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *memory = xml_child(root, "memory"), *state = xml_child(root, "state");

        if (!document)
                return NULL;
        if (memory) {
                xmlSetProp(memory, UTF8("snapshot"), UTF8("no"));
                xmlUnsetProp(memory, UTF8("file"));
        }
        if (state)
                xmlNodeSetContent(state, UTF8("disk-snapshot"));
        return xml_to_text(document);
}
