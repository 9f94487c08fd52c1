/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a task tells only to its owner and to root. */

#include "session.h"

/* The answers of GetResults, a{sv}, and of GetLog, a(tus); NULL if we may not read it, or there is
 * none. Nobody is asked for a password for that. */
sd_bus_message *task_private_results(Session *s, const char *path);
sd_bus_message *task_private_log(Session *s, const char *path);
