/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the bus says about one machine. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "common.h"

typedef struct MachineInfo {
        char *path;
        char *name;
        char *uuid;
        uint32_t state;
        char *state_name;
        uint32_t memory; /* MiB */
        bool has_saved_state;
        char *saved_state_path;
        char *notes;
} MachineInfo;

int machine_info_read(MachineInfo *vm, sd_bus_message *m);
void machine_info_clear(MachineInfo *vm);

/* The word for a number of VMVMState. */
const char *machine_info_number_word(uint32_t state);

/* The state as the table shows it, with its mark and the colour of the mark (an SGR number). */
const char *machine_info_state_word(const MachineInfo *vm);
const char *machine_info_mark(const MachineInfo *vm, unsigned *ret_color);
