/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The visible state is a function of the last known facts (and, one room further up, of the task in
 * progress); nobody sets it. */

#include "backend/machine-state.h"

static const char *const names[MACHINE_STATE_COUNT] = {
                [MACHINE_INVALID] = "invalid",
                [MACHINE_TURNED_OFF] = "turned-off",
                [MACHINE_SAVED] = "saved",
                [MACHINE_TURNING_ON] = "turning-on",
                [MACHINE_RESTORING] = "restoring",
                [MACHINE_RUNNING] = "running",
                [MACHINE_PAUSED] = "paused",
                [MACHINE_SAVING] = "saving",
                [MACHINE_TURNING_OFF] = "turning-off",
                [MACHINE_MERGING_DRIVES] = "merging-drives",
                [MACHINE_DELETING] = "deleting",
};

static const uint16_t enabled_states[MACHINE_STATE_COUNT] = {
                [MACHINE_INVALID] = 0,
                [MACHINE_TURNED_OFF] = 3,
                [MACHINE_SAVED] = 6,
                [MACHINE_TURNING_ON] = 10,
                [MACHINE_RESTORING] = 10,
                [MACHINE_RUNNING] = 2,
                [MACHINE_PAUSED] = 9,
                [MACHINE_SAVING] = 4,
                [MACHINE_TURNING_OFF] = 4,
                [MACHINE_MERGING_DRIVES] = 4,
                [MACHINE_DELETING] = 4,
};

const char *machine_state_to_string(MachineState state) {
        return names[state];
}

uint16_t machine_state_to_enabled_state(MachineState state) {
        return enabled_states[state];
}

/* libvirt pauses a guest for its own purposes as well; the reason tells which. */
static MachineState state_of_paused(const MachineFacts *facts) {
        if (facts->reason == VIR_DOMAIN_PAUSED_STARTING_UP)
                return facts->has_image ? MACHINE_RESTORING : MACHINE_TURNING_ON;
        if (facts->reason == VIR_DOMAIN_PAUSED_SAVE)
                return MACHINE_SAVING;
        return MACHINE_PAUSED;
}

MachineState machine_state_from_facts(const MachineFacts *facts) {
        if (!facts->active)
                return facts->has_image ? MACHINE_SAVED : MACHINE_TURNED_OFF;

        switch ((virDomainState) facts->state) {
        case VIR_DOMAIN_PAUSED:
                return state_of_paused(facts);
        case VIR_DOMAIN_CRASHED:
        case VIR_DOMAIN_PMSUSPENDED:
                return MACHINE_PAUSED;
        case VIR_DOMAIN_SHUTDOWN:
                return MACHINE_TURNING_OFF;
        case VIR_DOMAIN_NOSTATE:
        case VIR_DOMAIN_RUNNING:
        case VIR_DOMAIN_BLOCKED:
        case VIR_DOMAIN_SHUTOFF:
#ifdef VIR_ENUM_SENTINELS
        case VIR_DOMAIN_LAST:
#endif
                break;
        }
        return MACHINE_RUNNING;
}
