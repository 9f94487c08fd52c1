/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the agent in a guest says that the guest is, asked when it comes and never again until it
 * comes the next time. Loop. */

#include "service/virtual-machine.h"

/* To be called after the machine has new facts: asks an agent that has not been asked yet, and
 * forgets what one said that is gone. */
void guest_query_follow(VirtualMachine *vm);

/* The agent has come, perhaps again. */
void guest_query_renew(VirtualMachine *vm);
