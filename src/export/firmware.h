/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The firmware that the hypervisor has for a guest. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>

/* Set of the paths that libvirt offers for a machine like that of the definition, which is one of
 * ours. */
GHashTable *firmware_offered(virConnectPtr connection, const char *definition, GError **error);
