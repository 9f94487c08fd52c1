/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt names a file in many places: disks, what lies below them, mirrors, memory, variables of
 * the firmware. An absolute path that is the whole of a value is nothing else. */

#include "export/rewrite.h"

#include "backend/xml.h"
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

char *rewrite_paths(const char *text, GHashTable *copies, GError **error) {
        g_autoptr(xmlDoc) document = xml_parse(text);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;

        if (!root) {
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                "libvirt gave a definition that can not be read");
                return NULL;
        }
        rewrite_node(root, copies);
        return xml_to_text(document);
}
