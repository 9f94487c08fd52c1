/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory images and firmware variables: files that are copied and replaced as a whole. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

/* Asked and told after every MiB; each may be NULL. */
typedef struct StateFileHooks {
        void (*copied)(uint64_t done, uint64_t total, void *userdata);
        bool (*stop)(void *userdata);
        void *userdata;
} StateFileHooks;

/* Copies the regular file, no link, with its owner, group and permissions as far as we may; "to" is
 * replaced as a whole, and synced. CANCELLED if hooks->stop() said so ("hooks" may be NULL),
 * FILE_NOT_FOUND, DISK_FULL, FAILED. */
bool state_file_copy(const char *from, const char *to, const StateFileHooks *hooks, GError **error);

/* Removes what interrupted copies have left of the machine's snapshots. */
void state_file_remove_halves(virDomainPtr domain);
