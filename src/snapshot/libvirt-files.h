/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What libvirt leaves open when the power fails: it syncs the files that it writes, but not the
 * directories in which it gives them their names. Nothing is done where its files are out of reach.
 * Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* The definition of the domain, its saved state (or that there is none) and the descriptions of its
 * snapshots survive a power cut as they are now. */
bool libvirt_files_sync(virDomainPtr domain, GError **error);

/* After a power cut a description may lie there as ID.xml.new, or beside an older one. libvirt
 * takes every file in the directory for a description, so it would come back with each start of
 * libvirt, even when the snapshot is destroyed. */
void libvirt_files_tidy(virDomainPtr domain);

/* A saved state has a definition of its own, which an interruption may have left with other images
 * than the domain has: it gets those. The tree can not be read before, as some may not exist. */
void libvirt_files_align_saved_state(virDomainPtr domain);
