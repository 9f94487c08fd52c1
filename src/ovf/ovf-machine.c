/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Nothing but the structure; ovf-writer.c and ovf-reader.c give it its text. */

#include "ovf/ovf-machine.h"

#include <string.h>

static const char *const bus_names[OVF_BUSES] = {"ide", "sata", "scsi", "virtio"};

static void disk_free(OvfDisk *disk) {
        g_free(disk->file);
        g_free(disk);
}

static void nic_free(OvfNic *nic) {
        g_free(nic->model);
        g_free(nic->mac);
        g_free(nic->network);
        g_free(nic);
}

OvfMachine *ovf_machine_new(const char *name) {
        OvfMachine *machine = g_new0(OvfMachine, 1);

        machine->name = g_strdup(name);
        machine->cpus = 1;
        machine->os = 1;
        machine->disks = g_ptr_array_new_with_free_func((GDestroyNotify) disk_free);
        machine->nics = g_ptr_array_new_with_free_func((GDestroyNotify) nic_free);
        return machine;
}

void ovf_machine_free(OvfMachine *machine) {
        if (!machine)
                return;
        g_ptr_array_unref(machine->disks);
        g_ptr_array_unref(machine->nics);
        g_free(machine->package);
        g_free(machine->name);
        g_free(machine->os_text);
        g_free(machine);
}

OvfDisk *ovf_machine_add_disk(OvfMachine *machine) {
        OvfDisk *disk = g_new0(OvfDisk, 1);

        g_ptr_array_add(machine->disks, disk);
        return disk;
}

OvfNic *ovf_machine_add_nic(OvfMachine *machine) {
        OvfNic *nic = g_new0(OvfNic, 1);

        g_ptr_array_add(machine->nics, nic);
        return nic;
}

const char *ovf_bus_name(OvfBus bus) {
        return bus_names[bus];
}

bool ovf_bus_find(const char *name, OvfBus *ret) {
        for (unsigned i = 0; i < OVF_BUSES; i++)
                if (g_str_equal(bus_names[i], name)) {
                        *ret = (OvfBus) i;
                        return true;
                }
        return false;
}

bool ovf_file_name_is_valid(const char *name) {
        if (!*name || *name == '.' || *name == '-' || strlen(name) > OVF_NAME_MAX ||
                        strpbrk(name, "/\\:") || !g_utf8_validate(name, -1, NULL))
                return false;
        for (const char *p = name; *p; p = g_utf8_next_char(p))
                if (g_unichar_iscntrl(g_utf8_get_char(p)))
                        return false;
        return true;
}
