/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The definition of a machine that came in a package: all of it is ours, and the package says only
 * how much of it there is. Any thread. */

#include <glib.h>
#include <stdbool.h>

#include "ovf/ovf-machine.h"

/* What the host has to say. */
typedef struct PackageHost {
        const char *type;    /* of the domain: "kvm", "qemu" */
        const char *network; /* of libvirt's; NULL: there is none, and QEMU has one of its own */
} PackageHost;

/* The targets of the disks, in their order ("sda"). INVALID_BUNDLE if there are more than their bus
 * takes, or two at one place. */
GPtrArray *package_definition_targets(const OvfMachine *machine, GError **error);

/* Whether it needs the older kind of machine, which has IDE. */
bool package_definition_is_pc(const OvfMachine *machine);

/* "paths" are the images of the disks. */
char *package_definition_new(const OvfMachine *machine,
                const char *name,
                const char *uuid,
                const GPtrArray *targets,
                const GPtrArray *paths,
                const PackageHost *host);
