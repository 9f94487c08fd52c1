/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Domain definitions, always read with libxml2. Any thread. */

#include <glib.h>
#include <stdbool.h>

/* Name and UUID (NULL without) of a definition that came from a caller. INVALID_ARGUMENT if it is
 * no <domain>, has a document type or needs the network. */
bool domain_xml_read_identity(
                const char *definition, char **ret_name, char **ret_uuid, GError **error);
