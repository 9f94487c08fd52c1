/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A definition that a caller sent is foreign data: it is parsed without network, without a document
 * type (and so without entities), and what is wrong with it is the caller's error. */

#include "backend/domain-xml.h"

#include "backend/xml.h"
#include "util/error.h"

static bool invalid(GError **error, const char *text) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT, "The definition %s",
                        text);
        return false;
}

bool domain_xml_read_identity(
                const char *definition, char **ret_name, char **ret_uuid, GError **error) {
        g_autoptr(xmlDoc) document = xml_parse(definition);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        g_autofree char *name = NULL;

        if (!root)
                return invalid(error, "is not well-formed XML");
        if (xmlGetIntSubset(document))
                return invalid(error, "has a document type");
        if (!xml_is(root, "domain"))
                return invalid(error, "is not that of a <domain>");
        name = xml_child_text(root, "name");
        if (!name)
                return invalid(error, "has no <name>");
        *ret_name = g_steal_pointer(&name);
        *ret_uuid = xml_child_text(root, "uuid");
        return true;
}
