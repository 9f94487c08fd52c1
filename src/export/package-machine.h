/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine as a package describes it, of what libvirt says of it. Any thread. */

#include <glib.h>

#include "ovf/ovf-machine.h"

/* With the disks of these targets, in this order (strings), and their places on a bus of their own
 * kind; what others have no word for is SATA. "name" is that of their files, without a suffix;
 * their capacity is 0. "tell" is called with what becomes another thing, as a text for the log.
 * FAILED if it is not the definition of a machine. */
OvfMachine *package_machine_new(const char *definition,
                const GPtrArray *targets,
                const char *name,
                void (*tell)(const char *text, void *userdata),
                void *userdata,
                GError **error);
