/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a package does not say is what starts everywhere. A network of the host is never one that
 * the package names, and nothing listens. */

#include "export/package-definition.h"

#include <inttypes.h>
#include <string.h>

#include "util/error.h"

#define LETTERS   26U
#define IDE_UNITS 4U

static bool fail(GError **error, const char *what) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "The package %s", what);
        return false;
}

/* Disks */

static const struct {
        const char *prefix, *bus;
} buses[OVF_BUSES] = {
                [OVF_BUS_IDE] = {"hd", "ide"},
                [OVF_BUS_SATA] = {"sd", "sata"},
                [OVF_BUS_SCSI] = {"sd", "scsi"},
                [OVF_BUS_VIRTIO] = {"vd", "virtio"},
};

bool package_definition_is_pc(const OvfMachine *machine) {
        for (unsigned i = 0; i < machine->disks->len; i++)
                if (((const OvfDisk *) machine->disks->pdata[i])->bus == OVF_BUS_IDE)
                        return true;
        return false;
}

static bool is_before(const OvfDisk *one, const OvfDisk *other) {
        if (one->controller != other->controller)
                return one->controller < other->controller;
        return one->unit < other->unit;
}

/* How many disks come before it under names like its own: SATA before SCSI. */
static bool count_before(
                const OvfMachine *machine, unsigned number, unsigned *ret, GError **error) {
        const OvfDisk *disk = machine->disks->pdata[number];

        *ret = 0;
        for (unsigned i = 0; i < machine->disks->len; i++) {
                const OvfDisk *other = machine->disks->pdata[i];

                if (i == number || !g_str_equal(buses[other->bus].prefix, buses[disk->bus].prefix))
                        continue;
                if (other->bus == disk->bus && !is_before(disk, other) && !is_before(other, disk))
                        return fail(error, "has two disks at one place");
                if (other->bus < disk->bus || (other->bus == disk->bus && is_before(other, disk)))
                        ++*ret;
        }
        return true;
}

static bool find_place(const OvfMachine *machine, unsigned number, unsigned *ret, GError **error) {
        const OvfDisk *disk = machine->disks->pdata[number];

        if (!count_before(machine, number, ret, error))
                return false;
        if (disk->bus != OVF_BUS_IDE)
                return true;
        if (disk->controller >= IDE_UNITS / 2 || disk->unit >= 2)
                return fail(error, "has more disks on IDE than there are places");
        *ret = disk->controller * 2 + disk->unit;
        return true;
}

/* "sda" ... "sdz", "sdaa" */
static char *target_of(OvfBus bus, unsigned place) {
        char last = (char) ('a' + place % LETTERS);

        if (place < LETTERS)
                return g_strdup_printf("%s%c", buses[bus].prefix, last);
        return g_strdup_printf(
                        "%s%c%c", buses[bus].prefix, (char) ('a' + place / LETTERS - 1), last);
}

GPtrArray *package_definition_targets(const OvfMachine *machine, GError **error) {
        g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);

        for (unsigned i = 0; i < machine->disks->len; i++) {
                const OvfDisk *disk = machine->disks->pdata[i];
                unsigned place;

                if (!find_place(machine, i, &place, error))
                        return NULL;
                g_ptr_array_add(targets, target_of(disk->bus, place));
        }
        return g_steal_pointer(&targets);
}

/* The text */

static void G_GNUC_PRINTF(2, 3) add(GString *text, const char *format, ...) {
        g_autofree char *part = NULL;
        va_list arguments;

        va_start(arguments, format);
        part = g_markup_vprintf_escaped(format, arguments);
        va_end(arguments);
        g_string_append(text, part);
}

/* The model of a processor that libvirt takes if nobody says one is older than what systems need
 * that are made today. */
static void add_system(GString *text, const OvfMachine *machine, const PackageHost *host) {
        bool kvm = g_str_equal(host->type, "kvm");

        add(text, "<memory unit='KiB'>%" PRIu64 "</memory><vcpu>%u</vcpu>", machine->memory / 1024,
                        machine->cpus);
        add(text, machine->firmware == OVF_FIRMWARE_UEFI ? "<os firmware='efi'>" : "<os>");
        add(text, "<type arch='x86_64' machine='%s'>hvm</type></os>",
                        package_definition_is_pc(machine) ? "pc" : "q35");
        add(text, "<features><acpi/><apic/></features><cpu mode='%s'/><clock offset='utc'/>",
                        kvm ? "host-model" : "maximum");
}

static void add_disk(GString *text,
                const OvfMachine *machine,
                unsigned number,
                const char *target,
                const char *path) {
        const OvfDisk *disk = machine->disks->pdata[number];

        add(text,
                        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
                        "<source file='%s'/><target dev='%s' bus='%s'/><boot order='%u'/>",
                        path, target, buses[disk->bus].bus, number + 1);
        if (disk->bus == OVF_BUS_SCSI)
                add(text, "<address type='drive' controller='0' bus='0' target='0' unit='%u'/>",
                                number);
        add(text, "</disk>");
}

static bool has_scsi(const OvfMachine *machine) {
        for (unsigned i = 0; i < machine->disks->len; i++)
                if (((const OvfDisk *) machine->disks->pdata[i])->bus == OVF_BUS_SCSI)
                        return true;
        return false;
}

/* A model that QEMU does not have, or not on such a machine, is one that most guests know. */
static const char *model_of(const OvfNic *nic, bool pc) {
        static const char *const models[] = {"virtio", "e1000", "pcnet", "vmxnet3"};

        for (unsigned i = 0; i < G_N_ELEMENTS(models); i++)
                if (g_str_equal(models[i], nic->model))
                        return models[i];
        return !pc && g_str_equal(nic->model, "e1000e") ? "e1000e" : "e1000";
}

static void add_nic(GString *text, const OvfNic *nic, const PackageHost *host, bool pc) {
        add(text, "<interface type='%s'>", host->network ? "network" : "user");
        if (host->network)
                add(text, "<source network='%s'/>", host->network);
        add(text, "<model type='%s'/></interface>", model_of(nic, pc));
}

/* A screen that is only seen through libvirt, a pointer that points where it is, and a line. */
static void add_console(GString *text) {
        add(text, "<serial type='pty'/><input type='tablet' bus='usb'/>"
                  "<graphics type='vnc'><listen type='none'/></graphics>"
                  "<video><model type='vga'/></video>");
}

char *package_definition_new(const OvfMachine *machine,
                const char *name,
                const char *uuid,
                const GPtrArray *targets,
                const GPtrArray *paths,
                const PackageHost *host) {
        g_autoptr(GString) text = g_string_new(NULL);
        bool pc = package_definition_is_pc(machine);

        add(text, "<domain type='%s'><name>%s</name><uuid>%s</uuid>", host->type, name, uuid);
        add_system(text, machine, host);
        add(text, "<devices>");
        for (unsigned i = 0; i < machine->disks->len; i++)
                add_disk(text, machine, i, targets->pdata[i], paths->pdata[i]);
        if (has_scsi(machine))
                add(text, "<controller type='scsi' index='0' model='virtio-scsi'/>");
        for (unsigned i = 0; i < machine->nics->len; i++)
                add_nic(text, machine->nics->pdata[i], host, pc);
        add_console(text);
        add(text, "</devices></domain>");
        return g_strdup(text->str);
}
