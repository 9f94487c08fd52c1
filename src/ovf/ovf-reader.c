/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is not known is an error, unless the descriptor says that it may be passed over, or it is
 * one of the sections that are known to be of no matter here. */

#include "ovf/ovf-reader.h"

#include <string.h>

#include "ovf/ovf-hardware.h"
#include "ovf/ovf-xml.h"
#include "util/error.h"
#include "util/number.h"

#define FILES_MAX 256U

/* Those without which a machine is what it is. */
static const char *const passed_over[] = {"Info", "Name", "References", "Strings",
                "AnnotationSection", "ProductSection", "EulaSection", "InstallSection",
                "StartupSection", "ResourceAllocationSection", "DeploymentOptionSection"};

static void file_free(OvfPackageFile *file) {
        g_free(file->name);
        g_free(file);
}

static void package_init(OvfPackage *package) {
        package->files = g_hash_table_new_full(
                        g_str_hash, g_str_equal, g_free, (GDestroyNotify) file_free);
        package->disks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        package->networks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void package_clear(OvfPackage *package) {
        g_hash_table_unref(package->files);
        g_hash_table_unref(package->disks);
        g_hash_table_unref(package->networks);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OvfPackage, package_clear)

/* The number in an attribute; *ret stays as it is if there is none. */
static bool read_number(const xmlNode *node,
                const char *attribute,
                uint64_t maximum,
                uint64_t *ret,
                GError **error) {
        g_autofree char *text = ovf_xml_attribute(node, OVF_NAMESPACE, attribute);

        return !text || number_parse(text, 0, maximum, ret) ||
               ovf_xml_fail(node, error, "its attribute '%s' is no number in range", attribute);
}

/* References */

static bool is_used(GHashTable *files, const char *name) {
        GHashTableIter iter;
        void *file;

        g_hash_table_iter_init(&iter, files);
        while (g_hash_table_iter_next(&iter, NULL, &file))
                if (g_str_equal(((OvfPackageFile *) file)->name, name))
                        return true;
        return false;
}

static bool check_form(const xmlNode *node, GError **error) {
        g_autofree char *compression = ovf_xml_attribute(node, OVF_NAMESPACE, "compression");
        g_autofree char *chunk = ovf_xml_attribute(node, OVF_NAMESPACE, "chunkSize");

        if (compression && *compression && !g_str_equal(compression, "identity"))
                return ovf_xml_unsupported(node, error, "the file is compressed");
        return !chunk || ovf_xml_unsupported(node, error, "the file is in pieces");
}

static bool read_file(const xmlNode *node, GHashTable *files, GError **error) {
        g_autofree char *id = ovf_xml_name(node, "id", error);
        g_autofree char *name = id ? ovf_xml_name(node, "href", error) : NULL;
        OvfPackageFile *file;
        uint64_t size = 0;

        if (!name || !read_number(node, "size", INT64_MAX, &size, error) ||
                        !check_form(node, error))
                return false;
        if (!ovf_file_name_is_valid(name))
                return ovf_xml_fail(node, error, "'%s' is no file of the package", name);
        if (g_hash_table_contains(files, id) || is_used(files, name))
                return ovf_xml_fail(node, error, "'%s' is there twice", name);
        file = g_new(OvfPackageFile, 1);
        *file = (OvfPackageFile){g_steal_pointer(&name), size};
        g_hash_table_insert(files, g_steal_pointer(&id), file);
        return true;
}

/* Calls the function for each such child. */
typedef bool (*NodeFunction)(const xmlNode *node, OvfPackage *package, GError **error);

static bool for_each(const xmlNode *parent,
                const char *name,
                NodeFunction function,
                OvfPackage *package,
                GError **error) {
        unsigned count = 0;

        for (const xmlNode *node = parent ? parent->children : NULL; node; node = node->next) {
                if (!ovf_xml_is(node, OVF_NAMESPACE, name))
                        continue;
                if (++count > FILES_MAX)
                        return ovf_xml_fail(node, error, "there are more than %u", FILES_MAX);
                if (!function(node, package, error))
                        return false;
        }
        return true;
}

static bool on_file(const xmlNode *node, OvfPackage *package, GError **error) {
        return read_file(node, package->files, error);
}

/* DiskSection */

static bool read_capacity(const xmlNode *node, uint64_t *ret, GError **error) {
        g_autofree char *units = ovf_xml_attribute(node, OVF_NAMESPACE, "capacityAllocationUnits");
        uint64_t unit = 0, count = 0;

        if (!ovf_xml_unit(units, &unit))
                return ovf_xml_fail(node, error, "its unit is not known");
        if (!read_number(node, "capacity", OVF_CAPACITY_MAX, &count, error))
                return false;
        if (count == 0 || count > OVF_CAPACITY_MAX / unit)
                return ovf_xml_fail(node, error, "its capacity is missing or out of range");
        *ret = count * unit;
        return true;
}

static bool check_format(const xmlNode *node, GError **error) {
        g_autofree char *format = ovf_xml_attribute(node, OVF_NAMESPACE, "format");
        g_autofree char *parent = ovf_xml_attribute(node, OVF_NAMESPACE, "parentRef");

        if (parent)
                return ovf_xml_unsupported(node, error, "the disk rests on another one");
        /* The addresses of the specification have changed, the name of the page has not. */
        return (format && strstr(format, "vmdk.html#")) ||
               ovf_xml_unsupported(node, error, "its format is not VMDK");
}

static bool on_disk(const xmlNode *node, OvfPackage *package, GError **error) {
        g_autofree char *id = ovf_xml_name(node, "diskId", error);
        g_autofree char *reference = ovf_xml_attribute(node, OVF_NAMESPACE, "fileRef");
        OvfPackageDisk disk = {0};

        if (!id || !read_capacity(node, &disk.capacity, error))
                return false;
        if (reference) {
                disk.file = g_hash_table_lookup(package->files, reference);
                if (!disk.file)
                        return ovf_xml_fail(node, error, "its file is not in the References");
                if (!check_format(node, error))
                        return false;
        }
        if (g_hash_table_contains(package->disks, id))
                return ovf_xml_fail(node, error, "'%s' is there twice", id);
        g_hash_table_insert(package->disks, g_steal_pointer(&id), g_memdup2(&disk, sizeof(disk)));
        return true;
}

static bool on_network(const xmlNode *node, OvfPackage *package, GError **error) {
        char *name = ovf_xml_name(node, "name", error);

        return name && (g_hash_table_add(package->networks, name) ||
                                       ovf_xml_fail(node, error, "it is there twice"));
}

/* Sections */

/* Whether it is known, by one of these names or as one that may be passed over. */
static bool check_section(const xmlNode *node, const char *const *known, GError **error) {
        const char *name = (const char *) node->name;
        bool is_ours = node->ns && xmlStrEqual(node->ns->href, (const xmlChar *) OVF_NAMESPACE);

        if (node->type != XML_ELEMENT_NODE || ovf_xml_is_optional(node))
                return true;
        if (is_ours && g_strv_contains(known, name))
                return true;
        for (unsigned i = 0; is_ours && i < G_N_ELEMENTS(passed_over); i++)
                if (g_str_equal(passed_over[i], name))
                        return true;
        return ovf_xml_fail(node, error, "it is not known here");
}

static bool check_sections(const xmlNode *parent, const char *const *known, GError **error) {
        for (const xmlNode *node = parent->children; node; node = node->next)
                if (!check_section(node, known, error))
                        return false;
        return true;
}

static const xmlNode *find_one(const xmlNode *parent, const char *name, GError **error) {
        const xmlNode *found = ovf_xml_child(parent, OVF_NAMESPACE, name);

        for (const xmlNode *node = found ? found->next : NULL; node; node = node->next)
                if (ovf_xml_is(node, OVF_NAMESPACE, name))
                        return ovf_xml_fail(node, error, "it is there twice"), NULL;
        if (!found)
                ovf_xml_fail(parent, error, "its %s is missing", name);
        return found;
}

static bool read_package(const xmlNode *envelope, OvfPackage *package, GError **error) {
        const xmlNode *references = find_one(envelope, "References", error);

        return references && for_each(references, "File", on_file, package, error) &&
               for_each(ovf_xml_child(envelope, OVF_NAMESPACE, "DiskSection"), "Disk", on_disk,
                               package, error) &&
               for_each(ovf_xml_child(envelope, OVF_NAMESPACE, "NetworkSection"), "Network",
                               on_network, package, error);
}

/* The machine */

static char *read_name(const xmlNode *system, GError **error) {
        g_autofree char *name = ovf_xml_text(system, OVF_NAMESPACE, "Name");

        if (!name)
                return ovf_xml_name(system, "id", error);
        if (ovf_xml_name_is_valid(name))
                return g_steal_pointer(&name);
        ovf_xml_fail(system, error, "its Name is no name");
        return NULL;
}

static bool read_os(const xmlNode *system, OvfMachine *machine, GError **error) {
        const xmlNode *section = ovf_xml_child(system, OVF_NAMESPACE, "OperatingSystemSection");
        uint64_t number = 1;

        if (!section)
                return true;
        if (!read_number(section, "id", UINT16_MAX, &number, error))
                return false;
        machine->os = (unsigned) number;
        machine->os_text = ovf_xml_text(section, OVF_NAMESPACE, "Description");
        if (machine->os_text && !ovf_xml_name_is_valid(machine->os_text))
                g_clear_pointer(&machine->os_text, g_free);
        return true;
}

static OvfMachine *read_system(const xmlNode *system, const OvfPackage *package, GError **error) {
        static const char *const known[] = {
                        "OperatingSystemSection", "VirtualHardwareSection", NULL};
        g_autofree char *name = read_name(system, error);
        g_autoptr(OvfMachine) machine = name ? ovf_machine_new(name) : NULL;
        const xmlNode *hardware;

        if (!machine || !check_sections(system, known, error) || !read_os(system, machine, error))
                return NULL;
        /* Where there are several, any of them is good. */
        hardware = ovf_xml_child(system, OVF_NAMESPACE, "VirtualHardwareSection");
        if (!hardware)
                return ovf_xml_fail(system, error, "it has no hardware"), NULL;
        return ovf_hardware_read(hardware, package, machine, error) ? g_steal_pointer(&machine)
                                                                    : NULL;
}

static bool check_root(const xmlNode *root, GError **error) {
        if (ovf_xml_is(root, OVF_NAMESPACE, "Envelope"))
                return true;
        if (g_str_equal(root->name, "Envelope"))
                return ovf_xml_unsupported(root, error, "it is of another version of OVF");
        return ovf_xml_fail(root, error, "it is no Envelope");
}

OvfMachine *ovf_read(const char *text, size_t length, GError **error) {
        static const char *const known[] = {"DiskSection", "NetworkSection", "VirtualSystem", NULL};
        g_autoptr(xmlDoc) document = ovf_xml_parse(text, length, error);
        const xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        g_auto(OvfPackage) package = {0};
        const xmlNode *system, *several;

        package_init(&package);
        if (!root || !check_root(root, error))
                return NULL;
        several = ovf_xml_child(root, OVF_NAMESPACE, "VirtualSystemCollection");
        if (several)
                return ovf_xml_unsupported(several, error, "there are several machines"), NULL;
        if (!check_sections(root, known, error) || !read_package(root, &package, error))
                return NULL;
        system = find_one(root, "VirtualSystem", error);
        return system ? read_system(system, &package, error) : NULL;
}
