/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Standard output through a pager, where a person reads it on a terminal. */

#include "options.h"

/* Starts it; from now on standard output goes there. Does nothing where none is wanted. */
void pager_open(const Options *options);

/* Waits until the reader has left it. */
void pager_close(void);
