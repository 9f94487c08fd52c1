/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine as the user names it: name, UUID, unique beginning of a UUID, or object path. */

#include "bus-client.h"
#include "object-ref.h"

/* Says what is wrong if there is no such machine, or if the beginning fits several. */
ExitCode machine_ref_resolve(ObjectRef *ref, Session *s, const char *argument);
