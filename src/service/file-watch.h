/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libvirt has events for all that happens to a domain but two: that its saved state is removed, and
 * that a snapshot is made, changed or removed. Loop. */

#include <systemd/sd-event.h>

typedef struct FileWatch FileWatch;

/* "name" is that of the machine. */
typedef void (*FileWatchChanged)(const char *name, void *userdata);

/* Watches where the connection keeps saved states and snapshots; NULL if that is not on this host,
 * or not readable. Tells at once of each machine that has a place for snapshots: what changed since
 * it was read was not heard. */
FileWatch *file_watch_new(
                sd_event *event, const char *uri, FileWatchChanged changed, void *userdata);
FileWatch *file_watch_free(FileWatch *watch);
