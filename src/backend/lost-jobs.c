/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt notes in a file what it knows of a running guest. Of an active commit, which ends with
 * the guest in the image below, libvirt 9.0 notes the job first, then has QEMU begin, and then
 * notes that the disk has one (<mirror>). At the end it dismisses QEMU's job, then notes the disk
 * with <mirror job=''>, and at last the image that QEMU has gone over to
 * (qemuBlockJobEventProcessConcluded()). Whoever dies in between leaves a note that is wrong. To
 * end a job without a mirror kills libvirt, and us with it; job='' it does not read, and does not
 * know a guest any more that runs; with a mirror without a job the guest goes on in an image that
 * libvirt does not know of, and the next start begins with what it had left.
 *
 * A libvirtd is not ours to mend: the machine has to be turned off, and until then nothing is done
 * that relies on what libvirt says. Of embedded QEMU the note is in our own directory, and as long
 * as libvirt has not read it, QEMU may be asked: the disk is noted to be what QEMU has open, as
 * libvirt would have done. What else belongs to that (the definition for the next start, the image
 * that is not needed any more) follows when the task is settled. */

#include "backend/lost-jobs.h"

#include <fcntl.h>
#include <libvirt/libvirt-qemu.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "backend/layout.h"
#include "backend/qemu-monitor.h"
#include "backend/xml.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

#define UTF8(text)    ((const xmlChar *) (text))
#define ACTIVE_COMMIT "active-commit"

/* A disk with an active commit. */
typedef struct LostJob {
        xmlNode *disk;
        xmlNode *mirror; /* NULL: not noted yet */
        xmlNode *job;    /* NULL: not noted any more */
        xmlNode *layer;  /* the image below that it is to go over to */
} LostJob;

static bool attribute_is(const xmlNode *node, const char *name, const char *wanted) {
        g_autofree char *value = xml_attribute(node, name);

        return g_strcmp0(value, wanted) == 0;
}

static void drop(xmlNode *node) {
        xmlUnlinkNode(node);
        xmlFreeNode(node);
}

static xmlNode *find_job(const xmlNode *status, const xmlNode *disk) {
        g_autofree char *target = xml_attribute(xml_child(disk, "target"), "dev");
        xmlNode *jobs = xml_child(status, "blockjobs");

        for (xmlNode *job = jobs ? jobs->children : NULL; job; job = job->next)
                if (xml_is(job, "blockjob") && attribute_is(job, "type", ACTIVE_COMMIT) &&
                                attribute_is(xml_child(job, "disk"), "dst", target))
                        return job;
        return NULL;
}

#define NODE_FORMAT  "format"
#define NODE_STORAGE "storage" /* the file below it */

/* QEMU's name of the image that a <source> is. */
static char *node_of_source(const xmlNode *source, const char *type) {
        xmlNode *names = xml_child(xml_child(source, "privateData"), "nodenames");

        for (xmlNode *name = names ? names->children : NULL; name; name = name->next)
                if (xml_is(name, "nodename") && attribute_is(name, "type", type))
                        return xml_attribute(name, "name");
        return NULL;
}

/* The image of this name below the disk. */
static xmlNode *find_layer(const xmlNode *disk, const char *wanted) {
        for (xmlNode *layer = xml_child(disk, "backingStore"); layer;
                        layer = xml_child(layer, "backingStore")) {
                g_autofree char *node = node_of_source(xml_child(layer, "source"), NODE_FORMAT);

                if (node && g_strcmp0(node, wanted) == 0)
                        return layer;
        }
        return NULL;
}

static bool find_commit(const xmlNode *status, xmlNode *disk, LostJob *ret) {
        xmlNode *mirror = xml_child(disk, "mirror"), *job, *layer;
        g_autofree char *base = NULL;

        if (!xml_is(disk, "disk") || !xml_child(disk, "driver") || !xml_child(disk, "source"))
                return false;
        job = find_job(status, disk);
        if (mirror ? !attribute_is(mirror, "job", ACTIVE_COMMIT) && !attribute_is(mirror, "job", "")
                   : !job)
                return false;
        base = job ? xml_attribute(xml_child(job, "base"), "node")
                   : node_of_source(xml_child(mirror, "source"), NODE_FORMAT);
        layer = find_layer(disk, base);
        *ret = (LostJob){disk, mirror, job, layer};
        return layer && xml_child(layer, "format");
}

/* *ret_changed is left alone if it is noted as it should be. */
static void note_mirror(const LostJob *lost, bool *ret_changed) {
        g_autofree char *type = xml_attribute(lost->layer, "type"),
                        *index = xml_attribute(lost->layer, "index");
        xmlNode *mirror, *source;

        if (lost->mirror && attribute_is(lost->mirror, "job", ACTIVE_COMMIT))
                return;
        *ret_changed = true;
        if (lost->mirror) {
                xmlSetProp(lost->mirror, UTF8("job"), UTF8(ACTIVE_COMMIT));
                return;
        }
        mirror = xmlNewChild(lost->disk, NULL, UTF8("mirror"), NULL);
        xmlSetProp(mirror, UTF8("type"), UTF8(type));
        xmlSetProp(mirror, UTF8("job"), UTF8(ACTIVE_COMMIT));
        xmlAddChild(mirror, xmlCopyNode(xml_child(lost->layer, "format"), 1));
        source = xmlAddChild(mirror, xmlCopyNode(xml_child(lost->layer, "source"), 1));
        if (index)
                xmlSetProp(source, UTF8("index"), UTF8(index));
}

/* The layer is the disk from now on. */
static void lower(xmlNode *disk, xmlNode *layer) {
        g_autofree char *type = xml_attribute(layer, "type"),
                        *index = xml_attribute(layer, "index"),
                        *format = xml_attribute(xml_child(layer, "format"), "type");
        xmlNode *source = xml_child(layer, "source"), *below = xml_child(layer, "backingStore");
        xmlNode *above = xml_child(disk, "backingStore");

        xmlSetProp(disk, UTF8("type"), UTF8(type));
        xmlSetProp(xml_child(disk, "driver"), UTF8("type"), UTF8(format));
        if (index)
                xmlSetProp(source, UTF8("index"), UTF8(index));
        xmlFreeNode(xmlReplaceNode(xml_child(disk, "source"), source));
        if (below)
                xmlAddNextSibling(above, below);
        drop(above);
}

/* What libvirt would have had closed. That QEMU does not know it, because it was, is no error; one
 * that stays open would be in the way of the next overlay. */
static void close_image(QemuMonitor *monitor, const xmlNode *source) {
        static const char *const types[] = {NODE_FORMAT, NODE_STORAGE};

        for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autofree char *node = node_of_source(source, types[i]);

                if (node)
                        (void) qemu_monitor_tell(monitor, "blockdev-del", "node-name", node, NULL);
        }
}

/* The list of what was written to the new image at the end has served, too. */
static void tidy(QemuMonitor *monitor, const LostJob *lost) {
        g_autofree char *base = node_of_source(xml_child(lost->layer, "source"), NODE_FORMAT);

        for (const xmlNode *image = lost->disk; image != lost->layer;
                        image = xml_child(image, "backingStore"))
                close_image(monitor, xml_child(image, "source"));
        (void) qemu_monitor_tell(monitor, "block-dirty-bitmap-remove", "node", base, "name",
                        "libvirt-tmp-activewrite", NULL);
}

/* Whether QEMU names a thing so in the answer: a list of objects with this member, or with an
 * object "inside" that has it. */
static bool names(JsonNode *answer, const char *inside, const char *member, const char *wanted) {
        JsonArray *all = JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;

        for (unsigned i = 0; all && i < json_array_get_length(all); i++) {
                JsonNode *element = json_array_get_element(all, i);
                JsonObject *object = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element)
                                                                     : NULL;

                if (object && inside)
                        object = json_object_has_member(object, inside)
                                                 ? json_object_get_object_member(object, inside)
                                                 : NULL;
                if (object && json_object_has_member(object, member) &&
                                g_strcmp0(json_object_get_string_member(object, member), wanted) ==
                                                0)
                        return true;
        }
        return false;
}

/* 1: QEMU has gone over to the layer. 0: it has not. -1: it says neither. */
static int ask_where(JsonNode *blocks, const LostJob *lost) {
        g_autofree char *base = node_of_source(xml_child(lost->layer, "source"), NODE_FORMAT),
                        *top = node_of_source(xml_child(lost->disk, "source"), NODE_FORMAT);

        if (names(blocks, "inserted", "node-name", base))
                return 1;
        return names(blocks, "inserted", "node-name", top) ? 0 : -1;
}

static bool settle_job(
                QemuMonitor *monitor, const LostJob *lost, bool *ret_changed, GError **error) {
        g_autofree char *name = xml_attribute(lost->job, "name");
        g_autoptr(JsonNode) jobs = qemu_monitor_ask(monitor, "query-jobs", error);
        g_autoptr(JsonNode) blocks = NULL;
        int r;

        if (!jobs)
                return false;
        if (name && names(jobs, NULL, "id", name)) {
                note_mirror(lost, ret_changed);
                return true;
        }
        blocks = qemu_monitor_ask(monitor, "query-block", error);
        if (!blocks)
                return false;
        r = ask_where(blocks, lost);
        if (r < 0) {
                note_mirror(lost, ret_changed);
                return true;
        }
        if (r > 0) {
                tidy(monitor, lost);
                lower(lost->disk, lost->layer);
        }
        if (lost->mirror)
                drop(lost->mirror);
        if (lost->job)
                drop(lost->job);
        *ret_changed = true;
        return true;
}

static bool settle_disks(xmlNode *status, bool *ret_changed, GError **error) {
        xmlNode *devices = xml_child(xml_child(status, "domain"), "devices");
        g_autofree char *path = xml_attribute(xml_child(status, "monitor"), "path");
        g_autoptr(QemuMonitor) monitor = NULL;

        for (xmlNode *disk = devices ? devices->children : NULL; disk; disk = disk->next) {
                LostJob lost;

                if (!find_commit(status, disk, &lost))
                        continue;
                if (!monitor)
                        monitor = qemu_monitor_new(path ?: "", error);
                if (!monitor || !settle_job(monitor, &lost, ret_changed, error))
                        return false;
        }
        return true;
}

static bool settle_guest(int directory, const char *file, const char *text, GError **error) {
        g_autoptr(xmlDoc) document = xml_parse(text);
        xmlNode *status = document ? xmlDocGetRootElement(document) : NULL;
        bool changed = false, ok = !status || settle_disks(status, &changed, error);
        xmlChar *new = NULL;
        int size;

        if (!changed)
                return ok;
        /* Also what could be settled before something else could not. */
        xmlDocDumpMemory(document, &new, &size);
        ok = fs_replace(directory, file, (const char *) new, true, ok ? error : NULL) && ok;
        xmlFree(new);
        return ok;
}

/* libvirt holds the lock of this file while it embeds QEMU in the directory. */
static bool is_embedded_elsewhere(int directory) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
        int fd = openat(directory, "driver.pid", O_RDONLY | O_CLOEXEC);
        bool held = fd >= 0 && (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK);

        if (fd >= 0)
                (void) close(fd);
        return held;
}

static void settle_all(const char *path, int directory) {
        g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
        const char *file;

        while (entries && (file = g_dir_read_name(entries))) {
                g_autoptr(GError) error = NULL;
                g_autofree char *name = g_build_filename(path, file, NULL), *text = NULL;

                if (!g_str_has_suffix(file, ".xml") ||
                                !g_file_get_contents(name, &text, NULL, NULL) ||
                                (!strstr(text, "<mirror") && !strstr(text, ACTIVE_COMMIT)))
                        continue;
                if (!settle_guest(directory, file, text, &error))
                        log_warning("What QEMU does with the disks of '%.*s' is not known: %s",
                                        (int) (strlen(file) - strlen(".xml")), file,
                                        error->message);
        }
}

void lost_jobs_settle(const char *uri) {
        g_auto(Layout) layout = {0};
        int directory;

        layout_of_uri(uri, &layout);
        directory = layout.root ? open(layout.run, O_DIRECTORY | O_RDONLY | O_CLOEXEC) : -1;
        if (directory < 0)
                return;
        if (!is_embedded_elsewhere(directory))
                settle_all(layout.run, directory);
        (void) close(directory);
}

/* QEMU has a job that is not noted on the disk, or the disk is noted to have one and QEMU has none.
 */
static bool is_lost(virDomainPtr domain, const xmlNode *disk, const char *target) {
        virDomainBlockJobInfo info;
        int r = virDomainGetBlockJobInfo(domain, target, &info, 0);

        if (xml_child(disk, "mirror"))
                return r == 0;
        return r == 1 && info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT;
}

/* The first such disk ("wanted": only this one); NULL: there is none. */
static char *find_lost(virDomainPtr domain, const char *wanted) {
        char *text = virDomainGetXMLDesc(domain, 0);
        g_autoptr(xmlDoc) document = text ? xml_parse(text) : NULL;
        xmlNode *devices = xml_child(document ? xmlDocGetRootElement(document) : NULL, "devices");

        free(text);
        for (xmlNode *disk = devices ? devices->children : NULL; disk; disk = disk->next) {
                g_autofree char *target =
                                xml_is(disk, "disk")
                                                ? xml_attribute(xml_child(disk, "target"), "dev")
                                                : NULL;

                if (target && (!wanted || g_str_equal(target, wanted)) &&
                                is_lost(domain, disk, target))
                        return g_steal_pointer(&target);
        }
        return NULL;
}

bool lost_jobs_check(virDomainPtr domain, GError **error) {
        g_autofree char *target = virDomainIsActive(domain) == 1 ? find_lost(domain, NULL) : NULL;

        if (!target)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                        "libvirt does not know any more which image disk %s of '%s' is; turn the "
                        "machine off",
                        target, virDomainGetName(domain));
        return false;
}

bool lost_jobs_has_left(virDomainPtr domain, const char *target, const char *below) {
        g_autofree char *lost = find_lost(domain, target);
        g_autoptr(JsonNode) answer = NULL;
        char *text = NULL;

        /* libvirt notes that somebody spoke with QEMU beside it ("tainted"), so only if need be. */
        if (!lost || virDomainQemuMonitorCommand(
                                     domain, "{\"execute\": \"query-block\"}", &text, 0) < 0)
                return false;
        answer = json_from_string(text, NULL);
        free(text);
        return answer && JSON_NODE_HOLDS_OBJECT(answer) &&
               json_object_has_member(json_node_get_object(answer), "return") &&
               names(json_object_get_member(json_node_get_object(answer), "return"), "inserted",
                               "file", below);
}
