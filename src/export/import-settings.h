/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the caller of ImportSystemDefinition or ImportPackage wants. */

#include <glib.h>
#include <stdbool.h>

#include "jobs/operation.h"

typedef struct ImportRequest {
        Request common;
        char *directory; /* of the bundle; of a package: the file */
        char *name;      /* that the machine gets; NULL: the one that it has */
        char *storage;   /* where its images go; NULL: where images are made */
        char **bases;    /* directories below a difference, the full export first; NULL: none */
        bool new_identifier;
        bool validate_only; /* nothing is made */
        bool package;       /* it is no bundle */
} ImportRequest;

/* An operation's parse(): a directory and options. INVALID_ARGUMENT, LIMITS_EXCEEDED for too many
 * bases, the errors of path_check() and of name_check(). */
bool import_request_parse(sd_bus_message *call, void *request, GError **error);

/* The same for a package, whose machine always has a new identifier. */
bool import_request_parse_for_package(sd_bus_message *call, void *request, GError **error);
void import_request_clear(void *request);
