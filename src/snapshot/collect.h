/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Merges and removes the hidden images of a machine, as far as possible. Worker. */

#include <libvirt/libvirt.h>

#include "jobs/job.h"

/* Goes through the images that are noted as hidden. What carries nobody is removed; what carries
 * one image is merged with it; what carries several, or is used by another machine, stays and is no
 * error; all stay while one of them can't be read. It may be interrupted at any time and begun
 * again: at every moment each disk and each snapshot shows what it showed. Progress goes to
 * job_progress(). */
bool collect_images(Job *job, virDomainPtr domain, GError **error);
