/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "ovf/ova.h"
#include "util/digest.h"

/* Adds these bytes to the digest. 0, or an errno; ECANCELED if hooks->stop() says so, ESTALE if the
 * file ends before. */
int package_hash(int fd, uint64_t offset, uint64_t size, Digest *digest, const OvaHooks *hooks);
