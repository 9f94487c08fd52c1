/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What libvirt says is compared with itself first, which costs little and leaves no trace; QEMU is
 * only asked where that does not fit, and before a file is removed that it may write to: libvirt
 * notes that somebody spoke with QEMU beside it ("tainted"). */

#include "backend/guest-disks.h"

#include <inttypes.h>
#include <libvirt/libvirt-qemu.h>
#include <string.h>

#include "backend/backend-error.h"
#include "backend/layout.h"
#include "backend/qemu-monitor.h"
#include "backend/xml.h"
#include "util/error.h"

/* QEMU has an active commit that is not noted on the disk, or one is noted and QEMU has no job. */
static bool is_doubtful(virDomainPtr domain, const xmlNode *disk, const char *target) {
        virDomainBlockJobInfo info;
        int r = virDomainGetBlockJobInfo(domain, target, &info, 0);

        if (xml_child(disk, "mirror"))
                return r == 0;
        return r == 1 && info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT;
}

static xmlDoc *read_definition(virDomainPtr domain) {
        char *text = virDomainGetXMLDesc(domain, 0);
        xmlDoc *document = text ? xml_parse(text) : NULL;

        free(text);
        return document;
}

/* The disk of that target (NULL: any) that is doubtful; NULL without. */
static xmlNode *find_doubtful(virDomainPtr domain, xmlDoc *document, const char *wanted) {
        xmlNode *devices = xml_child(document ? xmlDocGetRootElement(document) : NULL, "devices");

        for (xmlNode *disk = devices ? devices->children : NULL; disk; disk = disk->next) {
                g_autofree char *target =
                                xml_is(disk, "disk")
                                                ? xml_attribute(xml_child(disk, "target"), "dev")
                                                : NULL;

                if (target && (!wanted || g_str_equal(target, wanted)) &&
                                is_doubtful(domain, disk, target))
                        return disk;
        }
        return NULL;
}

/* Somebody beside us may have begun or ended a job between the two questions: libvirt answers the
 * second when it is done with that, and then the first anew. */
static char *find_lost(virDomainPtr domain, const char *wanted) {
        g_autofree char *target = NULL;

        for (unsigned round = 0; round < 2; round++) {
                g_autoptr(xmlDoc) document = read_definition(domain);
                xmlNode *disk = find_doubtful(domain, document, target ?: wanted);

                if (!disk)
                        return NULL;
                g_free(target);
                target = xml_attribute(xml_child(disk, "target"), "dev");
        }
        return g_steal_pointer(&target);
}

/* The process that runs the machine; 0 without. */
static uint64_t find_process(virDomainPtr domain) {
        uint64_t pid = layout_read_pid(domain);
        g_autofree char *file = g_strdup_printf("/proc/%" PRIu64 "/cmdline", pid),
                        *arguments = NULL;
        char uuid[VIR_UUID_STRING_BUFLEN];
        size_t length;

        if (pid == 0 || virDomainGetUUIDString(domain, uuid) < 0 ||
                        !g_file_get_contents(file, &arguments, &length, NULL))
                return 0;
        return memmem(arguments, length, uuid, strlen(uuid)) ? pid : 0;
}

/* A libvirt that can't read its own note of a guest takes it for turned off. It is asked last,
 * because the machine may have been started meanwhile. */
static bool check_off(virDomainPtr domain, GError **error) {
        uint64_t pid = find_process(domain);

        if (pid == 0 || virDomainIsActive(domain) == 1)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                        "'%s' runs and libvirt does not know it any more; end its process %" PRIu64,
                        virDomainGetName(domain), pid);
        return false;
}

bool guest_disks_check(virDomainPtr domain, GError **error) {
        bool active = virDomainIsActive(domain) == 1;
        g_autofree char *target = active ? find_lost(domain, NULL) : NULL;

        if (!active)
                return check_off(domain, error);
        if (!target)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                        "libvirt does not know any more which image disk %s of '%s' is; turn the "
                        "machine off",
                        target, virDomainGetName(domain));
        return false;
}

static JsonNode *ask_qemu(virDomainPtr domain, const char *command, GError **error) {
        g_autofree char *line = g_strdup_printf("{\"execute\": \"%s\"}", command);
        g_autoptr(JsonNode) answer = NULL;
        JsonNode *result = NULL;
        char *text = NULL;

        if (virDomainQemuMonitorCommand(domain, line, &text, 0) < 0) {
                backend_error_set(error, "Failed to ask QEMU for the disks of '%s'",
                                virDomainGetName(domain));
                return NULL;
        }
        answer = json_from_string(text, NULL);
        free(text);
        if (answer && JSON_NODE_HOLDS_OBJECT(answer))
                result = json_object_get_member(json_node_get_object(answer), "return");
        if (!result)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                                "QEMU does not tell the disks of '%s'", virDomainGetName(domain));
        return result ? json_node_copy(result) : NULL;
}

/* What libvirt calls an image in QEMU, from the number that it shows. */
static char *node_of(const char *index) {
        return index ? g_strdup_printf("libvirt-%s-format", index) : NULL;
}

int guest_disks_have_left(virDomainPtr domain, const char *target, GError **error) {
        g_autofree char *lost = find_lost(domain, target);
        g_autoptr(xmlDoc) document = lost ? read_definition(domain) : NULL;
        xmlNode *disk = lost ? find_doubtful(domain, document, target) : NULL;
        g_autofree char *top = NULL, *below = NULL, *top_node = NULL, *below_node = NULL;
        g_autoptr(JsonNode) blocks = NULL;

        if (!lost)
                return 0;
        blocks = ask_qemu(domain, "query-block", error);
        if (!blocks)
                return -1;
        top = xml_attribute(xml_child(disk, "source"), "index");
        below = xml_attribute(xml_child(disk, "backingStore"), "index");
        top_node = node_of(top);
        below_node = node_of(below);
        if (qemu_answer_has(blocks, "inserted", "node-name", below_node))
                return 1;
        if (qemu_answer_has(blocks, "inserted", "node-name", top_node))
                return 0;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                        "QEMU does not tell which image disk %s of '%s' is", target,
                        virDomainGetName(domain));
        return -1;
}

int guest_disks_use(virDomainPtr domain, const char *path, GError **error) {
        g_autoptr(JsonNode) blocks = NULL;
        g_autoptr(JsonNode) nodes = NULL;
        g_autoptr(GPtrArray) inserted = NULL;

        if (virDomainIsActive(domain) != 1)
                return 0;
        blocks = ask_qemu(domain, "query-block", error);
        nodes = blocks ? ask_qemu(domain, "query-named-block-nodes", error) : NULL;
        if (!nodes)
                return -1;
        inserted = qemu_answer_objects(blocks, "inserted");
        for (unsigned i = 0; i < inserted->len; i++) {
                const char *node = qemu_answer_text(inserted->pdata[i], "node-name");

                if (g_strcmp0(qemu_answer_file(nodes, node, NULL), path) == 0)
                        return 1;
        }
        return 0;
}
