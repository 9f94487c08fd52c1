/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The images of a machine's hard disks, each with all that it rests on. */

#include <glib.h>
#include <libvirt/libvirt.h>

/* Of each hard disk that is a file, in the order of the definition, the chain: a GPtrArray of
 * ImageFacts, the root last. An image that can not be read is there with what the definition says
 * of it. Empty where the files are not on this host. NULL and "error" if the machine can't be
 * asked. Worker; may block. */
GPtrArray *machine_images_read(virDomainPtr domain, GError **error);

/* One such chain, of an image that a machine has. The errors are those of image_facts_read(). */
GPtrArray *machine_images_read_chain(const char *path, const char *format, GError **error);
