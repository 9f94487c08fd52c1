/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The descriptor of a package, as any product may have written it: OVF 1.0 and 1.1. */

#include "ovf/ovf-machine.h"

/* The one machine that it describes. INVALID_BUNDLE, with the line and the element that is not
 * right; NOT_SUPPORTED for what may be right but can't be made use of: several machines, files that
 * are compressed or in pieces, other versions of OVF. Whether the files are there is not looked at.
 *
 * Of settings that a person may choose from the presets are taken; text in other languages,
 * licences and the like are passed over, and so is hardware without which a guest starts (sound,
 * USB, drives for media). Any thread. */
OvfMachine *ovf_read(const char *text, size_t length, GError **error);
