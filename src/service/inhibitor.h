/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lock that keeps the computer from sleeping or going down while tasks change data. Loop. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct Inhibitor Inhibitor;

Inhibitor *inhibitor_new(sd_bus *bus);

/* Releases the lock. Accepts NULL. */
Inhibitor *inhibitor_free(Inhibitor *inhibitor);

/* Takes or releases the lock; does not wait for logind. No logind, or one that refuses, is no
 * error: the task runs without the lock. */
void inhibitor_set(Inhibitor *inhibitor, bool needed);
