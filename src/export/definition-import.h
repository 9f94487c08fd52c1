/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Definitions of a bundle become definitions of this host: another name and identifier, other
 * files, and of what the guest has only what is known (export/domain-rules.c). docs/decisions/0012
 * says what is left out and what is refused. Any thread. */

#include <glib.h>
#include <stdbool.h>

#define IMAGES_PREFIX "disks/" /* of the names of images in a bundle */

/* Whose definitions they are. All of them are read with the same one, so that they fit. */
typedef struct DefinitionImport {
        const char *name, *uuid; /* that the machine gets */
        bool new_identifier;     /* which is another one than it had */
        const char *directory;   /* where its images will be */
        GHashTable *images;      /* name in the bundle ("disks/vda.qcow2") -> format, or NULL until
                                    one who uses it has said it */
        GHashTable *macs;        /* old -> new; filled */
        GHashTable *left_out;    /* set of what is not taken over: texts for the log; filled */
        GHashTable *by_target;   /* target -> name of an image: for a definition that names files of
                                    the host that it is from; NULL: it names files of the bundle */

        /* Of a saved state, which libvirt gives no firmware when it is restored: what libvirt
         * offers here (a set of paths), and the file with the variables. Otherwise firmware is
         * chosen by what it can do, and these are NULL. */
        GHashTable *firmwares;
        const char *variables;

        GHashTable *used;   /* set of names of images: of the disks of the definition at hand */
        const char *memory; /* file of the memory of the snapshot at hand, or NULL */
} DefinitionImport;

void definition_import_init(DefinitionImport *import);
void definition_import_clear(DefinitionImport *import);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DefinitionImport, definition_import_clear)

/* The definition of a machine; "what" names the text in errors. INVALID_BUNDLE, and the text names
 * what is wrong. */
char *definition_import_domain(
                DefinitionImport *import, const char *text, const char *what, GError **error);

/* The description of a snapshot; "memory" is where the file of its memory will be (NULL: it has
 * none), *ret_id the name that it has. */
char *definition_import_snapshot(DefinitionImport *import,
                const char *text,
                const char *what,
                const char *memory,
                char **ret_id,
                GError **error);

/* What libvirt notes beside the definition in a saved state. */
char *definition_import_cookie(
                DefinitionImport *import, const char *text, const char *what, GError **error);

/* The image is of this format, whoever names it. INVALID_BUNDLE if somebody said another one, or if
 * there is no such image. */
bool definition_import_image(
                DefinitionImport *import, const char *name, const char *format, GError **error);

/* Where an image will be. */
char *definition_import_path(const DefinitionImport *import, const char *name);
