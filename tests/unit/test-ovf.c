/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "ovf"

#include <string.h>

#include "ovf-texts.h"
#include "ovf/ovf-reader.h"
#include "ovf/ovf-writer.h"
#include "support.h"

static GError *error;

/* A package as we write it */

static OvfMachine *new_machine(void) {
        OvfMachine *machine = ovf_machine_new("web <1> & \"two\"");
        static const struct {
                const char *file;
                OvfBus bus;
                unsigned controller, unit;
        } disks[] = {
                        {"web-disk1.vmdk", OVF_BUS_VIRTIO, 0, 0},
                        {"web-disk2.vmdk", OVF_BUS_SATA, 0, 3},
                        {NULL, OVF_BUS_VIRTIO, 0, 1},
                        {"web-disk4.vmdk", OVF_BUS_SCSI, 1, 5},
                        {"web-disk5.vmdk", OVF_BUS_SCSI, 0, 5},
                        {"web-disk6.vmdk", OVF_BUS_IDE, 0, 1},
        };
        static const struct {
                const char *model, *mac, *network;
        } nics[] = {
                        {"virtio", "52:54:00:12:34:56", "inner & outer"},
                        {"e1000", NULL, "inner & outer"},
                        {"vmxnet3", NULL, ""},
        };

        machine->cpus = 4;
        machine->memory = UINT64_C(3) << 30;
        machine->firmware = OVF_FIRMWARE_UEFI;
        machine->os = 96;
        machine->os_text = g_strdup("Debian 12");
        for (unsigned i = 0; i < G_N_ELEMENTS(disks); i++) {
                OvfDisk *disk = ovf_machine_add_disk(machine);

                *disk = (OvfDisk){g_strdup(disks[i].file), disks[i].file ? 1000 + i : 0,
                                UINT64_C(8) << 30, disks[i].bus, disks[i].controller,
                                disks[i].unit};
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(nics); i++) {
                OvfNic *nic = ovf_machine_add_nic(machine);

                *nic = (OvfNic){g_strdup(nics[i].model), g_strdup(nics[i].mac),
                                g_strdup(nics[i].network)};
        }
        return machine;
}

static void assert_same_disks(const OvfMachine *a, const OvfMachine *b) {
        g_assert_cmpuint(a->disks->len, ==, b->disks->len);
        for (unsigned i = 0; i < a->disks->len; i++) {
                const OvfDisk *x = a->disks->pdata[i], *y = b->disks->pdata[i];

                g_assert_cmpstr(x->file, ==, y->file);
                g_assert_cmpuint(x->file_size, ==, y->file_size);
                g_assert_cmpuint(x->capacity, ==, y->capacity);
                g_assert_cmpuint(x->bus, ==, y->bus);
                g_assert_cmpuint(x->unit, ==, y->unit);
        }
}

static void what_is_written_can_be_read(void) {
        g_autoptr(OvfMachine) machine = new_machine(), read = NULL;
        g_autofree char *text = ovf_write(machine);

        read = ovf_read(text, strlen(text), &error);
        g_assert_no_error(error);
        g_assert_cmpstr(read->name, ==, machine->name);
        g_assert_cmpuint(read->cpus, ==, 4);
        g_assert_cmpuint(read->memory, ==, machine->memory);
        g_assert_cmpint(read->firmware, ==, OVF_FIRMWARE_UEFI);
        g_assert_cmpuint(read->os, ==, 96);
        g_assert_cmpstr(read->os_text, ==, "Debian 12");
        assert_same_disks(machine, read);
        g_assert_cmpuint(read->nics->len, ==, 3);
        for (unsigned i = 0; i < 3; i++) {
                const OvfNic *x = machine->nics->pdata[i], *y = read->nics->pdata[i];

                g_assert_cmpstr(x->model, ==, y->model);
                g_assert_cmpstr(x->mac, ==, y->mac);
                g_assert_cmpstr(x->network, ==, y->network);
        }
}

static void disks_on_one_controller_stay_together(void) {
        g_autoptr(OvfMachine) machine = new_machine(), read = NULL;
        g_autofree char *text = ovf_write(machine);
        static const unsigned expected[] = {0, 0, 0, 0, 1, 0};

        read = ovf_read(text, strlen(text), &error);
        for (unsigned i = 0; i < read->disks->len; i++)
                g_assert_cmpuint(((OvfDisk *) read->disks->pdata[i])->controller, ==, expected[i]);
}

/* What has no word in OVF is what everybody knows, for everybody else. */
static void others_see_what_they_know(void) {
        g_autoptr(OvfMachine) machine = new_machine();
        g_autofree char *text = ovf_write(machine);

        g_assert_nonnull(strstr(text, "<rasd:ResourceSubType>vmware.sata.ahci</rasd:Resource"));
        g_assert_nonnull(strstr(text, "<virtask:Bus ovf:required=\"false\">virtio</virtask:Bus>"));
        g_assert_nonnull(strstr(text, "<rasd:ResourceSubType>E1000</rasd:ResourceSubType>"));
        g_assert_nonnull(strstr(text, "vmw:key=\"firmware\" vmw:value=\"efi\""));
        g_assert_nonnull(strstr(text, "<rasd:VirtualQuantity>3072</rasd:VirtualQuantity>"));
        g_assert_nonnull(strstr(text, "<Name>web &lt;1&gt; &amp; &quot;two&quot;</Name>"));
}

static void memory_is_rounded_up(void) {
        g_autoptr(OvfMachine) machine = ovf_machine_new("x"), read = NULL;
        g_autofree char *text = NULL;

        machine->memory = (UINT64_C(64) << 20) + 1;
        text = ovf_write(machine);
        read = ovf_read(text, strlen(text), &error);
        g_assert_cmpuint(read->memory, ==, UINT64_C(65) << 20);
        g_assert_cmpint(read->firmware, ==, OVF_FIRMWARE_BIOS);
        g_assert_cmpuint(read->disks->len, ==, 0);
}

/* Packages of others */

static OvfMachine *read_good(const char *text) {
        OvfMachine *machine = ovf_read(text, strlen(text), &error);

        g_assert_no_error(error);
        return machine;
}

static void the_least_that_is_a_machine(void) {
        g_autoptr(OvfMachine) machine = read_good(WITH_ITEMS(ALL));
        const OvfDisk *disk = machine->disks->pdata[0];

        g_assert_cmpstr(machine->name, ==, "vm");
        g_assert_cmpuint(machine->os, ==, 1);
        g_assert_cmpuint(machine->memory, ==, UINT64_C(512) << 20);
        g_assert_cmpuint(disk->capacity, ==, UINT64_C(8) << 30);
        g_assert_cmpstr(disk->file, ==, "a.vmdk");
        g_assert_cmpstr(((OvfNic *) machine->nics->pdata[0])->model, ==, "e1000");
}

/* As VirtualBox writes: other units, a section of its own, sound, and a drive for CDs. */
/* clang-format off */
static const char of_virtualbox[] =
        "<?xml version='1.0'?>\n"
        "<Envelope ovf:version='1.0' " NAMESPACES ">"
        "<References><File ovf:href='box-disk001.vmdk' ovf:id='file1'/></References>"
        "<DiskSection><Info>Disks</Info><Disk ovf:capacity='10737418240' ovf:diskId='vmdisk1' "
        "ovf:fileRef='file1' ovf:format='" FORMAT "' vbox:uuid='x'/></DiskSection>"
        "<NetworkSection><Info/><Network ovf:name='NAT'/></NetworkSection>"
        "<VirtualSystem ovf:id='box'><Info/>"
        "<ProductSection><Info/></ProductSection>"
        "<EulaSection><Info/><License>Be good</License></EulaSection>"
        "<OperatingSystemSection ovf:id='94'><Info/><Description>Ubuntu_64</Description>"
        "<vbox:OSType ovf:required='false'>Ubuntu_64</vbox:OSType></OperatingSystemSection>"
        "<VirtualHardwareSection><Info/><System><vssd:InstanceID>0</vssd:InstanceID></System>"
        ITEM("1", "3", FIELD("VirtualQuantity", "1"))
        ITEM("2", "4", FIELD("AllocationUnits", "MegaBytes") FIELD("VirtualQuantity", "1024"))
        ITEM("3", "5", FIELD("Address", "0") FIELD("ResourceSubType", "PIIX4"))
        ITEM("5", "20", FIELD("ResourceSubType", "AHCI"))
        ITEM("6", "23", "")
        ITEM("7", "35", "")
        DISK_ITEM("8", "/disk/vmdisk1", ON("5", "0"))
        ITEM("9", "15", FIELD("Parent", "3"))
        ITEM("10", "10", FIELD("ResourceSubType", "PCNet32") FIELD("Connection", "NAT"))
        "</VirtualHardwareSection><vbox:Machine ovf:required='false'/></VirtualSystem></Envelope>";

/* As VMware writes: the disk before its controller, choices, limits, and settings of its own. */
static const char of_vmware[] =
        "<Envelope " NAMESPACES ">" PACKAGE
        "<vmw:StorageGroupSection ovf:required='false'/>"
        "<DeploymentOptionSection><Info/></DeploymentOptionSection>"
        "<VirtualSystem ovf:id='vm'><Info/><Name> photon </Name>"
        "<VirtualHardwareSection><Info/>"
        ROOT_DISK
        "<Item ovf:configuration='large'>" FIELD("InstanceID", "1") FIELD("ResourceType", "3")
        FIELD("VirtualQuantity", "64") "</Item>"
        "<Item ovf:bound='max'>" FIELD("InstanceID", "2") FIELD("ResourceType", "4")
        FIELD("VirtualQuantity", "1") "</Item>"
        CPUS MEMORY
        ITEM("3", "6", FIELD("ResourceSubType", "VirtualSCSI"))
        ITEM("7", "24", "")
        "<Item ovf:required='false'>" FIELD("InstanceID", "8") FIELD("ResourceType", "99") "</Item>"
        "<vmw:Config ovf:required='false' vmw:key='firmware' vmw:value='efi'/>"
        "<vmw:ExtraConfig ovf:required='false' vmw:key='a' vmw:value='b'/>"
        "</VirtualHardwareSection><AnnotationSection><Info/></AnnotationSection>"
        "</VirtualSystem></Envelope>";

static const char with_two_new_disks[] = ENVELOPE(
        REFERENCES("")
        DISKS("<Disk ovf:capacity='512' ovf:diskId='d1'/><Disk ovf:capacity='512' ovf:diskId='d2'/>")
        SYSTEM(HARDWARE(CPUS MEMORY IDE ROOT_DISK DISK_ITEM("9", "ovf:/disk/d2", FIELD("Parent", "3")))));

static const char with_some_memory[] = ENVELOPE(
        REFERENCES("")
        SYSTEM(HARDWARE(CPUS ITEM("2", "4", FIELD("AllocationUnits", "%s") FIELD("VirtualQuantity", "%s")))));
/* clang-format on */

static void a_package_of_virtualbox_is_read(void) {
        g_autoptr(OvfMachine) machine = read_good(of_virtualbox);
        const OvfDisk *disk = machine->disks->pdata[0];

        g_assert_cmpint(disk->bus, ==, OVF_BUS_SATA);
        g_assert_cmpuint(disk->capacity, ==, UINT64_C(10) << 30);
        g_assert_cmpuint(machine->memory, ==, UINT64_C(1) << 30);
        g_assert_cmpuint(machine->os, ==, 94);
        g_assert_cmpstr(((OvfNic *) machine->nics->pdata[0])->model, ==, "pcnet");
}

static void a_package_of_vmware_is_read(void) {
        g_autoptr(OvfMachine) machine = read_good(of_vmware);

        g_assert_cmpstr(machine->name, ==, "photon");
        g_assert_cmpuint(machine->cpus, ==, 2);
        g_assert_cmpint(((OvfDisk *) machine->disks->pdata[0])->bus, ==, OVF_BUS_SCSI);
        g_assert_cmpint(machine->firmware, ==, OVF_FIRMWARE_UEFI);
}

static void a_disk_without_an_address_takes_the_next(void) {
        g_autoptr(OvfMachine) machine = read_good(with_two_new_disks);

        g_assert_cmpuint(((OvfDisk *) machine->disks->pdata[1])->unit, ==, 1);
        g_assert_null(((OvfDisk *) machine->disks->pdata[1])->file);
}

static void all_units_are_known(void) {
        static const struct {
                const char *units, *count;
        } cases[] = {{"byte * 2^20", "64"}, {"byte*2^20", "64"}, {"MegaBytes", "64"}, {"MB", "64"},
                        {"byte * 2^10", "65536"}, {"KiloBytes", "65536"}, {"byte", "67108864"},
                        {"byte * 2^0", "67108864"}};

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(GStrv) parts = g_strsplit(with_some_memory, "%s", 3);
                g_autofree char *text = g_strconcat(
                                parts[0], cases[i].units, parts[1], cases[i].count, parts[2], NULL);
                g_autoptr(OvfMachine) machine = read_good(text);

                g_assert_cmpuint(machine->memory, ==, UINT64_C(64) << 20);
        }
}

/* Nothing breaks, whatever byte is another one. */
static void a_damaged_descriptor_is_read_or_refused(void) {
        g_autoptr(OvfMachine) machine = new_machine();
        g_autofree char *text = ovf_write(machine);
        size_t length = strlen(text);
        const unsigned step = g_getenv("VIRTASK_LONG") ? 1 : 17;

        for (size_t i = 0; i + 1 < length; i += step) { /* the last byte is a newline */
                static const char bytes[] = {'<', '"', '9', ' ', 'x', '\0'};

                for (unsigned k = 0; k < sizeof(bytes); k++) {
                        g_autofree char *copy = g_memdup2(text, length + 1);
                        g_autoptr(OvfMachine) read = NULL;

                        copy[i] = bytes[k];
                        read = ovf_read(copy, length, &error);
                        g_assert_true(!read == !!error);
                        g_clear_error(&error);
                }
                g_assert_null(ovf_read(text, i, &error));
                g_clear_error(&error);
        }
}

static void a_bus_has_a_name(void) {
        for (unsigned i = 0; i < OVF_BUSES; i++) {
                OvfBus bus;

                g_assert_true(ovf_bus_find(ovf_bus_name((OvfBus) i), &bus));
                g_assert_cmpuint(bus, ==, i);
        }
        g_assert_false(ovf_bus_find("usb", &(OvfBus){0}));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(what_is_written_can_be_read);
        ADD(disks_on_one_controller_stay_together);
        ADD(others_see_what_they_know);
        ADD(memory_is_rounded_up);
        ADD(the_least_that_is_a_machine);
        ADD(a_package_of_virtualbox_is_read);
        ADD(a_package_of_vmware_is_read);
        ADD(a_disk_without_an_address_takes_the_next);
        ADD(all_units_are_known);
        ADD(a_damaged_descriptor_is_read_or_refused);
        ADD(a_bus_has_a_name);
        return g_test_run();
}
