/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt notes in a file what it knows of a running guest, and what QEMU does and the note of it
 * are two steps. Whoever dies in between leaves a note that is wrong (libvirt 9.0):
 *
 * - The start: with the first warning about the guest, if there is one (qemuDomainObjTaint(); QEMU
 *   run by root is one), it is noted to be running, with the process 0. QEMU begins after that.
 *   Read again, that is a guest nobody can end or start, since the start is still noted as going on
 *   (qemuProcessReconnectHelper()).
 * - A snapshot: QEMU has gone over to the overlays, and libvirt notes the disks as they were
 *   (qemuSnapshotDiskCreate()). An overlay looks like a file that nobody needs.
 * - The begin of an active commit, which ends with the guest in the image below: the job is noted,
 *   QEMU begins, then it is noted that the disk has one (<mirror>). To end a job without a mirror
 *   kills libvirt, and us with it (qemuBlockJobProcessEventFailedActiveCommit()).
 * - Its end: libvirt dismisses QEMU's job, then notes the disk with <mirror job=''>, and at last
 *   the image that QEMU has gone over to (qemuBlockJobEventProcessConcluded()). job='' it does not
 *   read, and does not know a guest any more that runs; with a mirror without a job the guest goes
 *   on in an image that libvirt does not know of, and the next start begins with what it had left.
 *
 * A libvirtd is not ours to mend (backend/guest-disks.c). Of embedded QEMU the note is in our own
 * directory, and as long as libvirt has not read it, QEMU may be asked: the disk is noted to be
 * what QEMU has open, as libvirt would have done. What else belongs to that (the definition for the
 * next start, the image that is not needed any more) follows when the task is settled. */

#include "backend/guest-notes.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "backend/layout.h"
#include "backend/qemu-monitor.h"
#include "backend/xml.h"
#include "util/fs.h"
#include "util/log.h"

#define UTF8(text)    ((const xmlChar *) (text))
#define ACTIVE_COMMIT "active-commit"
#define NODE_FORMAT   "format"
#define NODE_STORAGE  "storage"    /* the file below it */
#define NO_PROCESS    "2147483647" /* Linux counts to 4,194,304 */

/* The note of one guest. */
typedef struct Note {
        xmlNode *status;
        QemuMonitor *monitor;
        bool changed;
} Note;

/* A disk with an active commit. */
typedef struct LostJob {
        xmlNode *disk;
        xmlNode *mirror; /* NULL: not noted yet */
        xmlNode *job;    /* NULL: not noted any more */
        xmlNode *layer;  /* the image below that it is to go over to; NULL: it is noted to have */
} LostJob;

static bool attribute_is(const xmlNode *node, const char *name, const char *wanted) {
        g_autofree char *value = xml_attribute(node, name);

        return g_strcmp0(value, wanted) == 0;
}

static void set(xmlNode *node, const char *name, const char *value) {
        if (value)
                xmlSetProp(node, UTF8(name), UTF8(value));
}

static void drop(xmlNode *node) {
        if (!node)
                return;
        xmlUnlinkNode(node);
        xmlFreeNode(node);
}

static xmlNode *first_disk(const Note *note) {
        xmlNode *devices = xml_child(xml_child(note->status, "domain"), "devices");

        return devices ? devices->children : NULL;
}

static bool is_whole(const xmlNode *disk) {
        return xml_is(disk, "disk") && xml_child(disk, "driver") && xml_child(disk, "source");
}

/* QEMU's name of the image that a disk or a layer is, or of the file. */
static char *node_of(const xmlNode *image, const char *type) {
        xmlNode *names = xml_child(
                        xml_child(xml_child(image, "source"), "privateData"), "nodenames");

        for (xmlNode *name = names ? names->children : NULL; name; name = name->next)
                if (xml_is(name, "nodename") && attribute_is(name, "type", type))
                        return xml_attribute(name, "name");
        return NULL;
}

/* Active commits */

static xmlNode *find_job(const Note *note, const xmlNode *disk) {
        g_autofree char *target = xml_attribute(xml_child(disk, "target"), "dev");
        xmlNode *jobs = xml_child(note->status, "blockjobs");

        for (xmlNode *job = jobs ? jobs->children : NULL; job; job = job->next)
                if (xml_is(job, "blockjob") && attribute_is(job, "type", ACTIVE_COMMIT) &&
                                attribute_is(xml_child(job, "disk"), "dst", target))
                        return job;
        return NULL;
}

/* The image of this name below the disk. */
static xmlNode *find_layer(const xmlNode *disk, const char *wanted) {
        for (xmlNode *layer = xml_child(disk, "backingStore"); layer;
                        layer = xml_child(layer, "backingStore")) {
                g_autofree char *node = node_of(layer, NODE_FORMAT);

                if (node && g_strcmp0(node, wanted) == 0)
                        return xml_child(layer, "format") ? layer : NULL;
        }
        return NULL;
}

static bool find_commit(const Note *note, xmlNode *disk, LostJob *ret) {
        xmlNode *mirror = xml_child(disk, "mirror"), *job, *layer;
        g_autofree char *base = NULL, *now = NULL;

        if (!is_whole(disk))
                return false;
        job = find_job(note, disk);
        if (mirror ? !attribute_is(mirror, "job", ACTIVE_COMMIT) && !attribute_is(mirror, "job", "")
                   : !job)
                return false;
        base = job ? xml_attribute(xml_child(job, "base"), "node") : node_of(mirror, NODE_FORMAT);
        now = node_of(disk, NODE_FORMAT);
        layer = find_layer(disk, base);
        *ret = (LostJob){disk, mirror, job, layer};
        return layer || (base && g_strcmp0(base, now) == 0);
}

/* That there is one, in words that libvirt reads. */
static void note_mirror(Note *note, const LostJob *lost) {
        g_autofree char *type = NULL, *index = NULL;
        xmlNode *mirror, *source;

        if (lost->mirror && attribute_is(lost->mirror, "job", ACTIVE_COMMIT))
                return;
        note->changed = true;
        if (lost->mirror) {
                set(lost->mirror, "job", ACTIVE_COMMIT);
                return;
        }
        type = xml_attribute(lost->layer, "type");
        index = xml_attribute(lost->layer, "index");
        mirror = xmlNewChild(lost->disk, NULL, UTF8("mirror"), NULL);
        set(mirror, "type", type);
        set(mirror, "job", ACTIVE_COMMIT);
        xmlAddChild(mirror, xmlCopyNode(xml_child(lost->layer, "format"), 1));
        source = xmlAddChild(mirror, xmlCopyNode(xml_child(lost->layer, "source"), 1));
        set(source, "index", index);
}

static void note_end(Note *note, const LostJob *lost) {
        drop(lost->mirror);
        drop(lost->job);
        note->changed = true;
}

/* The layer is the disk from now on. */
static void lower(xmlNode *disk, xmlNode *layer) {
        xmlNode *above = xml_child(disk, "backingStore"), *old = xml_child(disk, "source");
        xmlNode *source = xml_child(layer, "source"), *below = xml_child(layer, "backingStore");
        g_autofree char *type = xml_attribute(layer, "type"),
                        *index = xml_attribute(layer, "index"),
                        *format = xml_attribute(xml_child(layer, "format"), "type"),
                        *policy = xml_attribute(old, "startupPolicy");

        set(disk, "type", type);
        set(xml_child(disk, "driver"), "type", format);
        set(source, "index", index);
        set(source, "startupPolicy", policy);
        xmlFreeNode(xmlReplaceNode(old, source));
        if (below)
                xmlAddNextSibling(above, below);
        drop(above);
}

/* What libvirt would have had closed. That QEMU does not know it, because it was, is no error; one
 * that stays open would be in the way of the next overlay. */
static void close_image(QemuMonitor *monitor, const xmlNode *image) {
        static const char *const types[] = {NODE_FORMAT, NODE_STORAGE};

        for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autofree char *node = node_of(image, types[i]);

                if (node)
                        (void) qemu_monitor_tell(monitor, "blockdev-del", "node-name", node, NULL);
        }
}

/* The list of what was written to the new image at the end has served, too. */
static void tidy(QemuMonitor *monitor, const LostJob *lost) {
        g_autofree char *base = node_of(lost->layer, NODE_FORMAT);

        for (const xmlNode *image = lost->disk; image != lost->layer;
                        image = xml_child(image, "backingStore"))
                close_image(monitor, image);
        (void) qemu_monitor_tell(monitor, "block-dirty-bitmap-remove", "node", base, "name",
                        "libvirt-tmp-activewrite", NULL);
}

/* QEMU's name of the job; libvirt makes it of these. */
static char *name_of_job(const LostJob *lost) {
        g_autofree char *target = xml_attribute(xml_child(lost->disk, "target"), "dev"),
                        *top = node_of(lost->disk, NODE_FORMAT);

        return lost->job ? xml_attribute(lost->job, "name")
                         : g_strdup_printf("commit-%s-%s", target, top);
}

static bool settle_job(Note *note, const LostJob *lost, GError **error) {
        g_autofree char *name = name_of_job(lost), *base = node_of(lost->layer, NODE_FORMAT),
                        *top = node_of(lost->disk, NODE_FORMAT);
        g_autoptr(JsonNode) jobs = qemu_monitor_ask(note->monitor, "query-jobs", error);
        g_autoptr(JsonNode) blocks = NULL;

        if (!jobs)
                return false;
        if (qemu_answer_has(jobs, NULL, "id", name)) {
                note_mirror(note, lost);
                return true;
        }
        if (!lost->mirror) { /* it has never begun */
                note_end(note, lost);
                return true;
        }
        blocks = qemu_monitor_ask(note->monitor, "query-block", error);
        if (!blocks)
                return false;
        if (qemu_answer_has(blocks, "inserted", "node-name", base)) {
                tidy(note->monitor, lost);
                lower(lost->disk, lost->layer);
                note_end(note, lost);
        } else if (qemu_answer_has(blocks, "inserted", "node-name", top))
                note_end(note, lost);
        else /* something lies above both */
                note_mirror(note, lost);
        return true;
}

static bool settle_jobs(Note *note, GError **error) {
        bool ok = true;

        for (xmlNode *disk = first_disk(note); disk; disk = disk->next) {
                LostJob lost;

                if (!find_commit(note, disk, &lost))
                        continue;
                if (!lost.layer) {
                        note_end(note, &lost);
                        continue;
                }
                if (note->monitor && settle_job(note, &lost, ok ? error : NULL))
                        continue;
                ok = false;
                /* Whatever QEMU does: libvirt shall read it. */
                if (lost.mirror)
                        note_mirror(note, &lost);
        }
        return ok;
}

/* Snapshots */

static xmlNode *find_disk_of(const Note *note, const char *path) {
        for (xmlNode *disk = first_disk(note); disk; disk = disk->next)
                if (is_whole(disk) && (attribute_is(xml_child(disk, "source"), "file", path) ||
                                                      attribute_is(xml_child(disk, "source"), "dev",
                                                                      path)))
                        return disk;
        return NULL;
}

static xmlNode *new_source(const char *path, unsigned number) {
        xmlNode *source = xmlNewNode(NULL, UTF8("source")), *names;
        g_autofree char *index = g_strdup_printf("%u", number);
        static const char *const types[] = {NODE_STORAGE, NODE_FORMAT};

        set(source, "file", path);
        set(source, "index", index);
        names = xmlNewChild(xmlNewChild(source, NULL, UTF8("privateData"), NULL), NULL,
                        UTF8("nodenames"), NULL);
        for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
                xmlNode *name = xmlNewChild(names, NULL, UTF8("nodename"), NULL);
                g_autofree char *node = g_strdup_printf("libvirt-%u-%s", number, types[i]);

                set(name, "type", types[i]);
                set(name, "name", node);
        }
        return source;
}

/* The disk is the overlay from now on, on top of what it was. */
static void put_above(xmlNode *disk, const char *path, const char *form, unsigned number) {
        xmlNode *old = xml_child(disk, "source"), *below = xml_child(disk, "backingStore");
        xmlNode *layer = xmlNewNode(NULL, UTF8("backingStore"));
        xmlNode *format = xmlNewChild(layer, NULL, UTF8("format"), NULL);
        g_autofree char *type = xml_attribute(disk, "type"), *index = xml_attribute(old, "index"),
                        *old_format = xml_attribute(xml_child(disk, "driver"), "type");

        set(layer, "type", type);
        set(layer, "index", index);
        set(format, "type", old_format);
        xmlReplaceNode(old, new_source(path, number));
        (void) xmlUnsetProp(old, UTF8("index"));
        xmlAddChild(layer, old);
        if (below) {
                xmlReplaceNode(below, layer);
                xmlAddChild(layer, below);
        } else
                xmlAddNextSibling(xml_child(disk, "source"), layer);
        set(disk, "type", "file");
        set(xml_child(disk, "driver"), "type", form);
}

/* libvirt counts up the names that it gives to nodes. */
static void note_number(const Note *note, unsigned number) {
        xmlNode *counter = xml_child(note->status, "nodename");
        g_autofree char *old = xml_attribute(counter, "index"),
                        *new = g_strdup_printf("%u", number);

        if (counter && (!old || g_ascii_strtoull(old, NULL, 10) < number))
                set(counter, "index", new);
}

/* What the guest writes to, if libvirt does not know it: an overlay of one of the disks. */
static void settle_overlay(Note *note, JsonObject *inserted, JsonNode *nodes) {
        JsonNode *image = json_object_get_member(inserted, "image");
        JsonObject *header =
                        image && JSON_NODE_HOLDS_OBJECT(image) ? json_node_get_object(image) : NULL;
        const char *below = qemu_answer_text(header, "full-backing-filename")
                                            ?: qemu_answer_text(header, "backing-filename");
        const char *form = qemu_answer_text(inserted, "drv");
        xmlNode *disk = below ? find_disk_of(note, below) : NULL;
        unsigned number = 0;
        const char *path =
                        qemu_answer_file(nodes, qemu_answer_text(inserted, "node-name"), &number);

        if (!disk || !path || !form)
                return;
        put_above(disk, path, form, number);
        note_number(note, number);
        note->changed = true;
}

static bool settle_overlays(Note *note, GError **error) {
        g_autoptr(JsonNode) blocks =
                        note->monitor ? qemu_monitor_ask(note->monitor, "query-block", error)
                                      : NULL;
        g_autoptr(JsonNode) nodes =
                        blocks ? qemu_monitor_ask(note->monitor, "query-named-block-nodes", error)
                               : NULL;
        g_autoptr(GPtrArray) inserted = NULL;

        if (!nodes)
                return false;
        inserted = qemu_answer_objects(blocks, "inserted");
        for (unsigned i = 0; i < inserted->len; i++)
                settle_overlay(note, inserted->pdata[i], nodes);
        return true;
}

/* All of them */

/* As libvirt writes it, and as we do. */
static bool was_taking_snapshot(const char *text) {
        return strstr(text, "async='snapshot'") || strstr(text, "async=\"snapshot\"");
}

static bool settle_disks(Note *note, const char *text, GError **error) {
        g_autofree char *path = xml_attribute(xml_child(note->status, "monitor"), "path");
        g_autoptr(QemuMonitor) monitor = path ? qemu_monitor_new(path, error) : NULL;
        bool ok;

        if (!path)
                return true;
        note->monitor = monitor;
        ok = (!was_taking_snapshot(text) || settle_overlays(note, monitor ? error : NULL)) &&
             settle_jobs(note, monitor ? error : NULL);
        note->monitor = NULL;
        if (ok) /* there was nothing to ask */
                g_clear_error(error);
        return ok;
}

/* A process that has ended is what libvirt can deal with: it tidies up after the guest, and
 * whatever was started along with it. */
static void settle_start(Note *note) {
        set(note->status, "pid", NO_PROCESS);
        note->changed = true;
}

static bool settle_guest(int directory, const char *file, const char *text, GError **error) {
        g_autoptr(xmlDoc) document = xml_parse(text);
        Note note = {.status = document ? xmlDocGetRootElement(document) : NULL};
        g_autofree char *new = NULL;
        bool ok = true;

        if (!note.status)
                return true;
        if (attribute_is(note.status, "pid", "0"))
                settle_start(&note);
        else
                ok = settle_disks(&note, text, error);
        if (!note.changed)
                return ok;
        new = xml_to_text(document);
        return fs_replace(directory, file, new, true, ok ? error : NULL) && ok;
}

static bool may_be_wrong(const char *text) {
        return strstr(text, "pid='0'") || strstr(text, "<mirror") || strstr(text, ACTIVE_COMMIT) ||
               was_taking_snapshot(text);
}

static void settle_all(const char *path, int directory) {
        g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
        const char *file;

        while (entries && (file = g_dir_read_name(entries))) {
                g_autoptr(GError) error = NULL;
                g_autofree char *name = g_build_filename(path, file, NULL), *text = NULL;

                if (!g_str_has_suffix(file, ".xml") ||
                                !g_file_get_contents(name, &text, NULL, NULL) ||
                                !may_be_wrong(text))
                        continue;
                if (!settle_guest(directory, file, text, &error))
                        log_warning("What QEMU does with '%.*s' is not known: %s",
                                        (int) (strlen(file) - strlen(".xml")), file,
                                        error->message);
        }
}

/* libvirt holds the lock of this file while it embeds QEMU in the directory. Held until the
 * descriptor is closed; -1: it is embedded elsewhere. */
static int lock_out(int directory) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
        int fd = openat(directory, "driver.pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

        if (fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0)
                return fd;
        if (fd >= 0)
                (void) close(fd);
        return -1;
}

void guest_notes_mend(const char *uri) {
        g_auto(Layout) layout = {0};
        int directory, lock;

        layout_of_uri(uri, &layout);
        directory = layout.root ? open(layout.run, O_DIRECTORY | O_RDONLY | O_CLOEXEC) : -1;
        if (directory < 0)
                return;
        lock = lock_out(directory);
        if (lock >= 0) {
                settle_all(layout.run, directory);
                (void) close(lock);
        }
        (void) close(directory);
}
