/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The orderly end of the daemon. Loop. */

#include "service/manager.h"

/* Ends the loop of manager->event on SIGTERM and SIGINT, after what has to come first. 0 or
 * negative errno. */
int shutdown_on_signals(Manager *manager);
