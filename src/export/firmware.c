/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/firmware.h"

#include "backend/backend-error.h"
#include "backend/xml.h"

static void add_paths(GHashTable *paths, const char *capabilities) {
        g_autoptr(xmlDoc) document = xml_parse(capabilities);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *loader = xml_child(xml_child(root, "os"), "loader");

        for (xmlNode *node = loader ? loader->children : NULL; node; node = node->next)
                if (xml_is(node, "value")) {
                        xmlChar *path = xmlNodeGetContent(node);

                        g_hash_table_add(paths, g_strdup((const char *) path));
                        xmlFree(path);
                }
}

GHashTable *firmware_offered(virConnectPtr connection, const char *definition, GError **error) {
        g_autoptr(xmlDoc) document = xml_parse(definition);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *guest = xml_child(xml_child(root, "os"), "type");
        g_autofree char *type = xml_attribute(root, "type");
        g_autofree char *arch = xml_attribute(guest, "arch"),
                        *machine = xml_attribute(guest, "machine");
        char *capabilities =
                        virConnectGetDomainCapabilities(connection, NULL, arch, machine, type, 0);
        GHashTable *paths;

        if (!capabilities) {
                backend_error_set(error, "Failed to find out which firmware there is");
                return NULL;
        }
        paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        add_paths(paths, capabilities);
        free(capabilities);
        return paths;
}
