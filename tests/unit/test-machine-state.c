/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "machine-state"

#include "backend/machine-state.h"
#include "support.h"

static MachineState state_of(bool active, int state, int reason, bool has_image) {
        const MachineFacts facts = {
                        .active = active,
                        .state = (uint8_t) state,
                        .reason = (uint8_t) reason,
                        .has_image = has_image,
        };

        return machine_state_from_facts(&facts);
}

static void each_state_has_a_name_of_its_own(void) {
        for (int i = 0; i < MACHINE_STATE_COUNT; i++) {
                g_assert_nonnull(machine_state_to_string((MachineState) i));
                for (int j = 0; j < i; j++)
                        g_assert_cmpstr(machine_state_to_string((MachineState) i), !=,
                                        machine_state_to_string((MachineState) j));
        }
}

/* VMVMState */
static void the_numbers_are_those_of_the_documents(void) {
        g_assert_cmpint(MACHINE_INVALID, ==, 0);
        g_assert_cmpint(MACHINE_TURNED_OFF, ==, 1);
        g_assert_cmpint(MACHINE_SAVED, ==, 2);
        g_assert_cmpint(MACHINE_TURNING_ON, ==, 3);
        g_assert_cmpint(MACHINE_RESTORING, ==, 4);
        g_assert_cmpint(MACHINE_RUNNING, ==, 5);
        g_assert_cmpint(MACHINE_PAUSED, ==, 6);
        g_assert_cmpint(MACHINE_SAVING, ==, 7);
        g_assert_cmpint(MACHINE_TURNING_OFF, ==, 8);
        g_assert_cmpint(MACHINE_MERGING_DRIVES, ==, 9);
        g_assert_cmpint(MACHINE_DELETING, ==, 10);
}

static void the_stable_states_have_their_enabled_state(void) {
        g_assert_cmpuint(machine_state_to_enabled_state(MACHINE_RUNNING), ==, 2);
        g_assert_cmpuint(machine_state_to_enabled_state(MACHINE_TURNED_OFF), ==, 3);
        g_assert_cmpuint(machine_state_to_enabled_state(MACHINE_SAVED), ==, 6);
        g_assert_cmpuint(machine_state_to_enabled_state(MACHINE_PAUSED), ==, 9);
}

static void an_inactive_machine_is_off_or_saved(void) {
        g_assert_cmpint(state_of(false, VIR_DOMAIN_SHUTOFF, 0, false), ==, MACHINE_TURNED_OFF);
        g_assert_cmpint(state_of(false, VIR_DOMAIN_SHUTOFF, 0, true), ==, MACHINE_SAVED);
        g_assert_cmpint(state_of(false, VIR_DOMAIN_CRASHED, 0, false), ==, MACHINE_TURNED_OFF);
}

static void an_active_machine_runs(void) {
        g_assert_cmpint(state_of(true, VIR_DOMAIN_RUNNING, 0, false), ==, MACHINE_RUNNING);
        g_assert_cmpint(state_of(true, VIR_DOMAIN_BLOCKED, 0, false), ==, MACHINE_RUNNING);
        g_assert_cmpint(state_of(true, VIR_DOMAIN_NOSTATE, 0, false), ==, MACHINE_RUNNING);
}

static void a_running_machine_with_a_half_image_runs(void) {
        g_assert_cmpint(state_of(true, VIR_DOMAIN_RUNNING, 0, true), ==, MACHINE_RUNNING);
}

static void the_reason_tells_what_a_stopped_machine_does(void) {
        g_assert_cmpint(state_of(true, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, false), ==,
                        MACHINE_PAUSED);
        g_assert_cmpint(state_of(true, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, false), ==,
                        MACHINE_PAUSED);
        g_assert_cmpint(state_of(true, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE, false), ==,
                        MACHINE_SAVING);
        g_assert_cmpint(state_of(true, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, false), ==,
                        MACHINE_TURNING_ON);
        g_assert_cmpint(state_of(true, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, true), ==,
                        MACHINE_RESTORING);
}

static void a_machine_that_can_not_go_on_is_paused(void) {
        g_assert_cmpint(state_of(true, VIR_DOMAIN_CRASHED, 0, false), ==, MACHINE_PAUSED);
        g_assert_cmpint(state_of(true, VIR_DOMAIN_PMSUSPENDED, 0, false), ==, MACHINE_PAUSED);
}

static void a_machine_that_shuts_down_is_turning_off(void) {
        g_assert_cmpint(state_of(true, VIR_DOMAIN_SHUTDOWN, 0, false), ==, MACHINE_TURNING_OFF);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(each_state_has_a_name_of_its_own);
        ADD(the_numbers_are_those_of_the_documents);
        ADD(the_stable_states_have_their_enabled_state);
        ADD(an_inactive_machine_is_off_or_saved);
        ADD(an_active_machine_runs);
        ADD(a_running_machine_with_a_half_image_runs);
        ADD(the_reason_tells_what_a_stopped_machine_does);
        ADD(a_machine_that_can_not_go_on_is_paused);
        ADD(a_machine_that_shuts_down_is_turning_off);
        return g_test_run();
}
