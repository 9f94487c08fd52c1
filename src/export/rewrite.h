/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Definitions that name copies of files in the place of the files. Any thread. */

#include <glib.h>

/* The text (of a domain or of a snapshot, as libvirt gives it) with another path wherever an
 * attribute or the whole text of an element is one of these ("copies": path -> path). What virtask
 * has noted in it of images that are not among them is left out, and so is what it has noted of
 * snapshots that are not in the set "snapshots" (of ids), and which collection they belong to.
 * FAILED if it is no XML. */
char *rewrite_definition(
                const char *text, GHashTable *copies, GHashTable *snapshots, GError **error);

/* The definition of a domain with another UUID. */
char *rewrite_uuid(const char *text, const char *uuid, GError **error);

/* The description of a snapshot of the disks, of one that has memory in a file. */
char *rewrite_without_memory(const char *text, GError **error);
