/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What creation.c shares with creation-settle.c: steps on the snapshot "id", whether it was taken
 * in this life or before. */

#include <libvirt/libvirt.h>

#include "snapshot/creation.h"

/* What settle() has to know. */
#define MEMORY_ID          "Id"
#define MEMORY_OVERLAYS    "Overlays"
#define MEMORY_WAS_RUNNING "WasRunning"
#define MEMORY_STOPS       "Stops"

bool creation_exists(virDomainPtr domain, const char *id);

/* Removes what there would be beside libvirt's snapshot. */
void creation_forget(virDomainPtr domain, const char *id);

/* Removes the overlays of one that was not taken. */
bool creation_remove_overlays(Job *job, virDomainPtr domain, GError **error);

/* Thaws the guest. If it had thawed before, the snapshot says what it is. */
bool creation_thaw_guest(Job *job,
                const SnapshotRequest *request,
                virDomainPtr domain,
                const char *id,
                GError **error);

bool creation_conclude_taken(Job *job,
                const SnapshotRequest *request,
                virDomainPtr domain,
                const char *id,
                unsigned flags,
                GError **error);
