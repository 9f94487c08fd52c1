/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The definition comes from libvirt, which has checked it. It is parsed as carefully as one from a
 * caller all the same (without network and document type), because callers have a part in it.
 *
 *     <domain> <os> <loader>, <nvram>
 *              <devices> <disk type= device=> <driver type=>, <source file=>, <target dev=>,
 *                                             <readonly/>, <shareable/>, <transient/>,
 *                                             <backingStore>, <mirror>
 *                        <tpm> <backend type=> */

#include "disk/disk-set.h"

#include <libxml/xmlsave.h>

#include "backend/xml.h"
#include "util/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlBuffer, xmlBufferFree)

#define XML(text) ((const xmlChar *) (text))

/* Elements */

static bool attribute_is(
                const xmlNode *node, const char *name, const char *value, const char *preset) {
        g_autofree char *text = xml_attribute(node, name);

        return g_strcmp0(text ?: preset, value) == 0;
}

static xmlDoc *parse(const char *definition, GError **error) {
        g_autoptr(xmlDoc) document = xml_parse(definition);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;

        if (root && !xmlGetIntSubset(document) && xml_is(root, "domain"))
                return g_steal_pointer(&document);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                        "The hypervisor's definition is not that of a <domain>");
        return NULL;
}

static xmlNode *first_disk(xmlDoc *document) {
        return xml_child(xml_child(xmlDocGetRootElement(document), "devices"), "disk");
}

static xmlNode *next_disk(const xmlNode *disk) {
        xmlNode *node = disk->next;

        while (node && !xml_is(node, "disk"))
                node = node->next;
        return node;
}

/* Reading */

static void disk_free(Disk *disk) {
        g_free(disk->target);
        g_free(disk->path);
        g_free(disk->format);
        g_free(disk);
}

/* An absolute path or NULL; "path" is taken. */
static char *only_absolute(char *path) {
        if (path && g_path_is_absolute(path))
                return path;
        g_free(path);
        return NULL;
}

static Disk *read_disk(xmlNode *node) {
        xmlNode *source = xml_child(node, "source");
        Disk *disk = g_new0(Disk, 1);

        disk->is_file = attribute_is(node, "type", "file", "file");
        disk->is_disk = attribute_is(node, "device", "disk", "disk");
        disk->is_lun = attribute_is(node, "device", "lun", "disk");
        disk->target = xml_attribute(xml_child(node, "target"), "dev");
        disk->format = xml_attribute(xml_child(node, "driver"), "type");
        disk->readonly = xml_child(node, "readonly") != NULL;
        disk->shareable = xml_child(node, "shareable") != NULL;
        disk->transient = xml_child(node, "transient") != NULL;
        disk->mirror_ready = attribute_is(xml_child(node, "mirror"), "ready", "yes", NULL);
        disk->is_special = xml_child(node, "encryption") || xml_child(source, "encryption") ||
                           xml_child(source, "slices");
        if (disk->is_file)
                disk->path = only_absolute(xml_attribute(source, "file"));
        return disk;
}

/* <nvram>PATH</nvram>, or <nvram type='file'><source file='PATH'/></nvram>. */
static void read_firmware(xmlNode *root, DiskSet *set) {
        xmlNode *os = xml_child(root, "os");
        xmlNode *nvram = xml_child(os, "nvram");
        xmlNode *source = xml_child(nvram, "source");

        set->has_uefi = nvram || attribute_is(os, "firmware", "efi", NULL) ||
                        attribute_is(xml_child(os, "loader"), "type", "pflash", NULL);
        if (source)
                set->nvram = only_absolute(xml_attribute(source, "file"));
        else if (nvram)
                set->nvram = only_absolute(xml_child_text(os, "nvram"));
}

static void read_tpm(xmlNode *root, DiskSet *set) {
        xmlNode *tpm = xml_child(xml_child(root, "devices"), "tpm");
        xmlNode *backend = xml_child(tpm, "backend");

        set->has_tpm = attribute_is(backend, "type", "emulator", NULL);
}

DiskSet *disk_set_parse(const char *definition, GError **error) {
        g_autoptr(xmlDoc) document = parse(definition, error);
        DiskSet *set;

        if (!document)
                return NULL;
        set = g_new0(DiskSet, 1);
        set->disks = g_ptr_array_new_with_free_func((GDestroyNotify) disk_free);
        for (xmlNode *node = first_disk(document); node; node = next_disk(node))
                g_ptr_array_add(set->disks, read_disk(node));
        read_firmware(xmlDocGetRootElement(document), set);
        read_tpm(xmlDocGetRootElement(document), set);
        return set;
}

void disk_set_free(DiskSet *set) {
        if (!set)
                return;
        g_ptr_array_unref(set->disks);
        g_free(set->nvram);
        g_free(set->tpm_state);
        g_free(set);
}

Disk *disk_set_find(const DiskSet *set, const char *target) {
        for (guint i = 0; i < set->disks->len; i++) {
                Disk *disk = g_ptr_array_index(set->disks, i);

                if (g_strcmp0(disk->target, target) == 0)
                        return disk;
        }
        return NULL;
}

bool disk_is_snapshottable(const Disk *disk) {
        return disk->target && disk->path && disk->is_file && disk->is_disk && !disk->readonly &&
               !disk->shareable && !disk->transient && !disk->is_special &&
               (g_strcmp0(disk->format, "qcow2") == 0 || g_strcmp0(disk->format, "raw") == 0);
}

/* Writing */

static void remove_children(xmlNode *parent, const char *name) {
        xmlNode *node;

        while ((node = xml_child(parent, name))) {
                xmlUnlinkNode(node);
                xmlFreeNode(node);
        }
}

static void set_attribute(xmlNode *disk, const char *child, const char *name, const char *value) {
        xmlNode *node = xml_child(disk, child);

        if (!node)
                node = xmlNewChild(disk, NULL, XML(child), NULL);
        (void) xmlSetProp(node, XML(name), XML(value));
}

static bool change_disk(xmlNode *disk,
                const char *target,
                const char *path,
                const char *format,
                GError **error) {
        if (!attribute_is(disk, "type", "file", "file")) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "The disk '%s' is not a file", target);
                return false;
        }
        set_attribute(disk, "driver", "type", format);
        set_attribute(disk, "source", "file", path);
        remove_children(disk, "backingStore");
        remove_children(disk, "mirror");
        return true;
}

static xmlNode *find_disk(xmlDoc *document, const char *target) {
        xmlNode *node = first_disk(document);

        while (node && !attribute_is(xml_child(node, "target"), "dev", target, NULL))
                node = next_disk(node);
        return node;
}

static bool change_disks(
                xmlDoc *document, GHashTable *path_by_target, const char *format, GError **error) {
        GHashTableIter iterator;
        void *target, *path;

        g_hash_table_iter_init(&iterator, path_by_target);
        while (g_hash_table_iter_next(&iterator, &target, &path)) {
                xmlNode *disk = find_disk(document, target);

                if (!disk) {
                        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                        "The virtual machine has no disk '%s'",
                                        (const char *) target);
                        return false;
                }
                if (!change_disk(disk, target, path, format, error))
                        return false;
        }
        return true;
}

/* Without a word about the encoding, libxml2 would make numbers of all letters outside ASCII. */
static char *print(xmlDoc *document) {
        g_autoptr(xmlBuffer) buffer = xmlBufferCreate();
        xmlSaveCtxt *save = xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_NO_DECL | XML_SAVE_AS_XML);

        if (!document->encoding)
                document->encoding = xmlStrdup(XML("UTF-8"));
        (void) xmlSaveTree(save, xmlDocGetRootElement(document));
        (void) xmlSaveClose(save);
        return g_strdup((const char *) xmlBufferContent(buffer));
}

char *domain_xml_with_sources(const char *definition,
                GHashTable *path_by_target,
                const char *format,
                GError **error) {
        g_autoptr(xmlDoc) document = parse(definition, error);

        if (!document || !change_disks(document, path_by_target, format, error))
                return NULL;
        return print(document);
}
