/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt keeps elements of others in the definition of a domain, one for each namespace:
 *
 *     <virtask:snapshots xmlns:virtask="https://virtask.org/snapshots/1">
 *       <virtask:snapshot id="s1" name="before the update" type="2" consistency="1">
 *         <virtask:notes>…</virtask:notes>
 *       </virtask:snapshot>
 *     </virtask:snapshots>
 *
 * (and hands it out without the prefixes). They are written as a whole: the machine is held by the
 * task that does it, so nobody else writes meanwhile.
 *
 * The definition that counts is the stored one. A running machine has a second one that goes when
 * it is turned off; it is changed too, because libvirt puts that one into saved states and
 * snapshots, from which it may come back. */

#include "backend/snapshot-metadata.h"

#include <libvirt/virterror.h>
#include <stdint.h>

#include "backend/backend-error.h"
#include "backend/xml.h"
#include "util/number.h"

#define PREFIX "virtask"

#define UTF8(text) ((const xmlChar *) (text))

static void entry_free(void *data) {
        SnapshotMetadata *entry = data;

        g_free(entry->id);
        g_free(entry->name);
        g_free(entry->notes);
        g_free(entry->collection);
        g_free(entry);
}

static SnapshotMetadata *entry_copy(const SnapshotMetadata *entry) {
        SnapshotMetadata *copy = g_memdup2(entry, sizeof(*entry));

        copy->id = g_strdup(entry->id);
        copy->name = g_strdup(entry->name);
        copy->notes = g_strdup(entry->notes);
        copy->collection = g_strdup(entry->collection);
        return copy;
}

static unsigned read_number(const xmlNode *node, const char *name) {
        g_autofree char *text = xml_attribute(node, name);
        uint64_t number = 0;

        if (text)
                (void) number_parse(text, 0, UINT16_MAX, &number);
        return (unsigned) number;
}

static GPtrArray *from_xml(const char *text) {
        GPtrArray *entries = g_ptr_array_new_with_free_func(entry_free);
        g_autoptr(xmlDoc) document = text ? xml_parse(text) : NULL;
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;

        for (xmlNode *node = root ? root->children : NULL; node; node = node->next) {
                g_autofree char *id = xml_is(node, "snapshot") ? xml_attribute(node, "id") : NULL;
                SnapshotMetadata *entry;

                if (!id || snapshot_metadata_find(entries, id))
                        continue;
                entry = g_new0(SnapshotMetadata, 1);
                entry->id = g_steal_pointer(&id);
                entry->name = xml_attribute(node, "name");
                entry->notes = xml_child_text(node, "notes");
                entry->collection = xml_attribute(node, "collection");
                entry->type = read_number(node, "type");
                entry->consistency = read_number(node, "consistency");
                g_ptr_array_add(entries, entry);
        }
        return entries;
}

static void add_text(xmlNode *node, const char *name, const char *text) {
        if (text)
                (void) xmlNewProp(node, UTF8(name), UTF8(text));
}

static void add_number(xmlNode *node, const char *name, unsigned number) {
        g_autofree char *text = number ? g_strdup_printf("%u", number) : NULL;

        add_text(node, name, text);
}

static void add_entry(xmlNode *root, const SnapshotMetadata *entry) {
        xmlNode *node = xmlNewChild(root, NULL, UTF8("snapshot"), NULL);

        add_text(node, "id", entry->id);
        add_text(node, "name", entry->name);
        add_number(node, "type", entry->type);
        add_number(node, "consistency", entry->consistency);
        add_text(node, "collection", entry->collection);
        if (entry->notes)
                (void) xmlNewTextChild(node, NULL, UTF8("notes"), UTF8(entry->notes));
}

static char *to_xml(const GPtrArray *entries) {
        g_autoptr(xmlDoc) document = xmlNewDoc(UTF8("1.0"));
        xmlNode *root = xmlNewDocNode(document, NULL, UTF8("snapshots"), NULL);
        xmlBuffer *buffer = xmlBufferCreate();
        char *text;

        (void) xmlDocSetRootElement(document, root);
        for (unsigned i = 0; i < entries->len; i++)
                add_entry(root, entries->pdata[i]);
        (void) xmlNodeDump(buffer, document, root, 0, 0);
        text = g_strdup((const char *) xmlBufferContent(buffer));
        xmlBufferFree(buffer);
        return text;
}

/* A transient machine has no definition but the one that it runs with. */
static unsigned stored_definition(virDomainPtr domain) {
        return virDomainIsPersistent(domain) == 1 ? VIR_DOMAIN_AFFECT_CONFIG
                                                  : VIR_DOMAIN_AFFECT_CURRENT;
}

static unsigned all_definitions(virDomainPtr domain) {
        return stored_definition(domain) |
               (virDomainIsActive(domain) == 1 ? VIR_DOMAIN_AFFECT_LIVE : 0);
}

/* Only what is known to be complete may be written back. */
GPtrArray *snapshot_metadata_read(virDomainPtr domain, GError **error) {
        char *text = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT,
                        SNAPSHOT_METADATA_NAMESPACE, stored_definition(domain));
        GPtrArray *entries;

        if (!text && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN_METADATA) {
                backend_error_set(error, "Failed to read what is noted of the snapshots of '%s'",
                                virDomainGetName(domain));
                return NULL;
        }
        entries = from_xml(text);
        free(text);
        return entries;
}

static bool store(virDomainPtr domain, const GPtrArray *entries, GError **error) {
        g_autofree char *text = entries->len > 0 ? to_xml(entries) : NULL;

        if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, text, PREFIX,
                            SNAPSHOT_METADATA_NAMESPACE, all_definitions(domain)) == 0)
                return true;
        backend_error_set(error, "Failed to note something of the snapshots of '%s'",
                        virDomainGetName(domain));
        return false;
}

static bool find_index(const GPtrArray *entries, const char *id, unsigned *ret) {
        for (unsigned i = 0; i < entries->len; i++) {
                const SnapshotMetadata *entry = entries->pdata[i];

                if (!g_str_equal(entry->id, id))
                        continue;
                *ret = i;
                return true;
        }
        return false;
}

SnapshotMetadata *snapshot_metadata_find(const GPtrArray *entries, const char *id) {
        unsigned i;

        return find_index(entries, id, &i) ? entries->pdata[i] : NULL;
}

bool snapshot_metadata_set(virDomainPtr domain, const SnapshotMetadata *entry, GError **error) {
        g_autoptr(GPtrArray) entries = snapshot_metadata_read(domain, error);
        unsigned i;

        if (!entries)
                return false;
        if (find_index(entries, entry->id, &i))
                (void) g_ptr_array_remove_index(entries, i);
        g_ptr_array_add(entries, entry_copy(entry));
        return store(domain, entries, error);
}

bool snapshot_metadata_remove(virDomainPtr domain, const char *id, GError **error) {
        g_autoptr(GPtrArray) entries = snapshot_metadata_read(domain, error);
        unsigned i;

        if (!entries)
                return false;
        if (!find_index(entries, id, &i))
                return true;
        (void) g_ptr_array_remove_index(entries, i);
        return store(domain, entries, error);
}
