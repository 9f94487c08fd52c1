/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of machines are unique; what else holds for them is in util/name.h. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* Whether the name is free, without regard to case; the machine "own_uuid" (or NULL) may have it.
 * DUPLICATE_NAME. Worker. */
bool machine_name_is_free(
                virConnectPtr connection, const char *name, const char *own_uuid, GError **error);
