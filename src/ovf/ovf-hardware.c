/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An Item of hardware names its kind by a number of CIM, itself by an InstanceID, and what it hangs
 * on by that of another. They may come in any order, so all are gathered before one is read. */

#include "ovf/ovf-hardware.h"

#include <string.h>

#include "ovf/ovf-xml.h"
#include "util/error.h"
#include "util/number.h"

#define ITEMS_MAX 512U

typedef struct Item {
        const xmlNode *node;
        char *id;
        unsigned type; /* CIM ResourceType */
        bool is_controller;
        OvfBus bus; /* of a controller */
        unsigned number;
        GHashTable *units; /* of a controller: a set of those that are taken */
} Item;

typedef struct Reader {
        const OvfPackage *package;
        OvfMachine *machine;
        GPtrArray *items;                /* of Item */
        unsigned controllers[OVF_BUSES]; /* how many of each kind */
        bool has_cpus, has_memory;
        GError **error;
} Reader;

static void item_free(Item *item) {
        g_clear_pointer(&item->units, g_hash_table_unref);
        g_free(item->id);
        g_free(item);
}

static char *text_of(const Item *item, const char *name) {
        return ovf_xml_text(item->node, OVF_RASD, name);
}

static bool number_of(const Reader *r,
                const Item *item,
                const char *name,
                uint64_t minimum,
                uint64_t maximum,
                uint64_t *ret) {
        g_autofree char *text = text_of(item, name);

        return (text && number_parse(text, minimum, maximum, ret)) ||
               ovf_xml_fail(item->node, r->error, "its %s is %s", name,
                               text ? "no number in range" : "missing");
}

/* Processors and memory */

static bool read_cpus(Reader *r, Item *item) {
        uint64_t count = 0;

        if (r->has_cpus)
                return ovf_xml_fail(item->node, r->error, "there are processors already");
        if (!number_of(r, item, "VirtualQuantity", 1, OVF_CPUS_MAX, &count))
                return false;
        r->machine->cpus = (unsigned) count;
        r->has_cpus = true;
        return true;
}

static bool read_memory(Reader *r, Item *item) {
        g_autofree char *units = text_of(item, "AllocationUnits");
        uint64_t count = 0, unit = 0;

        if (r->has_memory)
                return ovf_xml_fail(item->node, r->error, "there is memory already");
        if (!ovf_xml_unit(units, &unit))
                return ovf_xml_fail(item->node, r->error, "its unit is not known");
        if (!number_of(r, item, "VirtualQuantity", 1, OVF_MEMORY_MAX, &count))
                return false;
        if (count > OVF_MEMORY_MAX / unit || count * unit < OVF_MEMORY_MIN)
                return ovf_xml_fail(item->node, r->error, "it is out of range");
        r->machine->memory = count * unit;
        r->has_memory = true;
        return true;
}

/* Storage */

/* Which kind of controller the other ones of type 20 are. */
static bool find_other_bus(const Item *item, OvfBus *ret) {
        g_autofree char *subtype = text_of(item, "ResourceSubType");
        g_autofree char *lower = subtype ? g_ascii_strdown(subtype, -1) : NULL;

        /* A guest that knows NVMe knows SATA, too. */
        if (!lower || (!strstr(lower, "ahci") && !strstr(lower, "nvme")))
                return false;
        *ret = OVF_BUS_SATA;
        return true;
}

static bool read_controller(Reader *r, Item *item) {
        g_autofree char *ours = ovf_xml_text(item->node, OVF_OURS, "Bus");

        item->is_controller = true;
        item->bus = item->type == 5 ? OVF_BUS_IDE : OVF_BUS_SCSI;
        if (item->type == 20 && !find_other_bus(item, &item->bus))
                return ovf_xml_fail(item->node, r->error, "the kind of controller is not known");
        if (ours && !ovf_bus_find(ours, &item->bus))
                return ovf_xml_fail(item->node, r->error, "its Bus is not known");
        item->number = r->controllers[item->bus]++;
        item->units = g_hash_table_new(NULL, NULL);
        return true;
}

static Item *find_item(const Reader *r, const char *id) {
        for (unsigned i = 0; i < r->items->len; i++) {
                Item *item = r->items->pdata[i];

                if (g_str_equal(item->id, id))
                        return item;
        }
        return NULL;
}

static OvfPackageDisk *find_disk(const Reader *r, const Item *item) {
        g_autofree char *host = text_of(item, "HostResource");
        const char *id = host;
        OvfPackageDisk *disk;

        if (id && g_str_has_prefix(id, "ovf:"))
                id += 4;
        if (!id || !g_str_has_prefix(id, "/disk/")) {
                ovf_xml_fail(item->node, r->error, "its HostResource is no disk");
                return NULL;
        }
        disk = g_hash_table_lookup(r->package->disks, id + strlen("/disk/"));
        if (!disk || disk->used) {
                ovf_xml_fail(item->node, r->error, "its disk is %s",
                                disk ? "that of another one, too" : "not in the DiskSection");
                return NULL;
        }
        disk->used = true;
        return disk;
}

/* The place on its controller: that which is named, or else the first one that is free. */
static bool find_unit(const Reader *r, const Item *item, const Item *parent, uint64_t *ret) {
        g_autofree char *address = text_of(item, "AddressOnParent");

        if (address && !number_parse(address, 0, OVF_UNIT_MAX, ret))
                return ovf_xml_fail(item->node, r->error, "its AddressOnParent is out of range");
        for (*ret = address ? *ret : 0;
                        !address && g_hash_table_contains(parent->units, GUINT_TO_POINTER(*ret));)
                ++*ret;
        return g_hash_table_add(parent->units, GUINT_TO_POINTER(*ret)) ||
               ovf_xml_fail(item->node, r->error, "its place on the controller is taken");
}

static bool read_disk(Reader *r, Item *item) {
        g_autofree char *id = text_of(item, "Parent");
        const Item *parent = id ? find_item(r, id) : NULL;
        const OvfPackageDisk *source;
        uint64_t unit = 0;
        OvfDisk *disk;

        if (!parent || !parent->is_controller)
                return ovf_xml_fail(item->node, r->error, "its Parent is no controller");
        if (r->machine->disks->len == OVF_DISKS_MAX)
                return ovf_xml_fail(item->node, r->error, "there are too many disks");
        source = find_disk(r, item);
        if (!source || !find_unit(r, item, parent, &unit))
                return false;
        disk = ovf_machine_add_disk(r->machine);
        disk->capacity = source->capacity;
        disk->bus = parent->bus;
        disk->controller = parent->number;
        disk->unit = (unsigned) unit;
        if (source->file) {
                disk->file = g_strdup(source->file->name);
                disk->file_size = source->file->size;
        }
        return true;
}

/* Networks */

static bool mac_is_valid(const char *text) {
        for (unsigned i = 0; i < 17; i++)
                if (i % 3 == 2 ? text[i] != ':' : !g_ascii_isxdigit(text[i]))
                        return false;
        /* Not one of a group. */
        return text[17] == '\0' && g_ascii_xdigit_value(text[1]) % 2 == 0;
}

static char *read_model(const Item *item) {
        static const struct {
                const char *subtype, *model;
        } models[] = {
                        {"e1000", "e1000"},
                        {"e1000e", "e1000e"},
                        {"pcnet32", "pcnet"},
                        {"virtio", "virtio"},
                        {"vmxnet3", "vmxnet3"},
        };
        g_autofree char *ours = ovf_xml_text(item->node, OVF_OURS, "Model");
        g_autofree char *subtype = text_of(item, "ResourceSubType");
        const char *name = ours ? ours : subtype ? subtype : "";
        size_t length = strcspn(name, " "); /* it may be a list, the best one first */

        for (unsigned i = 0; i < G_N_ELEMENTS(models); i++)
                if (strlen(models[i].subtype) == length &&
                                g_ascii_strncasecmp(models[i].subtype, name, length) == 0)
                        return g_strdup(models[i].model);
        return g_strdup("e1000");
}

static bool read_nic(Reader *r, Item *item) {
        g_autofree char *mac = text_of(item, "Address"), *network = text_of(item, "Connection");
        OvfNic *nic;

        if (r->machine->nics->len == OVF_NICS_MAX)
                return ovf_xml_fail(item->node, r->error, "there are too many network adapters");
        if (mac && !mac_is_valid(mac))
                return ovf_xml_fail(item->node, r->error, "its Address is none of an adapter");
        if (network && !g_hash_table_contains(r->package->networks, network))
                return ovf_xml_fail(item->node, r->error,
                                "its network is not in the "
                                "NetworkSection");
        nic = ovf_machine_add_nic(r->machine);
        nic->model = read_model(item);
        nic->mac = g_steal_pointer(&mac);
        nic->network = network ? g_steal_pointer(&network) : g_strdup("");
        return true;
}

/* All of them */

static bool pass_over(Reader *r, Item *item) {
        return true;
}

/* In this order: what others hang on comes first. */
static const struct {
        unsigned type;
        bool (*read)(Reader *r, Item *item);
} kinds[] = {
                {5, read_controller},  /* IDE */
                {6, read_controller},  /* SCSI */
                {20, read_controller}, /* SATA, NVMe */
                {3, read_cpus}, {4, read_memory}, {10, read_nic}, {17, read_disk},
                {1, pass_over},  /* other */
                {14, pass_over}, /* floppy */
                {15, pass_over}, /* CD */
                {16, pass_over}, /* DVD */
                {21, pass_over}, /* serial port */
                {22, pass_over}, /* parallel port */
                {23, pass_over}, /* USB */
                {24, pass_over}, /* display */
                {35, pass_over}, /* sound, as VirtualBox says */
};

static bool is_known(unsigned type) {
        for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (kinds[i].type == type)
                        return true;
        return false;
}

/* Items of a choice that is not the preset, and limits of a value that another Item has. */
static bool is_of_choice(const xmlNode *node) {
        g_autofree char *configuration = ovf_xml_attribute(node, OVF_NAMESPACE, "configuration");
        g_autofree char *bound = ovf_xml_attribute(node, OVF_NAMESPACE, "bound");

        return configuration || (bound && !g_str_equal(bound, "normal"));
}

static bool gather_item(Reader *r, const xmlNode *node) {
        Item *item = g_new0(Item, 1);
        uint64_t type = 0;

        g_ptr_array_add(r->items, item);
        item->node = node;
        item->id = g_strdup("");
        if (r->items->len > ITEMS_MAX)
                return ovf_xml_fail(node, r->error, "there are more than %u", ITEMS_MAX);
        if (!number_of(r, item, "ResourceType", 0, UINT16_MAX, &type))
                return false;
        item->type = (unsigned) type;
        if (!is_known(item->type) && !ovf_xml_is_optional(node))
                return ovf_xml_fail(node, r->error, "hardware of the type %u is not known here",
                                item->type);
        g_free(item->id);
        item->id = text_of(item, "InstanceID");
        if (!item->id || !ovf_xml_name_is_valid(item->id)) {
                g_free(item->id);
                item->id = g_strdup("");
                return ovf_xml_fail(node, r->error, "its InstanceID is missing or no name");
        }
        return find_item(r, item->id) == item ||
               ovf_xml_fail(node, r->error, "its InstanceID is that of another one");
}

static bool read_firmware(const Reader *r, const xmlNode *node) {
        g_autofree char *key = ovf_xml_attribute(node, OVF_VMWARE, "key");
        g_autofree char *value = ovf_xml_attribute(node, OVF_VMWARE, "value");

        if (key && value && g_str_equal(key, "firmware") && g_str_equal(value, "efi"))
                r->machine->firmware = OVF_FIRMWARE_UEFI;
        return true;
}

static void read_package(const Reader *r, const xmlNode *section) {
        g_autofree char *id = ovf_xml_text(section, OVF_OURS, "Package");

        if (id && ovf_xml_name_is_valid(id)) {
                g_free(r->machine->package);
                r->machine->package = g_steal_pointer(&id);
        }
}

static bool gather(Reader *r, const xmlNode *section) {
        for (const xmlNode *node = section->children; node; node = node->next) {
                bool ok = true;

                if (node->type != XML_ELEMENT_NODE)
                        continue;
                if (ovf_xml_is(node, OVF_NAMESPACE, "Item"))
                        ok = is_of_choice(node) || gather_item(r, node);
                else if (ovf_xml_is(node, OVF_VMWARE, "Config"))
                        ok = read_firmware(r, node);
                else if (ovf_xml_is(node, OVF_OURS, "Package"))
                        read_package(r, section);
                else if (!ovf_xml_is(node, OVF_NAMESPACE, "Info") &&
                                !ovf_xml_is(node, OVF_NAMESPACE, "System") &&
                                !ovf_xml_is_optional(node))
                        ok = ovf_xml_fail(node, r->error, "it is not known here");
                if (!ok)
                        return false;
        }
        return true;
}

static bool read_all(Reader *r) {
        for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++)
                for (unsigned i = 0; i < r->items->len; i++) {
                        Item *item = r->items->pdata[i];

                        if (item->type == kinds[k].type && !kinds[k].read(r, item))
                                return false;
                }
        return true;
}

bool ovf_hardware_read(const xmlNode *section,
                const OvfPackage *package,
                OvfMachine *machine,
                GError **error) {
        Reader r = {.package = package, .machine = machine, .error = error};
        bool ok;

        r.items = g_ptr_array_new_with_free_func((GDestroyNotify) item_free);
        ok = gather(&r, section) && read_all(&r);
        if (ok && !r.has_cpus)
                ok = ovf_xml_fail(section, error, "it has no processors");
        if (ok && !r.has_memory)
                ok = ovf_xml_fail(section, error, "it has no memory");
        g_ptr_array_unref(r.items);
        return ok;
}
