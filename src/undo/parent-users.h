/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who else would see other data if an image was written to. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* *ret is the name of a machine with a disk, other than this one, that is the file or rests on it,
 * now or when it is started next; NULL: none. */
bool parent_users_find(virDomainPtr domain,
                const char *target,
                const char *path,
                char **ret,
                GError **error);
