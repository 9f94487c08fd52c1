/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The states of a machine that clients see: VMVMState of Virtual PC. */

#include "backend/facts.h"

typedef enum MachineState {
        MACHINE_INVALID, /* in an operation: no state of its own */
        MACHINE_TURNED_OFF,
        MACHINE_SAVED,
        MACHINE_TURNING_ON,
        MACHINE_RESTORING,
        MACHINE_RUNNING,
        MACHINE_PAUSED,
        MACHINE_SAVING,
        MACHINE_TURNING_OFF,
        MACHINE_MERGING_DRIVES,
        MACHINE_DELETING,
        MACHINE_STATE_COUNT
} MachineState;

/* "turned-off", "saved", ... */
const char *machine_state_to_string(MachineState state);

/* EnabledState of Msvm_ComputerSystem. */
uint16_t machine_state_to_enabled_state(MachineState state);

/* The state that the facts alone give; also shows what others do, such as a save by virsh. */
MachineState machine_state_from_facts(const MachineFacts *facts);
