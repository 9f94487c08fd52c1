/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of all operations, ended by NULL. The daemon's is in operations.c; the tests link
 * another one. */

#include "jobs/operation.h"

extern const Operation *const operations[];
