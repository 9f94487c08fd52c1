/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a machine has in files of the host beside its disks: the variables of its firmware, and the
 * state of an emulated TPM. A snapshot has copies, as UUID.ID.nvram and UUID.ID.tpm. Worker. */

#include <libvirt/libvirt.h>

#include "disk/disk-set.h"

/* Whether there is any; it comes with the first start. */
bool host_state_exists(const DiskSet *disks);

/* NOT_SUPPORTED where libvirt's directories are out of reach. */
bool host_state_copy(virDomainPtr domain, const DiskSet *disks, const char *id, GError **error);

/* Gives the machine, which is off, what the snapshot has; the rest stays. */
bool host_state_restore(virDomainPtr domain, const DiskSet *disks, const char *id, GError **error);

/* The memory of the snapshot is not among it. */
bool host_state_remove(virDomainPtr domain, const char *id, GError **error);
