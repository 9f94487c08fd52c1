/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What happens to one machine from now on: whether it has gone off, and whether it was reset.
 * Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

typedef struct GuestWatch GuestWatch;

/* On the connection of the domain, which stays open. NULL and "error" if it can't be listened to.
 */
GuestWatch *guest_watch_new(virDomainPtr domain, GError **error);
GuestWatch *guest_watch_free(GuestWatch *watch);

/* Whether it has gone off, and whether that was the guest's doing. */
bool guest_watch_has_stopped(const GuestWatch *watch, bool *ret_by_guest);

/* Whether it was reset since this was asked last, or since the beginning. */
bool guest_watch_take_reset(const GuestWatch *watch);

/* Whether nothing is heard any more. */
bool guest_watch_is_deaf(const GuestWatch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestWatch, guest_watch_free)
