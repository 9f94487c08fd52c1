/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names and identifiers of machines are unique; what else holds for names is in util/name.h. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* Whether the name is free, without regard to case; the machine "own_uuid" (or NULL) may have it.
 * DUPLICATE_NAME. Worker. */
bool machine_name_is_free(
                virConnectPtr connection, const char *name, const char *own_uuid, GError **error);

/* The same of an identifier. DUPLICATE_NAME. Worker. */
bool machine_uuid_is_free(virConnectPtr connection, const char *uuid, GError **error);

/* Defines a machine that there is not yet: libvirt would take the definition for a change of the
 * one that has its identifier. So what name and identifier (NULL: libvirt chooses one) are is
 * looked up right before, by one worker at a time. The definition is validated. DUPLICATE_NAME,
 * libvirt's errors. Worker. */
virDomainPtr machine_define_new(virConnectPtr connection,
                const char *name,
                const char *uuid,
                const char *definition,
                GError **error);
