/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A machine as a plain structure, filled from its properties, and how its state looks in a list. */

#include <stddef.h>
#include <string.h>

#include "machine-info.h"
#include "property-map.h"
#include "text.h"

/* clang-format off */
static const PropertyRow rows[] = {
        {"Name",               's', offsetof(MachineInfo, name)},
        {"ConfigID",           's', offsetof(MachineInfo, uuid)},
        {"State",              'u', offsetof(MachineInfo, state)},
        {"StateName",          's', offsetof(MachineInfo, state_name)},
        {"Memory",             'u', offsetof(MachineInfo, memory)},
        {"HasSavedState",      'b', offsetof(MachineInfo, has_saved_state)},
        {"SavedStateFilePath", 's', offsetof(MachineInfo, saved_state_path)},
        {"Notes",              's', offsetof(MachineInfo, notes)},
};

/* In the order of VMVMState, from 1. Colours: 32 green, 33 yellow, 34 blue, 36 cyan, 2 faint. */
static const struct {
        const char *name;
        const char *word;
        const char *mark;
        const char *ascii;
        unsigned color;
} states[] = {
        {"turned-off",     "off",        "○", "-",  2},
        {"saved",          "saved",      "◒", "s", 34},
        {"turning-on",     "starting",   "◌", "~", 36},
        {"restoring",      "restoring",  "◌", "~", 36},
        {"running",        "running",    "●", "*", 32},
        {"paused",         "paused",     "◐", "p", 33},
        {"saving",         "saving",     "◌", "~", 36},
        {"turning-off",    "stopping",   "◌", "~", 36},
        {"merging-drives", "merging",    "◌", "~", 36},
        {"deleting",       "deleting",   "◌", "~", 36},
};
/* clang-format on */

int machine_info_read(MachineInfo *vm, sd_bus_message *m) {
        return property_map_read(m, rows, ELEMENTS(rows), vm);
}

void machine_info_clear(MachineInfo *vm) {
        property_map_clear(rows, ELEMENTS(rows), vm);
        free(vm->path);
        *vm = (MachineInfo){0};
}

const char *machine_info_state_word(const MachineInfo *vm) {
        for (size_t i = 0; vm->state_name && i < ELEMENTS(states); i++)
                if (strcmp(states[i].name, vm->state_name) == 0)
                        return states[i].word;
        return vm->state_name ? vm->state_name : "unknown";
}

const char *machine_info_number_word(uint32_t state) {
        return state >= 1 && state <= ELEMENTS(states) ? states[state - 1].word : "unknown";
}

const char *machine_info_mark(const MachineInfo *vm, unsigned *ret_color) {
        for (size_t i = 0; vm->state_name && i < ELEMENTS(states); i++)
                if (strcmp(states[i].name, vm->state_name) == 0) {
                        *ret_color = states[i].color;
                        return text_is_unicode() ? states[i].mark : states[i].ascii;
                }
        *ret_color = 2;
        return "?";
}
