/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The order of the elements is that of the schema: in an Item by the alphabet, which some readers
 * insist on. ElementName is what the standard wants, Caption what older VirtualBox reads.
 *
 * What OVF has no word for (virtio) is written as what every product has (SATA, E1000), with an
 * element of our own behind it that others may pass over: so a machine that comes back is what it
 * was. */

#include "ovf/ovf-writer.h"

#include <inttypes.h>

#include "ovf/ovf-xml.h"

/* The hardware of VMware's products since 2013, the first that has SATA. */
#define SYSTEM_TYPE "vmx-10"

/* CIM ResourceType. */
enum {
        TYPE_CPU = 3,
        TYPE_MEMORY = 4,
        TYPE_IDE = 5,
        TYPE_SCSI = 6,
        TYPE_ETHERNET = 10,
        TYPE_DISK = 17,
        TYPE_OTHER_STORAGE = 20,
};

static const struct {
        unsigned type;
        const char *subtype;
        const char *name;
} controllers[OVF_BUSES] = {
                [OVF_BUS_IDE] = {TYPE_IDE, "PIIX4", "IDE Controller"},
                [OVF_BUS_SATA] = {TYPE_OTHER_STORAGE, "vmware.sata.ahci", "SATA Controller"},
                [OVF_BUS_SCSI] = {TYPE_SCSI, "lsilogic", "SCSI Controller"},
                [OVF_BUS_VIRTIO] = {TYPE_OTHER_STORAGE, "vmware.sata.ahci", "SATA Controller"},
};

static const struct {
        const char *model, *subtype;
} nic_types[] = {
                {"e1000", "E1000"},
                {"e1000e", "E1000e"},
                {"pcnet", "PCNet32"},
                {"vmxnet3", "VmxNet3"},
};

typedef struct Writer {
        const OvfMachine *machine;
        GString *text;
        unsigned instances;            /* the last InstanceID */
        unsigned addresses[OVF_BUSES]; /* of controllers; those of virtio count as SATA */
} Writer;

static void G_GNUC_PRINTF(2, 3) add(Writer *w, const char *format, ...) {
        g_autofree char *line = NULL;
        va_list arguments;

        va_start(arguments, format);
        line = g_markup_vprintf_escaped(format, arguments);
        va_end(arguments);
        g_string_append(w->text, line);
}

/* Package */

static void add_references(Writer *w) {
        add(w, "  <References>\n");
        for (unsigned i = 0; i < w->machine->disks->len; i++) {
                const OvfDisk *disk = w->machine->disks->pdata[i];

                if (disk->file)
                        add(w,
                                        "    <File ovf:href=\"%s\" ovf:id=\"file%u\" "
                                        "ovf:size=\"%" PRIu64 "\"/>\n",
                                        disk->file, i + 1, disk->file_size);
        }
        add(w, "  </References>\n");
}

static void add_disks(Writer *w) {
        add(w, "  <DiskSection>\n    <Info>Virtual disks</Info>\n");
        for (unsigned i = 0; i < w->machine->disks->len; i++) {
                const OvfDisk *disk = w->machine->disks->pdata[i];

                add(w, "    <Disk ovf:capacity=\"%" PRIu64 "\" ovf:diskId=\"vmdisk%u\"",
                                disk->capacity, i + 1);
                if (disk->file)
                        add(w, " ovf:fileRef=\"file%u\"", i + 1);
                add(w, " ovf:format=\"" OVF_VMDK_FORMAT "\"/>\n");
        }
        add(w, "  </DiskSection>\n");
}

static void add_networks(Writer *w) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        add(w, "  <NetworkSection>\n    <Info>Logical networks</Info>\n");
        for (unsigned i = 0; i < w->machine->nics->len; i++) {
                const OvfNic *nic = w->machine->nics->pdata[i];

                if (*nic->network && g_hash_table_add(seen, nic->network))
                        add(w,
                                        "    <Network ovf:name=\"%s\">\n      <Description>The "
                                        "network %s</Description>\n    </Network>\n",
                                        nic->network, nic->network);
        }
        add(w, "  </NetworkSection>\n");
}

/* Hardware. The elements between add_item() and end_item() are in alphabetical order. */

static void add_system(Writer *w) {
        add(w,
                        "      <System>\n"
                        "        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n"
                        "        <vssd:InstanceID>0</vssd:InstanceID>\n"
                        "        <vssd:VirtualSystemIdentifier>%s</vssd:VirtualSystemIdentifier>\n"
                        "        <vssd:VirtualSystemType>" SYSTEM_TYPE "</vssd:VirtualSystemType>\n"
                        "      </System>\n",
                        w->machine->name);
}

static void begin_item(Writer *w) {
        w->instances++;
        add(w, "      <Item>\n");
}

static void add_field(Writer *w, const char *name, const char *value) {
        if (value)
                add(w, "        <rasd:%s>%s</rasd:%s>\n", name, value, name);
}

static void add_number(Writer *w, const char *name, uint64_t value) {
        add(w, "        <rasd:%s>%" PRIu64 "</rasd:%s>\n", name, value, name);
}

static void add_ours(Writer *w, const char *name, const char *value) {
        add(w, "        <virtask:%s ovf:required=\"false\">%s</virtask:%s>\n", name, value, name);
}

static void end_item(Writer *w) {
        add(w, "      </Item>\n");
}

static void add_cpus(Writer *w) {
        begin_item(w);
        add_field(w, "AllocationUnits", "hertz * 10^6");
        add_field(w, "Caption", "Virtual CPUs");
        add_field(w, "Description", "Number of Virtual CPUs");
        add_field(w, "ElementName", "Virtual CPUs");
        add_number(w, "InstanceID", w->instances);
        add_number(w, "ResourceType", TYPE_CPU);
        add_number(w, "VirtualQuantity", w->machine->cpus);
        end_item(w);
}

/* Whole MiB: a reader that knows another unit has not been seen. */
static void add_memory(Writer *w) {
        const uint64_t unit = UINT64_C(1) << 20;

        begin_item(w);
        add_field(w, "AllocationUnits", "byte * 2^20");
        add_field(w, "Caption", "Memory");
        add_field(w, "Description", "Memory Size");
        add_field(w, "ElementName", "Memory");
        add_number(w, "InstanceID", w->instances);
        add_number(w, "ResourceType", TYPE_MEMORY);
        add_number(w, "VirtualQuantity", (w->machine->memory + unit - 1) / unit);
        end_item(w);
}

static void add_controller(Writer *w, OvfBus bus) {
        OvfBus seen_as = bus == OVF_BUS_VIRTIO ? OVF_BUS_SATA : bus;
        unsigned address = w->addresses[seen_as]++;
        g_autofree char *name = g_strdup_printf("%s %u", controllers[bus].name, address);

        begin_item(w);
        add_number(w, "Address", address);
        add_field(w, "Caption", name);
        add_field(w, "Description", controllers[bus].name);
        add_field(w, "ElementName", name);
        add_number(w, "InstanceID", w->instances);
        add_field(w, "ResourceSubType", controllers[bus].subtype);
        add_number(w, "ResourceType", controllers[bus].type);
        if (bus == OVF_BUS_VIRTIO)
                add_ours(w, "Bus", ovf_bus_name(bus));
        end_item(w);
}

static void add_disk(Writer *w, unsigned number, unsigned parent) {
        const OvfDisk *disk = w->machine->disks->pdata[number];
        g_autofree char *name = g_strdup_printf("Hard Disk %u", number + 1);
        g_autofree char *host = g_strdup_printf(OVF_DISK_PREFIX "vmdisk%u", number + 1);

        begin_item(w);
        add_number(w, "AddressOnParent", disk->unit);
        add_field(w, "Caption", name);
        add_field(w, "Description", "Hard Disk");
        add_field(w, "ElementName", name);
        add_field(w, "HostResource", host);
        add_number(w, "InstanceID", w->instances);
        add_number(w, "Parent", parent);
        add_number(w, "ResourceType", TYPE_DISK);
        end_item(w);
}

/* Each controller before the disks on it, in the order in which the disks name them. */
static void add_storage(Writer *w) {
        g_autoptr(GHashTable) parents = g_hash_table_new(NULL, NULL);

        for (unsigned i = 0; i < w->machine->disks->len; i++) {
                const OvfDisk *disk = w->machine->disks->pdata[i];
                void *key = GUINT_TO_POINTER(disk->controller * OVF_BUSES + disk->bus);

                if (!g_hash_table_contains(parents, key)) {
                        add_controller(w, disk->bus);
                        g_hash_table_insert(parents, key, GUINT_TO_POINTER(w->instances));
                }
                add_disk(w, i, GPOINTER_TO_UINT(g_hash_table_lookup(parents, key)));
        }
}

static const char *nic_subtype(const char *model) {
        for (unsigned i = 0; i < G_N_ELEMENTS(nic_types); i++)
                if (g_str_equal(nic_types[i].model, model))
                        return nic_types[i].subtype;
        return NULL;
}

static void add_nic(Writer *w, unsigned number) {
        const OvfNic *nic = w->machine->nics->pdata[number];
        g_autofree char *name = g_strdup_printf("Network Adapter %u", number + 1);
        const char *subtype = nic_subtype(nic->model);

        begin_item(w);
        add_field(w, "Address", nic->mac);
        add_field(w, "AutomaticAllocation", "true");
        add_field(w, "Caption", name);
        add_field(w, "Connection", *nic->network ? nic->network : NULL);
        add_field(w, "Description", "Network Adapter");
        add_field(w, "ElementName", name);
        add_number(w, "InstanceID", w->instances);
        add_field(w, "ResourceSubType", subtype ? subtype : "E1000");
        add_number(w, "ResourceType", TYPE_ETHERNET);
        if (!subtype)
                add_ours(w, "Model", nic->model);
        end_item(w);
}

/* What others may pass over. */
static void add_extensions(Writer *w) {
        if (w->machine->firmware == OVF_FIRMWARE_UEFI)
                add(w, "      <vmw:Config ovf:required=\"false\" vmw:key=\"firmware\" "
                       "vmw:value=\"efi\"/>\n");
        if (w->machine->package)
                add(w, "      <virtask:Package ovf:required=\"false\">%s</virtask:Package>\n",
                                w->machine->package);
}

static void add_machine(Writer *w) {
        add(w,
                        "  <VirtualSystem ovf:id=\"%s\">\n    <Info>A virtual machine</Info>\n"
                        "    <Name>%s</Name>\n",
                        w->machine->name, w->machine->name);
        add(w,
                        "    <OperatingSystemSection ovf:id=\"%u\">\n"
                        "      <Info>The operating system of the guest</Info>\n",
                        w->machine->os);
        if (w->machine->os_text)
                add(w, "      <Description>%s</Description>\n", w->machine->os_text);
        add(w, "    </OperatingSystemSection>\n    <VirtualHardwareSection>\n"
               "      <Info>Virtual hardware</Info>\n");
        add_system(w);
        add_cpus(w);
        add_memory(w);
        add_storage(w);
        for (unsigned i = 0; i < w->machine->nics->len; i++)
                add_nic(w, i);
        add_extensions(w);
        add(w, "    </VirtualHardwareSection>\n  </VirtualSystem>\n");
}

char *ovf_write(const OvfMachine *machine) {
        Writer w = {.machine = machine, .text = g_string_new(NULL)};

        add(&w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<Envelope xmlns=\"" OVF_NAMESPACE "\" xmlns:ovf=\"" OVF_NAMESPACE "\"\n"
                "    xmlns:rasd=\"" OVF_RASD "\"\n    xmlns:vssd=\"" OVF_VSSD "\"\n"
                "    xmlns:vmw=\"" OVF_VMWARE "\" xmlns:virtask=\"" OVF_OURS "\">\n");
        add_references(&w);
        add_disks(&w);
        add_networks(&w);
        add_machine(&w);
        add(&w, "</Envelope>\n");
        return g_string_free(w.text, FALSE);
}
