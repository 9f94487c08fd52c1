/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A saved state of a bundle: libvirt's file, which begins with a definition of the machine that
 * libvirt believes. It gets one of ours, in its place. Any thread, may block. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "export/definition-import.h"

#define SAVED_FILE_HEAD_MAX                                                                        \
        (UINT64_C(4) << 20) /* what lies before the memory is in the first bytes */

/* Reads what "fd" begins with, and writes it anew; "what" names the file in errors. Not synced.
 * INVALID_BUNDLE if it is no saved state, or for its definition as definition_import_domain();
 * INCOMPATIBLE_SAVED_STATE if the new definition does not fit. */
bool saved_file_import(int fd, DefinitionImport *import, const char *what, GError **error);
