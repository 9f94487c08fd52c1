/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "package-machine"

#include <string.h>

#include "bundle/package-json.h"
#include "export/package-machine.h"
#include "support.h"

static GError *error;

#define DOMAIN(os, devices)                                                                        \
        "<domain type='kvm'><name>web</name><memory unit='KiB'>524288</memory>"                    \
        "<vcpu placement='static' current='2'>4</vcpu>" os "<devices>" devices                     \
        "</devices></domain>"

#define BIOS "<os><type arch='x86_64' machine='pc'>hvm</type></os>"
#define UEFI "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os>"
#define PFLASH                                                                                     \
        "<os><type arch='i686'>hvm</type><loader readonly='yes' type='pflash'>/x.fd</loader></os>"

#define DISK(target, bus)                                                                          \
        "<disk type='file' device='disk'><target dev='" target "' bus='" bus "'/></disk>"

static void count(const char *text, void *userdata) {
        (*(unsigned *) userdata)++;
}

/* The targets are all that there are. */
static OvfMachine *read_with(const char *definition, unsigned *told, ...) {
        g_autoptr(GPtrArray) targets = g_ptr_array_new();
        va_list arguments;

        va_start(arguments, told);
        for (const char *target; (target = va_arg(arguments, const char *));)
                g_ptr_array_add(targets, (void *) target);
        va_end(arguments);
        *told = 0;
        return package_machine_new(definition, targets, "web", count, told, &error);
}

static void
assert_disk(const OvfMachine *machine, unsigned i, OvfBus bus, unsigned controller, unsigned unit) {
        const OvfDisk *disk = machine->disks->pdata[i];
        g_autofree char *file = g_strdup_printf("web-disk%u.vmdk", i + 1);

        g_assert_cmpuint(disk->bus, ==, bus);
        g_assert_cmpuint(disk->controller, ==, controller);
        g_assert_cmpuint(disk->unit, ==, unit);
        g_assert_cmpstr(disk->file, ==, file);
}

static void a_machine_is_described(void) {
        unsigned told;
        g_autoptr(OvfMachine) machine =
                        read_with(DOMAIN(UEFI, DISK("vda", "virtio") DISK("vdb", "virtio")), &told,
                                        "vda", "vdb", NULL);

        g_assert_no_error(error);
        g_assert_cmpstr(machine->name, ==, "web");
        g_assert_cmpuint(machine->cpus, ==, 2);
        g_assert_cmpuint(machine->memory, ==, 512 << 20);
        g_assert_cmpint(machine->firmware, ==, OVF_FIRMWARE_UEFI);
        g_assert_cmpuint(machine->os, ==, 102);
        assert_disk(machine, 0, OVF_BUS_VIRTIO, 0, 0);
        assert_disk(machine, 1, OVF_BUS_VIRTIO, 0, 1);
        g_assert_cmpuint(told, ==, 0);
}

static void a_firmware_with_a_path_is_uefi(void) {
        unsigned told;
        g_autoptr(OvfMachine) machine = read_with(DOMAIN(PFLASH, ""), &told, NULL);

        g_assert_cmpint(machine->firmware, ==, OVF_FIRMWARE_UEFI);
        g_assert_cmpuint(machine->os, ==, 1);
}

static void disks_of_ide_keep_their_places(void) {
        unsigned told;
        g_autoptr(OvfMachine) machine = read_with(
                        DOMAIN(BIOS, DISK("hda", "ide") DISK("hdc", "ide") DISK("hdd", "ide")),
                        &told, "hda", "hdc", "hdd", NULL);

        g_assert_cmpint(machine->firmware, ==, OVF_FIRMWARE_BIOS);
        assert_disk(machine, 0, OVF_BUS_IDE, 0, 0);
        assert_disk(machine, 1, OVF_BUS_IDE, 1, 0);
        assert_disk(machine, 2, OVF_BUS_IDE, 1, 1);
}

/* The controller of SCSI is the seventh device on its bus. */
static void other_disks_are_counted(void) {
        unsigned told;
        g_autoptr(GString) disks = g_string_new(NULL);
        g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(OvfMachine) machine = NULL;
        g_autofree char *definition = NULL;

        for (char letter = 'a'; letter < 'a' + 17; letter++) {
                g_ptr_array_add(targets, g_strdup_printf("sd%c", letter));
                g_string_append_printf(disks, DISK("sd%c", "scsi"), letter);
        }
        definition = g_strdup_printf(DOMAIN(BIOS, "%s"), disks->str);
        machine = package_machine_new(definition, targets, "web", count, &told, &error);
        g_assert_no_error(error);
        assert_disk(machine, 6, OVF_BUS_SCSI, 0, 6);
        assert_disk(machine, 7, OVF_BUS_SCSI, 0, 8);
        assert_disk(machine, 14, OVF_BUS_SCSI, 0, 15);
        assert_disk(machine, 15, OVF_BUS_SCSI, 1, 0);
}

static void what_has_no_word_becomes_sata(void) {
        unsigned told;
        g_autoptr(OvfMachine) machine =
                        read_with(DOMAIN(BIOS, DISK("sda", "usb")), &told, "sda", NULL);

        assert_disk(machine, 0, OVF_BUS_SATA, 0, 0);
        g_assert_cmpuint(told, ==, 1);
}

static void adapters_say_what_they_are_connected_to(void) {
        static const char *const networks[] = {"default", "br0", "eth1", "user"};
        unsigned told;
        g_autoptr(OvfMachine) machine = read_with(
                        DOMAIN(BIOS, "<interface type='network'><mac address='52:54:00:00:00:01'/>"
                                     "<source network='default' bridge='virbr0'/>"
                                     "<model type='virtio'/></interface>"
                                     "<interface type='bridge'><source bridge='br0'/></interface>"
                                     "<interface type='direct'><source dev='eth1'/></interface>"
                                     "<interface type='user'/>"),
                        &told, NULL);

        g_assert_cmpuint(machine->nics->len, ==, G_N_ELEMENTS(networks));
        for (unsigned i = 0; i < G_N_ELEMENTS(networks); i++) {
                const OvfNic *nic = machine->nics->pdata[i];

                g_assert_cmpstr(nic->network, ==, networks[i]);
                g_assert_cmpstr(nic->model, ==, i == 0 ? "virtio" : "e1000");
                g_assert_cmpstr(nic->mac, ==, i == 0 ? "52:54:00:00:00:01" : NULL);
        }
}

static void what_is_no_machine_is_an_error(void) {
        static const char *const texts[] = {"", "<domain/>", "<domain><name>a</name></domain>",
                        "<domain><name>a</name><memory>1</memory></domain>",
                        "<domain><name>a</name><memory>x</memory><vcpu>1</vcpu></domain>",
                        DOMAIN(BIOS, "")};

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                unsigned told;

                g_assert_null(read_with(texts[i], &told, "vda", NULL));
                assert_error(error, FAILED);
        }
}

/* On the way between two processes */

static OvfMachine *new_machine(void) {
        unsigned told;
        OvfMachine *machine =
                        read_with(DOMAIN(UEFI, DISK("sda", "scsi") "<interface type='user'/>"),
                                        &told, "sda", NULL);
        OvfDisk *disk = machine->disks->pdata[0];

        machine->package = g_strdup("0123");
        machine->os_text = g_strdup("Other");
        disk->capacity = 1 << 20;
        disk->file_size = 512;
        return machine;
}

static void it_comes_back_as_it_was(void) {
        g_autoptr(OvfMachine) machine = new_machine(), back = NULL;
        g_autoptr(JsonObject) object = package_machine_to_json(machine);
        const OvfDisk *disk;

        back = package_machine_from_json(object, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(back->package, ==, "0123");
        g_assert_cmpstr(back->os_text, ==, "Other");
        g_assert_cmpuint(back->memory, ==, 512 << 20);
        g_assert_cmpint(back->firmware, ==, OVF_FIRMWARE_UEFI);
        disk = back->disks->pdata[0];
        g_assert_cmpuint(disk->capacity, ==, 1 << 20);
        g_assert_cmpuint(disk->file_size, ==, 512);
        g_assert_cmpuint(disk->bus, ==, OVF_BUS_SCSI);
        g_assert_cmpstr(((OvfNic *) back->nics->pdata[0])->network, ==, "user");
}

#define DISK_JSON                                                                                  \
        "{\"file\":\"a.vmdk\",\"file-size\":1,\"capacity\":1,\"bus\":\"ide\",\"controller\":0,"    \
        "\"unit\":0}"
#define NIC_JSON "{\"model\":\"e1000\",\"network\":\"\"}"
#define MACHINE_JSON                                                                               \
        "{\"name\":\"a\",\"cpus\":1,\"memory\":1048576,\"firmware\":0,\"os\":1,\"disks\":"         \
        "[" DISK_JSON "],\"nics\":[" NIC_JSON "]}"

static OvfMachine *read_json(const char *text) {
        g_autoptr(JsonNode) node = json_from_string(text, NULL);

        g_assert_nonnull(node);
        return package_machine_from_json(json_node_get_object(node), &error);
}

/* Each member is needed, and is of its kind and in its range. */
static void what_somebody_else_says_is_checked(void) {
        static const struct {
                const char *from, *to;
        } cases[] = {
                        {"\"name\":\"a\"", "\"name\":1"},
                        {"\"cpus\":1", "\"cpus\":0"},
                        {"\"cpus\":1", "\"cpus\":1025"},
                        {"\"cpus\":1", "\"cpus\":\"1\""},
                        {"\"memory\":1048576", "\"memory\":1"},
                        {"\"memory\":1048576", "\"memory\":-1"},
                        {"\"firmware\":0", "\"firmware\":2"},
                        {"\"os\":1", "\"os\":65536"},
                        {"\"disks\":[" DISK_JSON "]", "\"disks\":{}"},
                        {DISK_JSON, "null"},
                        {DISK_JSON, "[]"},
                        {"\"file\":\"a.vmdk\"", "\"file\":\"../a\""},
                        {"\"file-size\":1", "\"file-size\":-1"},
                        {"\"capacity\":1", "\"capacity\":1125899906842625"},
                        {"\"capacity\":1", "\"other\":1"},
                        {"\"bus\":\"ide\"", "\"bus\":\"usb\""},
                        {"\"bus\":\"ide\"", "\"bus\":null"},
                        {"\"controller\":0", "\"controller\":65"},
                        {"\"unit\":0", "\"unit\":256"},
                        {NIC_JSON, "1"},
                        {"\"model\":\"e1000\"", "\"model\":1"},
                        {"\"network\":\"\"", "\"network\":[]"},
        };
        g_autoptr(OvfMachine) machine = read_json(MACHINE_JSON);

        g_assert_no_error(error);
        g_assert_cmpuint(machine->disks->len, ==, 1);
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(GStrv) parts = g_strsplit(MACHINE_JSON, cases[i].from, 2);
                g_autofree char *text = g_strjoinv(cases[i].to, parts);

                g_assert_cmpuint(g_strv_length(parts), ==, 2);
                g_assert_null(read_json(text));
                assert_error(error, INVALID_BUNDLE);
        }
        g_assert_null(package_machine_from_json(NULL, &error));
        assert_error(error, INVALID_BUNDLE);
}

static void there_may_not_be_too_many(void) {
        g_autoptr(GString) text = g_string_new(
                        "{\"name\":\"a\",\"cpus\":1,\"memory\":1048576,\"firmware\":0,\"os\":1,"
                        "\"nics\":[],\"disks\":[" DISK_JSON);

        for (unsigned i = 0; i < OVF_DISKS_MAX; i++)
                g_string_append(text, "," DISK_JSON);
        g_string_append(text, "]}");
        g_assert_null(read_json(text->str));
        assert_error(error, INVALID_BUNDLE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_machine_is_described);
        ADD(a_firmware_with_a_path_is_uefi);
        ADD(disks_of_ide_keep_their_places);
        ADD(other_disks_are_counted);
        ADD(what_has_no_word_becomes_sata);
        ADD(adapters_say_what_they_are_connected_to);
        ADD(what_is_no_machine_is_an_error);
        ADD(it_comes_back_as_it_was);
        ADD(what_somebody_else_says_is_checked);
        ADD(there_may_not_be_too_many);
        return g_test_run();
}
