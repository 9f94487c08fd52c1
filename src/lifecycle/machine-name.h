/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rules for names of machines (IVMVirtualMachine::Name). */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* 1 to 80 characters, none of * ? : < > / | \ " and no control characters: NAME_EMPTY,
 * NAME_TOO_LONG, NAME_INVALID_CHAR. Any thread. */
bool machine_name_check(const char *name, GError **error);

/* Whether the name is free, without regard to case; the machine "own_uuid" (or NULL) may have it.
 * DUPLICATE_NAME. Worker. */
bool machine_name_is_free(
                virConnectPtr connection, const char *name, const char *own_uuid, GError **error);
