/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* XML comes from callers, from libvirt and from those who edit libvirt's definitions: it is parsed
 * without network, and what is not there is NULL, so that whoever reads it need not ask at each
 * step. */

#include "backend/xml.h"

#include <libxml/parser.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xmlFreeParserCtxt)

xmlDoc *xml_parse(const char *text) {
        g_autoptr(xmlParserCtxt) context = xmlNewParserCtxt();

        return xmlCtxtReadMemory(context, text, (int) strlen(text), "text.xml", NULL,
                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

static char *take(xmlChar *text) {
        char *copy = g_strdup((const char *) text);

        xmlFree(text);
        return copy;
}

char *xml_to_text(xmlDoc *document) {
        xmlChar *text;

        xmlDocDumpMemory(document, &text, NULL);
        return take(text);
}

bool xml_is(const xmlNode *node, const char *name) {
        return node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, (const xmlChar *) name);
}

xmlNode *xml_child(const xmlNode *parent, const char *name) {
        for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
                if (xml_is(node, name))
                        return node;
        return NULL;
}

char *xml_child_text(const xmlNode *parent, const char *name) {
        xmlNode *node = xml_child(parent, name);

        return node ? take(xmlNodeGetContent(node)) : NULL;
}

char *xml_attribute(const xmlNode *node, const char *name) {
        return node ? take(xmlGetNoNsProp(node, (const xmlChar *) name)) : NULL;
}
