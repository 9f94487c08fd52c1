/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bundle/package-json.h"

#include "bundle/manifest.h"
#include "util/error.h"

/* Writing */

static void set_text(JsonObject *object, const char *member, const char *text) {
        if (text)
                json_object_set_string_member(object, member, text);
}

static void set_number(JsonObject *object, const char *member, uint64_t number) {
        json_object_set_int_member(object, member, (gint64) number);
}

static JsonObject *disk_to_json(const OvfDisk *disk) {
        JsonObject *object = json_object_new();

        set_text(object, "file", disk->file);
        set_number(object, "file-size", disk->file_size);
        set_number(object, "capacity", disk->capacity);
        set_text(object, "bus", ovf_bus_name(disk->bus));
        set_number(object, "controller", disk->controller);
        set_number(object, "unit", disk->unit);
        return object;
}

static JsonObject *nic_to_json(const OvfNic *nic) {
        JsonObject *object = json_object_new();

        set_text(object, "model", nic->model);
        set_text(object, "mac", nic->mac);
        set_text(object, "network", nic->network);
        return object;
}

JsonObject *package_machine_to_json(const OvfMachine *machine) {
        JsonObject *object = json_object_new();
        JsonArray *disks = json_array_new(), *nics = json_array_new();

        for (unsigned i = 0; i < machine->disks->len; i++)
                json_array_add_object_element(disks, disk_to_json(machine->disks->pdata[i]));
        for (unsigned i = 0; i < machine->nics->len; i++)
                json_array_add_object_element(nics, nic_to_json(machine->nics->pdata[i]));
        set_text(object, "package", machine->package);
        set_text(object, "name", machine->name);
        set_number(object, "cpus", machine->cpus);
        set_number(object, "memory", machine->memory);
        set_number(object, "firmware", machine->firmware);
        set_number(object, "os", machine->os);
        set_text(object, "os-text", machine->os_text);
        json_object_set_array_member(object, "disks", disks);
        json_object_set_array_member(object, "nics", nics);
        return object;
}

/* Reading */

static bool fail(const char *member, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "What was read of the package can not be understood: %s", member);
        return false;
}

static bool get_number(JsonObject *object,
                const char *member,
                uint64_t minimum,
                uint64_t maximum,
                uint64_t *ret,
                GError **error) {
        return (manifest_number(object, member, ret) && *ret >= minimum && *ret <= maximum) ||
               fail(member, error);
}

static bool get_unsigned(JsonObject *object,
                const char *member,
                unsigned minimum,
                unsigned maximum,
                unsigned *ret,
                GError **error) {
        uint64_t number = 0;

        if (!get_number(object, member, minimum, maximum, &number, error))
                return false;
        *ret = (unsigned) number;
        return true;
}

static bool read_disk(JsonNode *node, OvfDisk *disk, GError **error) {
        JsonObject *object = manifest_object(node);
        const char *bus = object ? manifest_text(object, "bus") : NULL;

        if (!bus || !ovf_bus_find(bus, &disk->bus))
                return fail("bus", error);
        disk->file = g_strdup(manifest_text(object, "file"));
        if (disk->file && !ovf_file_name_is_valid(disk->file))
                return fail("file", error);
        return get_number(object, "file-size", 0, OVF_CAPACITY_MAX, &disk->file_size, error) &&
               get_number(object, "capacity", 0, OVF_CAPACITY_MAX, &disk->capacity, error) &&
               get_unsigned(object, "controller", 0, OVF_DISKS_MAX, &disk->controller, error) &&
               get_unsigned(object, "unit", 0, OVF_UNIT_MAX, &disk->unit, error);
}

static bool read_nic(JsonNode *node, OvfNic *nic, GError **error) {
        JsonObject *object = manifest_object(node);

        if (!object || !manifest_text(object, "model") || !manifest_text(object, "network"))
                return fail("nics", error);
        nic->model = g_strdup(manifest_text(object, "model"));
        nic->mac = g_strdup(manifest_text(object, "mac"));
        nic->network = g_strdup(manifest_text(object, "network"));
        return true;
}

static bool read_devices(JsonObject *object, OvfMachine *machine, GError **error) {
        JsonArray *disks = manifest_array(object, "disks"), *nics = manifest_array(object, "nics");

        if (!disks || json_array_get_length(disks) > OVF_DISKS_MAX)
                return fail("disks", error);
        if (!nics || json_array_get_length(nics) > OVF_NICS_MAX)
                return fail("nics", error);
        for (unsigned i = 0; i < json_array_get_length(disks); i++)
                if (!read_disk(json_array_get_element(disks, i), ovf_machine_add_disk(machine),
                                    error))
                        return false;
        for (unsigned i = 0; i < json_array_get_length(nics); i++)
                if (!read_nic(json_array_get_element(nics, i), ovf_machine_add_nic(machine), error))
                        return false;
        return true;
}

OvfMachine *package_machine_from_json(JsonObject *object, GError **error) {
        const char *name = object ? manifest_text(object, "name") : NULL;
        g_autoptr(OvfMachine) machine = ovf_machine_new(name);
        unsigned firmware = 0;

        if (!name)
                return fail("name", error), NULL;
        if (!get_unsigned(object, "cpus", 1, OVF_CPUS_MAX, &machine->cpus, error) ||
                        !get_number(object, "memory", OVF_MEMORY_MIN, OVF_MEMORY_MAX,
                                        &machine->memory, error) ||
                        !get_unsigned(object, "firmware", OVF_FIRMWARE_BIOS, OVF_FIRMWARE_UEFI,
                                        &firmware, error) ||
                        !get_unsigned(object, "os", 0, UINT16_MAX, &machine->os, error) ||
                        !read_devices(object, machine, error))
                return NULL;
        machine->package = g_strdup(manifest_text(object, "package"));
        machine->firmware = (OvfFirmware) firmware;
        machine->os_text = g_strdup(manifest_text(object, "os-text"));
        return g_steal_pointer(&machine);
}
