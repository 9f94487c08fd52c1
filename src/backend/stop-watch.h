/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* When a guest stopped, by QEMU's own clock and not by when we hear of it. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>

typedef struct StopWatch StopWatch;

/* Looks out from now on. NULL if this hypervisor does not tell. */
StopWatch *stop_watch_new(virDomainPtr domain);
StopWatch *stop_watch_free(StopWatch *watch);

/* The first time that the guest stopped, in microseconds of CLOCK_REALTIME; 0 while it is not
 * known. Accepts NULL. */
gint64 stop_watch_read(const StopWatch *watch);
