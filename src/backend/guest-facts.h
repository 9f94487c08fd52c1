/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What there is to reach the guest of a machine that runs: its agent (the QEMU guest agent) and its
 * power button. Any thread. */

#include <libvirt/libvirt.h>
#include <stdbool.h>

typedef enum AgentState {
        AGENT_NONE,         /* the machine has no channel for one */
        AGENT_DISCONNECTED, /* nobody in the guest has the channel open */
        AGENT_CONNECTED,
} AgentState;

typedef struct GuestFacts {
        AgentState agent;
        bool has_button; /* a guest that is pressed may notice */
} GuestFacts;

/* Of a live definition; one that can't be parsed has neither. */
GuestFacts guest_facts_parse(const char *definition);

/* Asks libvirt; of a machine that is off neither. */
GuestFacts guest_facts_read(virDomainPtr domain);
