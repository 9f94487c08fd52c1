/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The places of disks are counted, in the order of the definition, which is the order in which a
 * guest finds them. Only on IDE there are few enough for the guest to know them by their places. */

#include "export/package-machine.h"

#include <string.h>

#include "backend/xml.h"
#include "util/error.h"
#include "util/number.h"

#define KIBIBYTE     UINT64_C(1024)
#define OTHER_64_BIT 102U /* CIM_OperatingSystem.OSType */
#define IDE_UNITS    2U
#define SATA_UNITS   30U
#define SCSI_UNITS   15U
#define SCSI_OWN     7U /* the controller itself */

typedef struct Reader {
        const xmlNode *domain;
        OvfMachine *machine;
        const char *name;
        unsigned counts[OVF_BUSES];
        void (*tell)(const char *text, void *userdata);
        void *userdata;
} Reader;

static bool fail(const char *what, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "The hypervisor's definition %s",
                        what);
        return false;
}

static bool read_memory(Reader *r, GError **error) {
        g_autofree char *text = xml_child_text(r->domain, "memory");
        uint64_t kibibytes = 0;

        if (!text || !number_parse(text, 1, OVF_MEMORY_MAX / KIBIBYTE, &kibibytes))
                return fail("does not say how much memory the machine has", error);
        r->machine->memory = MAX(kibibytes * KIBIBYTE, OVF_MEMORY_MIN);
        return true;
}

/* Those that it is started with. */
static bool read_cpus(Reader *r, GError **error) {
        const xmlNode *node = xml_child(r->domain, "vcpu");
        g_autofree char *current = xml_attribute(node, "current");
        g_autofree char *all = xml_child_text(r->domain, "vcpu");
        uint64_t cpus = 0;

        if (!all || !number_parse(current ?: all, 1, OVF_CPUS_MAX, &cpus))
                return fail("does not say how many processors the machine has", error);
        r->machine->cpus = (unsigned) cpus;
        return true;
}

static void read_system(Reader *r) {
        const xmlNode *os = xml_child(r->domain, "os"), *type = xml_child(os, "type");
        g_autofree char *firmware = xml_attribute(os, "firmware");
        g_autofree char *loader = xml_attribute(xml_child(os, "loader"), "type");
        g_autofree char *architecture = xml_attribute(type, "arch");

        if (g_strcmp0(firmware, "efi") == 0 || g_strcmp0(loader, "pflash") == 0)
                r->machine->firmware = OVF_FIRMWARE_UEFI;
        if (g_strcmp0(architecture, "x86_64") == 0)
                r->machine->os = OTHER_64_BIT;
}

/* Disks */

static const xmlNode *find_disk(const Reader *r, const char *target) {
        const xmlNode *devices = xml_child(r->domain, "devices");

        for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
                g_autofree char *name = NULL;

                if (!xml_is(node, "disk"))
                        continue;
                name = xml_attribute(xml_child(node, "target"), "dev");
                if (g_strcmp0(name, target) == 0)
                        return node;
        }
        return NULL;
}

static OvfBus bus_of(const Reader *r, const xmlNode *node, const char *target) {
        g_autofree char *name = xml_attribute(xml_child(node, "target"), "bus");
        g_autofree char *text = NULL;
        OvfBus bus;

        if (name && ovf_bus_find(name, &bus))
                return bus;
        text = g_strdup_printf(
                        "the disk '%s' is on SATA in the package, not on '%s'", target, name ?: "");
        r->tell(text, r->userdata);
        return OVF_BUS_SATA;
}

/* "hdc" is the first one of the second channel, whatever is on the first. */
static unsigned ide_number(const char *target, unsigned count) {
        if (g_str_has_prefix(target, "hd") && target[2] >= 'a' && target[2] <= 'd' && !target[3])
                return (unsigned) (target[2] - 'a');
        return count;
}

static void place_disk(Reader *r, OvfDisk *disk, const char *target) {
        unsigned number = r->counts[disk->bus]++;
        unsigned units = disk->bus == OVF_BUS_IDE    ? IDE_UNITS
                         : disk->bus == OVF_BUS_SCSI ? SCSI_UNITS
                                                     : SATA_UNITS;

        if (disk->bus == OVF_BUS_IDE)
                number = ide_number(target, number);
        disk->controller = number / units;
        disk->unit = number % units;
        if (disk->bus == OVF_BUS_SCSI && disk->unit >= SCSI_OWN)
                disk->unit++;
}

static bool add_disk(Reader *r, const char *target, GError **error) {
        const xmlNode *node = find_disk(r, target);
        OvfDisk *disk;

        if (!node || r->machine->disks->len == OVF_DISKS_MAX)
                return fail(node ? "has too many disks" : "lacks a disk", error);
        disk = ovf_machine_add_disk(r->machine);
        disk->file = g_strdup_printf("%s-disk%u.vmdk", r->name, r->machine->disks->len);
        disk->bus = bus_of(r, node, target);
        place_disk(r, disk, target);
        return true;
}

/* Network */

static char *network_of(const xmlNode *interface) {
        static const char *const attributes[] = {"network", "bridge", "dev"};
        const xmlNode *source = xml_child(interface, "source");
        char *name = NULL;

        for (unsigned i = 0; i < G_N_ELEMENTS(attributes) && !name; i++)
                name = xml_attribute(source, attributes[i]);
        return name ?: xml_attribute(interface, "type") ?: g_strdup("");
}

static void add_nic(Reader *r, const xmlNode *interface) {
        g_autofree char *model = xml_attribute(xml_child(interface, "model"), "type");
        OvfNic *nic;

        if (r->machine->nics->len == OVF_NICS_MAX) {
                r->tell("a network adapter is left out: there are too many", r->userdata);
                return;
        }
        nic = ovf_machine_add_nic(r->machine);
        nic->model = g_strdup(model ?: "e1000");
        nic->mac = xml_attribute(xml_child(interface, "mac"), "address");
        nic->network = network_of(interface);
}

static void add_nics(Reader *r) {
        const xmlNode *devices = xml_child(r->domain, "devices");

        for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next)
                if (xml_is(node, "interface"))
                        add_nic(r, node);
}

OvfMachine *package_machine_new(const char *definition,
                const GPtrArray *targets,
                const char *name,
                void (*tell)(const char *text, void *userdata),
                void *userdata,
                GError **error) {
        g_autoptr(xmlDoc) document = xml_parse(definition);
        const xmlNode *domain = document ? xmlDocGetRootElement(document) : NULL;
        g_autofree char *own = domain ? xml_child_text(domain, "name") : NULL;
        g_autoptr(OvfMachine) machine = ovf_machine_new(own);
        Reader r = {.domain = domain,
                        .machine = machine,
                        .name = name,
                        .tell = tell,
                        .userdata = userdata};

        if (!own)
                return fail("is not that of a machine", error), NULL;
        if (!read_memory(&r, error) || !read_cpus(&r, error))
                return NULL;
        read_system(&r);
        for (unsigned i = 0; i < targets->len; i++)
                if (!add_disk(&r, targets->pdata[i], error))
                        return NULL;
        add_nics(&r);
        return g_steal_pointer(&machine);
}
