/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*     <undo machine="…" undoable="yes" action="keep" step="merging">
 *       <disk target="vda" overlay="…" base="…" format="qcow2" written="…"/>
 *     </undo>
 *
 * Nobody tells us when a machine has run while we did not, so each overlay is noted with the time
 * at which it was last written to: a later one means that there is an UndoAction to be applied.
 *
 * Who copies a machine (virt-clone) copies its metadata as well. The undo disks that are noted
 * there are not the copy's, hence the UUID. */

#include "backend/undo-note.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/backend-error.h"
#include "backend/xml.h"
#include "util/error.h"

#define PREFIX     "virtask-undo"
#define UTF8(text) ((const xmlChar *) (text))

static const char *const action_names[UNDO_ACTION_COUNT] = {"discard", "keep", "commit"};
static const char *const step_names[UNDO_STEP_COUNT] = {"", "preparing", "discarding", "merging"};

static void disk_free(void *data) {
        UndoDisk *disk = data;

        g_free(disk->target);
        g_free(disk->overlay);
        g_free(disk->base);
        g_free(disk->base_format);
        g_free(disk);
}

static UndoNote *note_new(const char *machine) {
        UndoNote *note = g_new0(UndoNote, 1);

        note->machine = g_strdup(machine);
        note->action = UNDO_ACTION_KEEP;
        note->disks = g_ptr_array_new_with_free_func(disk_free);
        return note;
}

UndoNote *undo_note_free(UndoNote *note) {
        if (!note)
                return NULL;
        g_ptr_array_unref(note->disks);
        g_free(note->machine);
        g_free(note);
        return NULL;
}

void undo_note_add(UndoNote *note,
                const char *target,
                const char *overlay,
                const char *base,
                const char *base_format) {
        UndoDisk *disk = g_new0(UndoDisk, 1);

        disk->target = g_strdup(target);
        disk->overlay = g_strdup(overlay);
        disk->base = g_strdup(base);
        disk->base_format = g_strdup(base_format);
        g_ptr_array_add(note->disks, disk);
}

/* Reading */

static unsigned read_name(const xmlNode *node,
                const char *name,
                const char *const *names,
                unsigned count,
                unsigned otherwise) {
        g_autofree char *text = xml_attribute(node, name);

        for (unsigned i = 0; text && i < count; i++)
                if (g_str_equal(text, names[i]))
                        return i;
        return otherwise;
}

static void read_disk(UndoNote *note, const xmlNode *node) {
        g_autofree char *target = xml_attribute(node, "target");
        g_autofree char *overlay = xml_attribute(node, "overlay");
        g_autofree char *base = xml_attribute(node, "base");
        g_autofree char *format = xml_attribute(node, "format");
        g_autofree char *written = xml_attribute(node, "written");
        UndoDisk *disk;

        if (!target || !overlay || !base || !format)
                return;
        undo_note_add(note, target, overlay, base, format);
        disk = note->disks->pdata[note->disks->len - 1];
        disk->written = written ? g_ascii_strtoll(written, NULL, 10) : 0;
}

static UndoNote *from_xml(const char *text, const char *uuid) {
        UndoNote *note = note_new(uuid);
        g_autoptr(xmlDoc) document = text ? xml_parse(text) : NULL;
        const xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        g_autofree char *machine = xml_attribute(root, "machine");
        g_autofree char *undoable = xml_attribute(root, "undoable");

        if (g_strcmp0(machine, uuid) != 0)
                return note;
        note->undoable = g_strcmp0(undoable, "yes") == 0;
        note->action = read_name(root, "action", action_names, UNDO_ACTION_COUNT, UNDO_ACTION_KEEP);
        note->step = read_name(root, "step", step_names, UNDO_STEP_COUNT, UNDO_STEP_NONE);
        for (const xmlNode *node = root->children; node; node = node->next)
                if (xml_is(node, "disk"))
                        read_disk(note, node);
        return note;
}

/* A transient machine has no stored definition, and a driver may have no notes. */
static bool has_none(void) {
        int code = virGetLastErrorCode();

        return code == VIR_ERR_NO_DOMAIN_METADATA || code == VIR_ERR_OPERATION_INVALID ||
               code == VIR_ERR_NO_SUPPORT;
}

UndoNote *undo_note_read(virDomainPtr domain, GError **error) {
        char *text = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, UNDO_NOTE_NAMESPACE,
                        VIR_DOMAIN_AFFECT_CONFIG);
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        UndoNote *note;

        if (!text && !has_none()) {
                backend_error_set(error, "Failed to read what is noted of the undo disks of '%s'",
                                virDomainGetName(domain));
                return NULL;
        }
        (void) virDomainGetUUIDString(domain, uuid);
        note = from_xml(text, uuid);
        free(text);
        return note;
}

/* Writing */

static void set(xmlNode *node, const char *name, const char *value) {
        (void) xmlNewProp(node, UTF8(name), UTF8(value));
}

static void add_disk(xmlNode *root, const UndoDisk *disk) {
        xmlNode *node = xmlNewChild(root, root->ns, UTF8("disk"), NULL);
        g_autofree char *written = g_strdup_printf("%" G_GINT64_FORMAT, disk->written);

        set(node, "target", disk->target);
        set(node, "overlay", disk->overlay);
        set(node, "base", disk->base);
        set(node, "format", disk->base_format);
        set(node, "written", written);
}

static bool says_something(const UndoNote *note) {
        return note->undoable || note->action != UNDO_ACTION_KEEP || note->disks->len > 0;
}

static void fill(xmlNode *root, const UndoNote *note) {
        set(root, "machine", note->machine);
        set(root, "undoable", note->undoable ? "yes" : "no");
        set(root, "action", action_names[note->action]);
        if (note->step != UNDO_STEP_NONE)
                set(root, "step", step_names[note->step]);
        for (unsigned i = 0; i < note->disks->len; i++)
                add_disk(root, note->disks->pdata[i]);
}

bool undo_note_write(virDomainPtr domain, const UndoNote *note, GError **error) {
        g_autoptr(xmlDoc) document = xmlNewDoc(UTF8("1.0"));
        xmlNode *root = xmlNewDocNode(document, NULL, UTF8("undo"), NULL);
        g_autofree char *text = NULL;

        (void) xmlDocSetRootElement(document, root);
        fill(root, note);
        text = says_something(note) ? xml_to_text(document) : NULL;
        if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT,
                            text ? strstr(text, "<undo") : NULL, PREFIX, UNDO_NOTE_NAMESPACE,
                            VIR_DOMAIN_AFFECT_CONFIG) == 0)
                return true;
        backend_error_set(error, "Failed to note something of the undo disks of '%s'",
                        virDomainGetName(domain));
        return false;
}

static void remove_old(xmlNode *metadata) {
        for (xmlNode *node = metadata->children, *next; node; node = next) {
                next = node->next;
                if (!node->ns || !xmlStrEqual(node->ns->href, UTF8(UNDO_NOTE_NAMESPACE)))
                        continue;
                xmlUnlinkNode(node);
                xmlFreeNode(node);
        }
}

char *undo_note_into(const char *definition, const UndoNote *note, GError **error) {
        g_autoptr(xmlDoc) document = xml_parse(definition);
        xmlNode *domain = document ? xmlDocGetRootElement(document) : NULL, *metadata, *root;

        if (!domain) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                "The definition can not be read");
                return NULL;
        }
        metadata = xml_child(domain, "metadata");
        if (metadata)
                remove_old(metadata);
        else
                metadata = xmlNewChild(domain, NULL, UTF8("metadata"), NULL);
        if (says_something(note)) {
                root = xmlNewChild(metadata, NULL, UTF8("undo"), NULL);
                xmlSetNs(root, xmlNewNs(root, UTF8(UNDO_NOTE_NAMESPACE), UTF8(PREFIX)));
                fill(root, note);
        }
        return xml_to_text(document);
}

/* The overlays */

int64_t undo_note_last_write(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return 0;
        return (int64_t) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

bool undo_note_is_pending(const UndoNote *note) {
        if (!note->undoable)
                return note->disks->len > 0;
        if (note->step == UNDO_STEP_PREPARING || note->step == UNDO_STEP_DISCARDING)
                return true;
        for (unsigned i = 0; note->action != UNDO_ACTION_KEEP && i < note->disks->len; i++) {
                const UndoDisk *disk = note->disks->pdata[i];
                int64_t written = undo_note_last_write(disk->overlay);

                if (written && written != disk->written)
                        return true;
        }
        return false;
}

void undo_note_settle(UndoNote *note) {
        for (unsigned i = 0; i < note->disks->len; i++) {
                UndoDisk *disk = note->disks->pdata[i];

                disk->written = undo_note_last_write(disk->overlay);
        }
}
