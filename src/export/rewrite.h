/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Definitions that name copies of files in the place of the files. Any thread. */

#include <glib.h>

/* The text (of a domain or of a snapshot, as libvirt gives it) with another path wherever an
 * attribute or the whole text of an element is one of these ("copies": path -> path). FAILED if it
 * is no XML. */
char *rewrite_paths(const char *text, GHashTable *copies, GError **error);
