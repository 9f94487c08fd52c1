/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A definition that a caller sent is foreign data: it is parsed without network, without a document
 * type (and so without entities), and what is wrong with it is the caller's error. */

#include "backend/domain-xml.h"

#include <libxml/parser.h>
#include <string.h>

#include "util/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xmlFreeParserCtxt)

static bool invalid(GError **error, const char *text) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT, "The definition %s",
                        text);
        return false;
}

static char *child_text(xmlNode *parent, const char *name) {
        for (xmlNode *node = parent->children; node; node = node->next) {
                xmlChar *text;
                char *copy;

                if (node->type != XML_ELEMENT_NODE ||
                                !xmlStrEqual(node->name, (const xmlChar *) name))
                        continue;
                text = xmlNodeGetContent(node);
                copy = g_strdup((const char *) text);
                xmlFree(text);
                return copy;
        }
        return NULL;
}

bool domain_xml_read_identity(
                const char *definition, char **ret_name, char **ret_uuid, GError **error) {
        g_autoptr(xmlParserCtxt) context = xmlNewParserCtxt();
        g_autoptr(xmlDoc) document = xmlCtxtReadMemory(context, definition,
                        (int) strlen(definition), "definition.xml", NULL,
                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        g_autofree char *name = NULL;

        if (!root)
                return invalid(error, "is not well-formed XML");
        if (xmlGetIntSubset(document))
                return invalid(error, "has a document type");
        if (!xmlStrEqual(root->name, (const xmlChar *) "domain"))
                return invalid(error, "is not that of a <domain>");
        name = child_text(root, "name");
        if (!name)
                return invalid(error, "has no <name>");
        *ret_name = g_steal_pointer(&name);
        *ret_uuid = child_text(root, "uuid");
        return true;
}
