/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*     <images> <hidden path="…"/> <made path="…"/> … </images>
 *
 * All notes are written at once, so they are never half of what they should be. */

#include "snapshot/image-notes.h"

#include <fcntl.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/backend-error.h"
#include "backend/xml.h"

#define PREFIX "virtask-images"

static const char *const elements[IMAGE_NOTE_COUNT] = {
                [IMAGE_HIDDEN] = "hidden",
                [IMAGE_MADE] = "made",
};

/* *ret is NULL without any notes. What can't be read must not be taken for none: it would be
 * written back so. */
static bool read_document(virDomainPtr domain, xmlDoc **ret, GError **error) {
        char *text = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT,
                        IMAGE_NOTES_NAMESPACE, VIR_DOMAIN_AFFECT_CONFIG);

        *ret = NULL;
        if (!text && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN_METADATA)
                return true;
        if (!text) {
                backend_error_set(error, "Failed to read which images '%s' has",
                                virDomainGetName(domain));
                return false;
        }
        *ret = xml_parse(text);
        free(text);
        return true;
}

static GHashTable *paths_of(xmlDoc *document, ImageNote note) {
        GHashTable *paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (xmlNode *node = document ? xmlDocGetRootElement(document)->children : NULL; node;
                        node = node->next) {
                char *path = xml_is(node, elements[note]) ? xml_attribute(node, "path") : NULL;

                if (path)
                        g_hash_table_add(paths, path);
        }
        return paths;
}

GHashTable *image_notes_read(virDomainPtr domain, ImageNote note, GError **error) {
        g_autoptr(xmlDoc) document = NULL;

        return read_document(domain, &document, error) ? paths_of(document, note) : NULL;
}

GHashTable *image_notes_made_with(const SnapshotDefinition *snapshot) {
        GHashTable *made = g_hash_table_new(g_str_hash, g_str_equal);
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, snapshot->overlays);
        while (g_hash_table_iter_next(&iter, &path, NULL)) {
                struct statx st;

                if (statx(AT_FDCWD, path, 0, STATX_BTIME, &st) == 0 &&
                                (st.stx_mask & STATX_BTIME) &&
                                st.stx_btime.tv_sec >= snapshot->created)
                        g_hash_table_add(made, path);
        }
        return made;
}

static void add_elements(xmlNode *root, ImageNote note, GHashTable *paths) {
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, paths);
        while (g_hash_table_iter_next(&iter, &path, NULL)) {
                xmlNode *node = xmlNewChild(root, NULL, (const xmlChar *) elements[note], NULL);

                xmlSetProp(node, (const xmlChar *) "path", path);
        }
}

/* NULL if there is nothing to say. */
static char *to_text(GHashTable *const *notes) {
        g_autoptr(xmlDoc) document = xmlNewDoc((const xmlChar *) "1.0");
        xmlNode *root = xmlNewNode(NULL, (const xmlChar *) "images");
        g_autofree char *text = NULL;

        xmlDocSetRootElement(document, root);
        for (ImageNote note = 0; note < IMAGE_NOTE_COUNT; note++)
                add_elements(root, note, notes[note]);
        if (!root->children)
                return NULL;
        text = xml_to_text(document);
        return g_strdup(strstr(text, "<images"));
}

static bool write_notes(virDomainPtr domain, GHashTable *const *notes, GError **error) {
        g_autofree char *text = to_text(notes);

        if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, text, PREFIX,
                            IMAGE_NOTES_NAMESPACE, VIR_DOMAIN_AFFECT_CONFIG) == 0)
                return true;
        backend_error_set(error, "Failed to note which images '%s' has", virDomainGetName(domain));
        return false;
}

/* Adds "paths", or takes the one that is not NULL off. */
static bool
change(virDomainPtr domain, ImageNote note, GHashTable *paths, const char *path, GError **error) {
        g_autoptr(xmlDoc) document = NULL;
        GHashTable *notes[IMAGE_NOTE_COUNT];
        bool changed = false, ok;
        GHashTableIter iter;
        void *other;

        if (!read_document(domain, &document, error))
                return false;
        for (ImageNote i = 0; i < IMAGE_NOTE_COUNT; i++)
                notes[i] = paths_of(document, i);
        if (path)
                changed = g_hash_table_remove(notes[note], path);
        else {
                g_hash_table_iter_init(&iter, paths);
                while (g_hash_table_iter_next(&iter, &other, NULL))
                        changed |= g_hash_table_add(notes[note], g_strdup(other));
        }
        ok = !changed || write_notes(domain, notes, error);
        for (ImageNote i = 0; i < IMAGE_NOTE_COUNT; i++)
                g_hash_table_unref(notes[i]);
        return ok;
}

bool image_notes_add(virDomainPtr domain, ImageNote note, GHashTable *paths, GError **error) {
        return change(domain, note, paths, NULL, error);
}

bool image_notes_drop(virDomainPtr domain, ImageNote note, const char *path, GError **error) {
        return change(domain, note, NULL, path, error);
}
