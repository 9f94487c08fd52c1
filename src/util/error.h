/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The GError domain of the project, made of error-table.h, and the numbers that belong to each
 * error. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/error-table.h"

#define VIRTASK_ERROR (virtask_error_quark())

typedef enum VirtaskError {
        VIRTASK_ERROR_NONE,
#define X(id, ...) VIRTASK_ERROR_##id,
        ERROR_TABLE(X)
#undef X
                        VIRTASK_ERROR_COUNT
} VirtaskError;

typedef struct ErrorInfo {
        const char *name;   /* D-Bus error name */
        uint32_t hresult;   /* HRESULT bit pattern */
        const char *symbol; /* name of the HRESULT in the documents, or "" */
        unsigned cim_a;     /* return code of the snapshot services */
        unsigned cim_b;     /* return code of the management services */
        unsigned result;    /* VMTaskResult */
        const char *meaning;
} ErrorInfo;

GQuark virtask_error_quark(void);

/* Sets the error, and is false: what a function returns that fails. */
bool error_fail(VirtaskError code, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* What a system call that writes says of the place it writes to: DISK_FULL, FILE_TOO_LARGE,
 * FILE_READ_ONLY, or FAILED. */
VirtaskError error_of_errno(int reason);

/* The row of an error. A code that is none of ours gives the row of FAILED. */
const ErrorInfo *error_info(VirtaskError code);

/* The row of a GError; an error of a foreign domain is FAILED. */
const ErrorInfo *error_info_of(const GError *error);

/* Finds a row by D-Bus name or by symbol; NONE if there is none. */
VirtaskError error_find(const char *name_or_symbol);

/* The text of an immediate D-Bus error: symbol (or last part of the name), number, message. busctl
 * prints only the text of an error, so the number has to be in it. */
char *error_to_text(const GError *error);

/* The meaning of an error in the language of "locale" ("de", "fr_FR.UTF-8"); English when there is
 * no translation. */
const char *error_meaning(VirtaskError code, const char *locale);

/* Takes the file names out of the text of an error (NULL: nothing to do), for readers who may not
 * know them. Object paths of ours stay. */
void error_hide_paths(GError *error);
