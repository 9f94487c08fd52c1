/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libvirt has events for all that happens to a domain but one: that its saved state is removed.
 * Loop. */

#include <systemd/sd-event.h>

typedef struct ImageWatch ImageWatch;

/* "name" is that of the machine. */
typedef void (*ImageGone)(const char *name, void *userdata);

/* Watches where the connection keeps saved states; NULL if that is not on this host, or not
 * readable. */
ImageWatch *image_watch_new(sd_event *event, const char *uri, ImageGone gone, void *userdata);
ImageWatch *image_watch_free(ImageWatch *watch);
