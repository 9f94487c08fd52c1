/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "snapshot/definition.h"

#include "backend/xml.h"
#include "util/error.h"
#include "util/number.h"

static xmlDoc *parse(const char *text, GError **error) {
        xmlDoc *document = xml_parse(text);

        if (!document)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                                "The hypervisor gave a definition that is not well-formed");
        return document;
}

static void set_attribute(xmlNode *node, const char *name, const char *value) {
        xmlSetProp(node, (const xmlChar *) name, (const xmlChar *) value);
}

/* The element as a document of its own, with this name. */
static char *document_of(xmlNode *node, const char *name) {
        g_autoptr(xmlDoc) document = NULL;
        xmlNode *copy;

        if (!node)
                return NULL;
        document = xmlNewDoc((const xmlChar *) "1.0");
        copy = xmlDocCopyNode(node, document, 1);
        xmlNodeSetName(copy, (const xmlChar *) name);
        xmlDocSetRootElement(document, copy);
        return xml_to_text(document);
}

static int64_t read_time(xmlNode *root) {
        g_autofree char *text = xml_child_text(root, "creationTime");
        uint64_t seconds = 0;

        if (text)
                (void) number_parse(text, 0, INT64_MAX, &seconds);
        return (int64_t) seconds;
}

static void read_disks(SnapshotDefinition *definition, xmlNode *disks) {
        for (xmlNode *disk = disks ? disks->children : NULL; disk; disk = disk->next) {
                g_autofree char *kind = NULL, *target = NULL, *overlay = NULL;

                if (!xml_is(disk, "disk"))
                        continue;
                kind = xml_attribute(disk, "snapshot");
                target = xml_attribute(disk, "name");
                if (!target || !kind || g_str_equal(kind, "no"))
                        continue;
                definition->external |= g_str_equal(kind, "external");
                overlay = xml_attribute(xml_child(disk, "source"), "file");
                if (overlay)
                        g_hash_table_add(definition->overlays, g_steal_pointer(&overlay));
                g_ptr_array_add(definition->targets, g_steal_pointer(&target));
        }
}

SnapshotDefinition *snapshot_definition_parse(const char *text, GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *domain = xml_child(root, "domain"), *memory = xml_child(root, "memory");
        SnapshotDefinition *definition;

        if (!root)
                return NULL;
        definition = g_new0(SnapshotDefinition, 1);
        definition->overlays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        definition->targets = g_ptr_array_new_with_free_func(g_free);
        definition->id = xml_child_text(root, "name");
        definition->parent = xml_child_text(xml_child(root, "parent"), "name");
        definition->state = xml_child_text(root, "state");
        definition->memory_file = xml_attribute(memory, "file");
        definition->external = definition->memory_file != NULL;
        definition->created = read_time(root);
        read_disks(definition, xml_child(root, "disks"));
        definition->domain = document_of(domain, "domain");
        definition->has_inactive = xml_child(root, "inactiveDomain");
        definition->domain_to_define =
                        document_of(xml_child(root, "inactiveDomain") ?: domain, "domain");
        if (definition->id && definition->state && definition->domain)
                return definition;
        snapshot_definition_free(definition);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                        "The hypervisor gave a snapshot without a definition");
        return NULL;
}

void snapshot_definition_free(SnapshotDefinition *definition) {
        if (!definition)
                return;
        g_free(definition->id);
        g_free(definition->parent);
        g_free(definition->state);
        g_free(definition->memory_file);
        g_ptr_array_unref(definition->targets);
        g_hash_table_unref(definition->overlays);
        g_free(definition->domain);
        g_free(definition->domain_to_define);
        g_free(definition);
}

/* libvirt reads it from the images again. */
static void forget_chain(xmlNode *disk) {
        xmlNode *store;

        while ((store = xml_child(disk, "backingStore"))) {
                xmlUnlinkNode(store);
                xmlFreeNode(store);
        }
}

/* What libvirt noted of the chain below would not be true any more. */
static void replace_source(xmlNode *disk, const char *path, const char *format) {
        xmlNode *driver = xml_child(disk, "driver");

        set_attribute(xml_child(disk, "source"), "file", path);
        if (driver)
                set_attribute(driver, "type", format);
        forget_chain(disk);
}

static bool has_source(xmlNode *disk, const char *path) {
        g_autofree char *source = xml_attribute(xml_child(disk, "source"), "file");

        return g_strcmp0(source, path) == 0;
}

/* In all <devices> of the tree: a snapshot has two definitions. */
static bool replace_in(
                xmlNode *node, const char *old_path, const char *new_path, const char *format) {
        bool found = false;

        for (xmlNode *child = node->children; child; child = child->next) {
                if (child->type != XML_ELEMENT_NODE)
                        continue;
                if (!xml_is(node, "devices") || !xml_is(child, "disk")) {
                        found |= replace_in(child, old_path, new_path, format);
                } else if (has_source(child, old_path)) {
                        replace_source(child, new_path, format);
                        found = true;
                }
        }
        return found;
}

char *definition_replace_image(const char *text,
                const char *old_path,
                const char *new_path,
                const char *new_format,
                GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;

        if (!root || !replace_in(root, old_path, new_path, new_format))
                return NULL;
        return xml_to_text(document);
}

static bool has_in_chain(xmlNode *disk, const char *path) {
        xmlNode *store = xml_child(disk, "backingStore");

        while (store && !has_source(store, path))
                store = xml_child(store, "backingStore");
        return store;
}

char *definition_forget_chain(const char *text, const char *path, GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *devices = xml_child(root, "devices");
        bool found = false;

        for (xmlNode *disk = devices ? devices->children : NULL; disk; disk = disk->next)
                if (xml_is(disk, "disk") && has_in_chain(disk, path)) {
                        forget_chain(disk);
                        found = true;
                }
        return found ? xml_to_text(document) : NULL;
}

static bool set_image(xmlNode *domain, const char *target, const char *path, const char *format) {
        xmlNode *devices = xml_child(domain, "devices");

        for (xmlNode *disk = devices ? devices->children : NULL; disk; disk = disk->next) {
                g_autofree char *name =
                                xml_is(disk, "disk")
                                                ? xml_attribute(xml_child(disk, "target"), "dev")
                                                : NULL;
                g_autofree char *old_path = xml_attribute(xml_child(disk, "source"), "file");
                g_autofree char *old_format = xml_attribute(xml_child(disk, "driver"), "type");

                if (g_strcmp0(name, target) != 0)
                        continue;
                if (g_strcmp0(old_path, path) == 0 && g_strcmp0(old_format, format) == 0)
                        return false;
                replace_source(disk, path, format);
                return true;
        }
        return false;
}

char *definition_set_image(const char *text,
                const char *section,
                const char *target,
                const char *path,
                const char *format,
                GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *domain = section ? xml_child(root, section) : root;

        if (!domain || !set_image(domain, target, path, format))
                return NULL;
        return xml_to_text(document);
}

static void replace_child(xmlNode *root, const xmlNode *other, const char *name) {
        xmlNode *old = xml_child(root, name), *new = xml_child(other, name);

        if (old) {
                xmlUnlinkNode(old);
                xmlFreeNode(old);
        }
        if (new)
                xmlAddChild(root, xmlDocCopyNode(new, root->doc, 1));
}

char *definition_with_identity(const char *text, const char *from, GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        g_autoptr(xmlDoc) other = document ? parse(from, error) : NULL;

        if (!other)
                return NULL;
        replace_child(xmlDocGetRootElement(document), xmlDocGetRootElement(other), "name");
        replace_child(xmlDocGetRootElement(document), xmlDocGetRootElement(other), "metadata");
        return xml_to_text(document);
}

char *definition_with_parent(const char *text, const char *parent, GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *old = xml_child(root, "parent"), *new;

        if (!root)
                return NULL;
        if (old) {
                xmlUnlinkNode(old);
                xmlFreeNode(old);
        }
        if (parent) {
                new = xmlNewChild(root, NULL, (const xmlChar *) "parent", NULL);
                xmlNewTextChild(new, NULL, (const xmlChar *) "name", (const xmlChar *) parent);
        }
        return xml_to_text(document);
}

bool definition_has_name(const char *text, const char *name) {
        g_autoptr(xmlDoc) document = xml_parse(text);
        g_autofree char *own =
                        document ? xml_child_text(xmlDocGetRootElement(document), "name") : NULL;

        return g_strcmp0(own, name) == 0;
}

char *definition_with_disks_of(const char *text, const DiskSet *disks, GError **error) {
        g_autoptr(xmlDoc) document = parse(text, error);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        xmlNode *devices = xml_child(root, "devices");

        if (!root)
                return NULL;
        for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
                g_autofree char *target = xml_attribute(xml_child(node, "target"), "dev");
                const Disk *disk = xml_is(node, "disk") && target ? disk_set_find(disks, target)
                                                                  : NULL;

                if (disk && disk_is_snapshottable(disk))
                        replace_source(node, disk->path, disk->format);
        }
        return xml_to_text(document);
}

char *definition_with_other_disks(char *text, const DiskSet *disks, GHashTable *except) {
        for (unsigned i = 0; text && i < disks->disks->len; i++) {
                const Disk *disk = disks->disks->pdata[i];
                char *new = NULL;

                if (disk->target && disk->path && disk->format &&
                                !g_hash_table_contains(except, disk->target))
                        new = definition_set_image(
                                        text, NULL, disk->target, disk->path, disk->format, NULL);
                if (!new)
                        continue;
                g_free(text);
                text = new;
        }
        return text;
}

static void add_disk(xmlNode *disks, const char *target, const char *overlay) {
        xmlNode *disk = xmlNewChild(disks, NULL, (const xmlChar *) "disk", NULL);

        set_attribute(disk, "name", target);
        set_attribute(disk, "snapshot", overlay ? "external" : "no");
        if (!overlay)
                return;
        set_attribute(disk, "type", "file");
        set_attribute(xmlNewChild(disk, NULL, (const xmlChar *) "driver", NULL), "type", "qcow2");
        set_attribute(xmlNewChild(disk, NULL, (const xmlChar *) "source", NULL), "file", overlay);
}

char *definition_of_new_snapshot(const char *id,
                const char *notes,
                const char *memory,
                GPtrArray *targets,
                GHashTable *overlays) {
        g_autoptr(xmlDoc) document = xmlNewDoc((const xmlChar *) "1.0");
        xmlNode *root = xmlNewNode(NULL, (const xmlChar *) "domainsnapshot"), *node;

        xmlDocSetRootElement(document, root);
        xmlNewTextChild(root, NULL, (const xmlChar *) "name", (const xmlChar *) id);
        if (notes)
                xmlNewTextChild(root, NULL, (const xmlChar *) "description",
                                (const xmlChar *) notes);
        node = xmlNewChild(root, NULL, (const xmlChar *) "memory", NULL);
        set_attribute(node, "snapshot", memory ? "external" : "no");
        if (memory)
                set_attribute(node, "file", memory);
        node = xmlNewChild(root, NULL, (const xmlChar *) "disks", NULL);
        for (unsigned i = 0; i < targets->len; i++)
                add_disk(node, targets->pdata[i], g_hash_table_lookup(overlays, targets->pdata[i]));
        return xml_to_text(document);
}
