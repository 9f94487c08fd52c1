/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The memory of a snapshot, as a file that a guest can go on from. "overlays" (target -> path) are
 * what its disks will show then. Worker. */

#include "snapshot/tree.h"

/* While nothing is given up: INCOMPATIBLE_SAVED_STATE if the memory can not come back, other errors
 * if that can't be told. *ret_exists: there is one. */
bool snapshot_memory_check(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                bool *ret_exists,
                GError **error);

/* Brings the guest back and leaves it paused. *ret_ran: it ran when the memory was taken. A
 * snapshot without memory leaves the machine off. */
bool snapshot_memory_restore(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                bool *ret_ran,
                GError **error);
