/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The neutral machine of a package on its way between the service and the process of a caller. Any
 * thread. */

#include <json-glib/json-glib.h>

#include "ovf/ovf-machine.h"

/* All members of the machine by their names, with dashes; what is NULL is left out. */
JsonObject *package_machine_to_json(const OvfMachine *machine);

/* The same back, from whom we do not trust: all numbers are in the ranges of ovf-machine.h, and
 * texts are texts, of which nothing else is said. INVALID_BUNDLE; also for NULL. */
OvfMachine *package_machine_from_json(JsonObject *object, GError **error);
