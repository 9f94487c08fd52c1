/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The descriptor of a package: OVF 1.1 (DMTF DSP0243), as products read it that know no other. */

#include "ovf/ovf-machine.h"

/* All texts of the machine are UTF-8 without control characters, and its numbers in the ranges of
 * ovf-machine.h; the disks that hang on IDE have the units 0 and 1. Any thread. */
char *ovf_write(const OvfMachine *machine);
