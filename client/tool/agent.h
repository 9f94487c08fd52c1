/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The polkit agent on the terminal, for the time of the command. */

#include "session.h"

/* Starts it where it makes sense and waits until it is registered; otherwise does nothing. */
void agent_open(Session *s);

void agent_close(Session *s);
