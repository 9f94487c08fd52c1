/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "guest-facts"

#include "backend/guest-facts.h"
#include "support.h"

#define DOMAIN(type, features, devices)                                                            \
        "<domain type='qemu'><name>web1</name><os><type" type ">hvm</type></os>" features          \
        "<devices>" devices "</devices></domain>"
#define CHANNEL(name, state)                                                                       \
        "<channel type='unix'><target type='virtio' name='" name "'" state "/></channel>"
#define AGENT       "org.qemu.guest_agent.0"
#define PC          " arch='x86_64'"
#define WITH_BUTTON "<features><acpi/></features>"

static void a_channel_is_open_or_not(void) {
        g_assert_cmpint(guest_facts_parse(DOMAIN(PC, "", "")).agent, ==, AGENT_NONE);
        g_assert_cmpint(guest_facts_parse(DOMAIN(PC, "", CHANNEL(AGENT, ""))).agent, ==,
                        AGENT_DISCONNECTED);
        g_assert_cmpint(guest_facts_parse(DOMAIN(PC, "", CHANNEL(AGENT, " state='disconnected'")))
                                        .agent,
                        ==, AGENT_DISCONNECTED);
        g_assert_cmpint(guest_facts_parse(DOMAIN(PC, "", CHANNEL(AGENT, " state='connected'")))
                                        .agent,
                        ==, AGENT_CONNECTED);
}

static void other_channels_do_not_count(void) {
        const char *spice = DOMAIN(PC, "", CHANNEL("com.redhat.spice.0", " state='connected'"));
        const char *both = DOMAIN(PC, "",
                        CHANNEL("com.redhat.spice.0", " state='connected'")
                                        CHANNEL(AGENT, " state='disconnected'"));

        g_assert_cmpint(guest_facts_parse(spice).agent, ==, AGENT_NONE);
        g_assert_cmpint(guest_facts_parse(both).agent, ==, AGENT_DISCONNECTED);
}

static void a_pc_has_its_button_from_acpi(void) {
        g_assert_true(guest_facts_parse(DOMAIN(PC, WITH_BUTTON, "")).has_button);
        g_assert_false(guest_facts_parse(DOMAIN(PC, "", "")).has_button);
        g_assert_false(guest_facts_parse(DOMAIN(" arch='i686'", "", "")).has_button);
        g_assert_true(guest_facts_parse(DOMAIN(" arch='aarch64'", "", "")).has_button);
        g_assert_true(guest_facts_parse(DOMAIN(" arch='s390x'", "", "")).has_button);
}

static void what_is_no_definition_has_neither(void) {
        g_assert_cmpint(guest_facts_parse("").agent, ==, AGENT_NONE);
        g_assert_false(guest_facts_parse("").has_button);
        g_assert_false(guest_facts_parse("<domain").has_button);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_channel_is_open_or_not);
        ADD(other_channels_do_not_count);
        ADD(a_pc_has_its_button_from_acpi);
        ADD(what_is_no_definition_has_neither);
        return g_test_run();
}
