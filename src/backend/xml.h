/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is read and written of XML, always with libxml2. Texts are valid UTF-8 and freed with
 * g_free(). Any thread. */

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/* Parses without network; NULL if it is not well-formed. */
xmlDoc *xml_parse(const char *text);
char *xml_to_text(xmlDoc *document);

bool xml_is(const xmlNode *node, const char *name); /* an element of this name */

/* The first such child element, its text, an attribute; NULL without, also for a node of NULL. */
xmlNode *xml_child(const xmlNode *parent, const char *name);
char *xml_child_text(const xmlNode *parent, const char *name);
char *xml_attribute(const xmlNode *node, const char *name);
