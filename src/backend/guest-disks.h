/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether libvirt and QEMU mean the same by a disk of a running guest. They do, unless a libvirtd
 * has died while QEMU went over from one image to another (backend/guest-notes.c says when).
 * Worker.
 */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* BACKEND if libvirt does not know which image a disk is, or that the machine runs: what it would
 * note of it now would be wrong, and an image may be in use. */
bool guest_disks_check(virDomainPtr domain, GError **error);

/* 1: the guest has gone over from what libvirt takes the disk for to the image below. 0: it has
 * not. -1 and "error": it can't be known. */
int guest_disks_have_left(virDomainPtr domain, const char *target, GError **error);

/* 1: the guest writes to the file. 0: it does not, or does not run. -1 and "error": it can't be
 * known. */
int guest_disks_use(virDomainPtr domain, const char *path, GError **error);
