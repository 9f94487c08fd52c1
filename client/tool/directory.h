/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory that the command line names, for the service, which has another one to begin from. */

#include "options.h"

/* The path from the root, without "." and doubled slashes. NULL, and says why. */
char *directory_from_argument(const Options *options, const char *argument);
