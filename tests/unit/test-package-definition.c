/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "package-definition"

#include <string.h>

#include "backend/xml.h"
#include "export/package-definition.h"
#include "support.h"

static GError *error;

static void add_disk(OvfMachine *machine, OvfBus bus, unsigned controller, unsigned unit) {
        *ovf_machine_add_disk(machine) = (OvfDisk){
                        .capacity = 1 << 20,
                        .bus = bus,
                        .controller = controller,
                        .unit = unit,
        };
}

static void add_nic(OvfMachine *machine, const char *model) {
        *ovf_machine_add_nic(machine) = (OvfNic){
                        .model = g_strdup(model),
                        .mac = g_strdup("52:54:00:00:00:01"),
                        .network = g_strdup("theirs"),
        };
}

static OvfMachine *new_machine(void) {
        OvfMachine *machine = ovf_machine_new("theirs");

        machine->memory = 64 << 20;
        machine->cpus = 2;
        return machine;
}

static void assert_targets(const OvfMachine *machine, const char *expected) {
        g_autoptr(GPtrArray) targets = package_definition_targets(machine, &error);
        g_autofree char *joined = NULL;

        g_assert_no_error(error);
        g_ptr_array_add(targets, NULL);
        joined = g_strjoinv(" ", (char **) targets->pdata);
        g_assert_cmpstr(joined, ==, expected);
}

static void disks_are_named_by_their_places(void) {
        g_autoptr(OvfMachine) machine = new_machine();

        add_disk(machine, OVF_BUS_SATA, 0, 5);
        add_disk(machine, OVF_BUS_SCSI, 0, 0);
        add_disk(machine, OVF_BUS_SATA, 0, 1);
        add_disk(machine, OVF_BUS_SATA, 1, 0);
        add_disk(machine, OVF_BUS_VIRTIO, 0, 9);
        assert_targets(machine, "sdb sdd sda sdc vda");
        g_assert_false(package_definition_is_pc(machine));
}

static void those_of_ide_are_where_they_are(void) {
        g_autoptr(OvfMachine) machine = new_machine();

        add_disk(machine, OVF_BUS_IDE, 1, 0);
        add_disk(machine, OVF_BUS_IDE, 0, 1);
        assert_targets(machine, "hdc hdb");
        g_assert_true(package_definition_is_pc(machine));
}

static void many_have_longer_names(void) {
        g_autoptr(OvfMachine) machine = new_machine();
        g_autoptr(GPtrArray) targets = NULL;

        for (unsigned i = 0; i < OVF_DISKS_MAX; i++)
                add_disk(machine, OVF_BUS_SATA, 0, i);
        targets = package_definition_targets(machine, &error);
        g_assert_cmpstr(targets->pdata[25], ==, "sdz");
        g_assert_cmpstr(targets->pdata[26], ==, "sdaa");
        g_assert_cmpstr(targets->pdata[63], ==, "sdbl");
}

static void places_that_there_are_not_are_refused(void) {
        static const struct {
                OvfBus bus;
                unsigned controller, unit;
        } cases[] = {
                        {OVF_BUS_IDE, 2, 0},
                        {OVF_BUS_IDE, 0, 2},
                        {OVF_BUS_IDE, 0, 0},
                        {OVF_BUS_SATA, 0, 0},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(OvfMachine) machine = new_machine();

                add_disk(machine, OVF_BUS_IDE, 0, 0);
                add_disk(machine, OVF_BUS_SATA, 0, 0);
                add_disk(machine, cases[i].bus, cases[i].controller, cases[i].unit);
                g_assert_null(package_definition_targets(machine, &error));
                assert_error(error, INVALID_BUNDLE);
        }
}

/* The definition */

static char *define(const OvfMachine *machine, const char *type, const char *network) {
        const PackageHost host = {type, network};
        g_autoptr(GPtrArray) targets = package_definition_targets(machine, &error);
        g_autoptr(GPtrArray) paths = g_ptr_array_new();
        char *text;
        xmlDoc *document;

        g_assert_no_error(error);
        for (unsigned i = 0; i < machine->disks->len; i++)
                g_ptr_array_add(paths, (void *) "/images/a'&<b");
        text = package_definition_new(machine, "ours", "01234567-89ab-4def-8123-456789abcdef",
                        targets, paths, &host);
        document = xml_parse(text);
        g_assert_nonnull(document);
        xmlFreeDoc(document);
        return text;
}

static void assert_has(const char *text, const char *words) {
        if (!strstr(text, words))
                g_error("%s: %s", words, text);
}

static void nothing_of_it_is_what_the_package_calls_it(void) {
        g_autoptr(OvfMachine) machine = new_machine();
        g_autofree char *text = NULL;

        add_disk(machine, OVF_BUS_VIRTIO, 0, 0);
        add_nic(machine, "virtio");
        add_nic(machine, "e1000e");
        add_nic(machine, "theirs");
        text = define(machine, "kvm", "default");
        assert_has(text, "<name>ours</name>");
        assert_has(text, "<memory unit='KiB'>65536</memory><vcpu>2</vcpu>");
        assert_has(text, "<os><type arch='x86_64' machine='q35'>");
        assert_has(text, "host-model");
        assert_has(text, "<source file='/images/a&apos;&amp;&lt;b'/>");
        assert_has(text, "<target dev='vda' bus='virtio'/><boot order='1'/>");
        assert_has(text, "<source network='default'/><model type='virtio'/>");
        assert_has(text, "<model type='e1000e'/>");
        assert_has(text, "<model type='e1000'/>");
        g_assert_null(strstr(text, "theirs"));
        g_assert_null(strstr(text, "52:54"));
}

static void an_older_machine_has_older_devices(void) {
        g_autoptr(OvfMachine) machine = new_machine();
        g_autofree char *text = NULL;

        machine->firmware = OVF_FIRMWARE_UEFI;
        add_disk(machine, OVF_BUS_IDE, 0, 0);
        add_disk(machine, OVF_BUS_SCSI, 0, 3);
        add_nic(machine, "e1000e");
        text = define(machine, "qemu", NULL);
        assert_has(text, "<os firmware='efi'><type arch='x86_64' machine='pc'>");
        assert_has(text, "mode='maximum'");
        assert_has(text, "<interface type='user'><model type='e1000'/>");
        assert_has(text, "<controller type='scsi' index='0' model='virtio-scsi'/>");
        assert_has(text, "<address type='drive' controller='0' bus='0' target='0' unit='1'/>");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(disks_are_named_by_their_places);
        ADD(those_of_ide_are_where_they_are);
        ADD(many_have_longer_names);
        ADD(places_that_there_are_not_are_refused);
        ADD(nothing_of_it_is_what_the_package_calls_it);
        ADD(an_older_machine_has_older_devices);
        return g_test_run();
}
