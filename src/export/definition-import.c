/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export/definition-import.h"

#include <string.h>

#include "backend/xml.h"
#include "export/domain-rules.h"
#include "util/error.h"

#define UTF8(text) ((const xmlChar *) (text))

#define LOOPBACK "127.0.0.1"

void definition_import_init(DefinitionImport *import) {
        *import = (DefinitionImport){0};
        import->images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        import->macs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        import->left_out = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        import->used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void definition_import_clear(DefinitionImport *import) {
        g_clear_pointer(&import->images, g_hash_table_unref);
        g_clear_pointer(&import->macs, g_hash_table_unref);
        g_clear_pointer(&import->left_out, g_hash_table_unref);
        g_clear_pointer(&import->used, g_hash_table_unref);
}

static DefinitionImport *import_of(const Whitelist *list) {
        return list->userdata;
}

static void set_text(xmlNode *node, const char *text) {
        xmlNodeSetContent(node, NULL);
        xmlNodeAddContent(node, UTF8(text));
}

static void set_attribute(xmlNode *node, const char *name, const char *value) {
        xmlSetProp(node, UTF8(name), UTF8(value));
}

static xmlNode *add_child(xmlNode *parent, const char *name) {
        return xmlNewChild(parent, NULL, UTF8(name), NULL);
}

static void remove_node(xmlNode *node) {
        xmlUnlinkNode(node);
        xmlFreeNode(node);
}

/* Images */

bool definition_import_image(
                DefinitionImport *import, const char *name, const char *format, GError **error) {
        const char *other;

        if (!g_hash_table_lookup_extended(import->images, name, NULL, (void **) &other)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                                "There is no image '%.80s' in the bundle", name);
                return false;
        }
        if (!other)
                g_hash_table_insert(import->images, g_strdup(name), g_strdup(format));
        if (!other || g_str_equal(other, format))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "The image '%s' is called %s by one and %s by another", name, other,
                        format);
        return false;
}

char *definition_import_path(const DefinitionImport *import, const char *name) {
        return g_build_filename(import->directory, name + strlen(IMAGES_PREFIX), NULL);
}

/* A definition in a bundle names its images where they were written: the end of the path is the
 * name. NULL if it is none of the bundle. */
static char *name_of_path(const DefinitionImport *import, const char *path) {
        g_autofree char *base = g_path_get_basename(path), *parent = g_path_get_dirname(path);
        g_autofree char *name = g_strconcat(IMAGES_PREFIX, base, NULL);

        return g_str_has_suffix(parent, "/disks") && g_hash_table_contains(import->images, name)
                               ? g_steal_pointer(&name)
                               : NULL;
}

static char *source_file(const xmlNode *from) {
        return xml_attribute(xml_child(from, "source"), "file");
}

static char *find_image(DefinitionImport *import, const xmlNode *from) {
        g_autofree char *target = xml_attribute(xml_child(from, "target"), "dev");
        g_autofree char *path = source_file(from);

        if (!import->by_target)
                return path ? name_of_path(import, path) : NULL;
        return target ? g_strdup(g_hash_table_lookup(import->by_target, target)) : NULL;
}

static void add_source(const DefinitionImport *import, xmlNode *to, const char *image) {
        g_autofree char *path = definition_import_path(import, image);

        set_attribute(add_child(to, "source"), "file", path);
}

/* The format; raw is libvirt's preset. */
static const char *set_driver(xmlNode *to) {
        xmlNode *driver = xml_child(to, "driver") ?: add_child(to, "driver");
        g_autofree char *type = xml_attribute(driver, "type");
        const char *format = g_strcmp0(type, "qcow2") == 0 ? "qcow2" : "raw";

        set_attribute(driver, "name", "qemu");
        set_attribute(driver, "type", format);
        return format;
}

/* A source is an attribute; in what it holds there can be whole other disks. */
static bool check_source(Whitelist *list, const xmlNode *from, GError **error) {
        xmlNode *source = xml_child(from, "source");

        for (const xmlNode *child = source ? source->children : NULL; child; child = child->next)
                if (child->type == XML_ELEMENT_NODE && !xml_is(child, "seclabel") &&
                                !xml_is(child, "privateData"))
                        return whitelist_refuse(list, (const char *) child->name,
                                        "This is not taken over", error);
        return true;
}

static bool import_image(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        DefinitionImport *import = import_of(list);
        g_autofree char *image = find_image(import, from);
        const char *format = set_driver(to);

        if (!check_source(list, from, error))
                return false;
        if (!image)
                return whitelist_refuse(list, NULL, "Its image is not in the bundle", error);
        if (!g_hash_table_add(import->used, g_strdup(image)))
                return whitelist_refuse(list, NULL, "Its image is another disk's as well", error);
        add_source(import, to, image);
        return definition_import_image(import, image, format, error);
}

/* A drive for what can be taken out is empty. */
bool import_disk(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        g_autofree char *type = xml_attribute(to, "type"), *device = xml_attribute(to, "device");
        bool is_disk = !device || g_str_equal(device, "disk");

        if (is_disk && g_strcmp0(type, "file") != 0)
                return whitelist_refuse(list, "type", "Only disks in files are taken over", error);
        if (is_disk)
                return import_image(list, from, to, error);
        set_attribute(to, "type", "file");
        if (xml_child(from, "source"))
                whitelist_tell(list, "source");
        return true;
}

bool import_overlay(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        const DefinitionImport *import = import_of(list);
        g_autofree char *path = source_file(from), *disk = xml_attribute(to, "name");
        g_autofree char *image = path ? name_of_path(import, path) : NULL;
        g_autofree char *gone = NULL;

        if (image)
                add_source(import, to, image);
        if (image || !path)
                return true;
        /* It has been merged or replaced since, and nobody looks for it: it only has to be a path
         * that nobody else has. */
        gone = g_strdup_printf("%s/.gone-%s", import->directory, disk ?: "");
        set_attribute(add_child(to, "source"), "file", gone);
        return true;
}

bool import_noted_image(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        const DefinitionImport *import = import_of(list);
        g_autofree char *path = xml_attribute(from, "path");
        g_autofree char *image = path ? name_of_path(import, path) : NULL;
        g_autofree char *own = image ? definition_import_path(import, image) : NULL;

        set_attribute(to, "path", own ?: "");
        return true;
}

bool import_memory(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        const char *memory = import_of(list)->memory;
        g_autofree char *kind = xml_attribute(to, "snapshot");

        if (memory && g_strcmp0(kind, "external") == 0)
                set_attribute(to, "file", memory);
        else if (g_strcmp0(kind, "external") == 0)
                set_attribute(to, "snapshot", "no");
        return true;
}

/* Identity */

bool import_name(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        set_text(to, import_of(list)->name);
        return true;
}

bool import_uuid(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        set_text(to, import_of(list)->uuid);
        return true;
}

/* Without a text libvirt makes one. */
bool import_genid(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        if (import_of(list)->new_identifier)
                xmlNodeSetContent(to, NULL);
        return true;
}

/* libvirt wants the identifier of the machine there. */
bool import_sysinfo_entry(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        g_autofree char *name = xml_attribute(to, "name");

        if (name && g_str_equal(name, "uuid") && xml_is(from->parent, "system"))
                set_text(to, import_of(list)->uuid);
        return true;
}

static void drop_empty_notes(xmlNode *domain) {
        xmlNode *images = xml_child(xml_child(domain, "metadata"), "images");

        for (xmlNode *node = images ? images->children : NULL, *next; node; node = next) {
                g_autofree char *path = xml_attribute(node, "path");

                next = node->next;
                if (path && !*path)
                        remove_node(node);
        }
}

bool import_domain(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        static const char *const needed[] = {"name", "uuid", "memory", "os", "devices"};

        for (unsigned i = 0; i < G_N_ELEMENTS(needed); i++)
                if (!xml_child(to, needed[i]))
                        return whitelist_refuse(list, NULL, "It is not complete", error);
        drop_empty_notes(to);
        g_hash_table_remove_all(import_of(list)->used); /* a snapshot has two definitions */
        return true;
}

/* Firmware is chosen by what it can do. A machine that ran has the path of what was chosen for it:
 * with its memory it needs the same one again. */

static void choose_firmware(xmlNode *to, bool secure) {
        set_attribute(to, "firmware", "efi");
        if (secure)
                set_attribute(add_child(to, "loader"), "secure", "yes");
}

static bool name_firmware(
                Whitelist *list, xmlNode *to, const char *path, bool secure, GError **error) {
        const DefinitionImport *import = import_of(list);
        xmlNode *loader;

        if (!g_hash_table_contains(import->firmwares, path))
                return whitelist_refuse(list, "loader", "There is no such firmware here", error);
        loader = add_child(to, "loader");
        set_text(loader, path);
        set_attribute(loader, "readonly", "yes");
        set_attribute(loader, "type", "pflash");
        if (secure)
                set_attribute(loader, "secure", "yes");
        set_text(add_child(to, "nvram"), import->variables);
        xmlUnsetProp(to, UTF8("firmware"));
        return true;
}

bool import_os(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        const DefinitionImport *import = import_of(list);
        xmlNode *loader = xml_child(from, "loader");
        g_autofree char *type = xml_attribute(loader, "type");
        g_autofree char *secure = xml_attribute(loader, "secure");
        g_autofree char *path = xml_child_text(from, "loader");
        bool is_secure = g_strcmp0(secure, "yes") == 0;
        bool is_named = path && *g_strstrip(path);

        if (is_named && g_strcmp0(type, "pflash") != 0)
                return whitelist_refuse(
                                list, "loader", "A firmware of its own is not taken over", error);
        if (is_named && import->firmwares)
                return name_firmware(list, to, path, is_secure, error);
        if (is_named || is_secure)
                choose_firmware(to, is_secure);
        return true;
}

/* Network */

bool import_mac(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        DefinitionImport *import = import_of(list);
        g_autofree char *old = xml_attribute(to, "address");
        const char *new;

        xmlUnsetProp(to, UTF8("type"));
        if (!old)
                return whitelist_refuse(list, NULL, "It is not complete", error);
        if (!import->new_identifier)
                return true;
        new = g_hash_table_lookup(import->macs, old);
        if (!new) {
                uint32_t random = g_random_int();
                char *made = g_strdup_printf("52:54:00:%02x:%02x:%02x", random & 0xff,
                                random >> 8 & 0xff, random >> 16 & 0xff);

                g_hash_table_insert(import->macs, g_strdup(old), made);
                new = made;
        }
        set_attribute(to, "address", new);
        return true;
}

/* The network that a machine ran with has a bridge, which the definition of the network says. */
bool import_interface(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        g_autofree char *type = xml_attribute(to, "type");
        xmlNode *source = xml_child(to, "source");
        bool of_network = g_strcmp0(type, "network") == 0;
        const char *needed = of_network ? "network" : "bridge";
        g_autofree char *value = xml_attribute(source, needed);

        if (!type)
                return whitelist_refuse(list, NULL, "It is not complete", error);
        if (g_str_equal(type, "user")) {
                if (source)
                        remove_node(source);
                return true;
        }
        if (!value)
                return whitelist_refuse(list, "source", "It is not complete", error);
        xmlUnsetProp(source, UTF8(of_network ? "bridge" : "network"));
        return true;
}

/* What somebody else is at the other end of */

bool import_line(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        g_autofree char *type = xml_attribute(to, "type");

        if (g_strcmp0(type, "pty") != 0)
                whitelist_tell(list, type);
        set_attribute(to, "type", "pty");
        return true;
}

bool import_audio(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        g_autofree char *type = xml_attribute(to, "type");

        if (g_strcmp0(type, "none") == 0 || g_strcmp0(type, "spice") == 0)
                return true;
        whitelist_tell(list, type);
        set_attribute(to, "type", "none");
        return true;
}

/* A display that had a password must not become one that the network can reach without. */
bool import_display(Whitelist *list, xmlNode *from, xmlNode *to, GError **error) {
        g_autofree char *password = xml_attribute(from, "passwd");
        xmlNode *listen = xml_child(to, "listen");
        g_autofree char *type = xml_attribute(listen, "type");

        if (!password || g_strcmp0(type, "none") == 0)
                return true;
        listen = listen ?: add_child(to, "listen");
        set_attribute(listen, "type", "address");
        set_attribute(listen, "address", LOOPBACK);
        return true;
}

/* Documents */

static void on_left_out(const char *path, void *userdata) {
        DefinitionImport *import = userdata;

        g_hash_table_add(import->left_out, g_strdup(path));
}

static char *copy(DefinitionImport *import,
                const Rule *rule,
                const char *text,
                const char *what,
                xmlDoc **ret,
                GError **error) {
        g_autoptr(xmlDoc) document = whitelist_parse(text, what, error);
        Whitelist list = {.tell = on_left_out, .userdata = import};

        if (!document)
                return NULL;
        g_hash_table_remove_all(import->used);
        *ret = whitelist_copy(&list, rule, xmlDocGetRootElement(document), error);
        if (*ret)
                return xml_to_text(*ret);
        g_prefix_error(error, "%s: ", what);
        return NULL;
}

char *definition_import_domain(
                DefinitionImport *import, const char *text, const char *what, GError **error) {
        g_autoptr(xmlDoc) document = NULL;

        return copy(import, &domain_rule, text, what, &document, error);
}

char *definition_import_snapshot(DefinitionImport *import,
                const char *text,
                const char *what,
                const char *memory,
                char **ret_id,
                GError **error) {
        g_autoptr(xmlDoc) document = NULL;
        g_autofree char *copied = NULL, *id = NULL;

        import->memory = memory;
        copied = copy(import, &snapshot_rule, text, what, &document, error);
        import->memory = NULL;
        if (!copied)
                return NULL;
        id = xml_child_text(xmlDocGetRootElement(document), "name");
        if (!id || !*id || *id == '.' || !xml_child(xmlDocGetRootElement(document), "domain")) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                                "%s: It is not complete", what);
                return NULL;
        }
        *ret_id = g_steal_pointer(&id);
        return g_steal_pointer(&copied);
}

char *definition_import_cookie(
                DefinitionImport *import, const char *text, const char *what, GError **error) {
        g_autoptr(xmlDoc) document = NULL;

        return copy(import, &cookie_rule, text, what, &document, error);
}
