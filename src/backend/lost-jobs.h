/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Disks that QEMU has gone over from to another image, while libvirt died. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* Has libvirt know again which image a guest writes to. For embedded QEMU, before the first
 * connection; nothing for any other URI. Failures are logged: libvirt then finds what it would have
 * found without us. */
void lost_jobs_settle(const char *uri);

/* BACKEND if libvirt does not know which image a disk of the running machine is: what it would note
 * of the machine now would be wrong. Worker. */
bool lost_jobs_check(virDomainPtr domain, GError **error);

/* Whether that is so of this disk, and QEMU has gone over to the image "below". Worker. */
bool lost_jobs_has_left(virDomainPtr domain, const char *target, const char *below);
