/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt tells in the definition of a machine that runs whether somebody in the guest has the
 * agent's channel open, and with an event when that changes. Whether he answers is another question
 * (src/guest/agent.h). */

#include "backend/guest-facts.h"

#include <glib.h>
#include <stdlib.h>

#include "backend/xml.h"

#define CHANNEL "org.qemu.guest_agent.0"

static AgentState agent_of(const xmlNode *channel) {
        const xmlNode *target = xml_child(channel, "target");
        g_autofree char *name = xml_attribute(target, "name");
        g_autofree char *state = xml_attribute(target, "state");

        if (g_strcmp0(name, CHANNEL) != 0)
                return AGENT_NONE;
        return g_strcmp0(state, "connected") == 0 ? AGENT_CONNECTED : AGENT_DISCONNECTED;
}

static AgentState find_agent(const xmlNode *domain) {
        const xmlNode *devices = xml_child(domain, "devices");
        AgentState agent = AGENT_NONE;

        for (const xmlNode *node = devices ? devices->children : NULL; node && agent == AGENT_NONE;
                        node = node->next)
                if (xml_is(node, "channel"))
                        agent = agent_of(node);
        return agent;
}

/* A PC has its button from ACPI, which is an option there; the boards of other architectures have
 * one of their own. */
static bool has_button(const xmlNode *domain) {
        g_autofree char *architecture =
                        xml_attribute(xml_child(xml_child(domain, "os"), "type"), "arch");
        bool is_pc = g_strcmp0(architecture, "x86_64") == 0 || g_strcmp0(architecture, "i686") == 0;

        return !is_pc || xml_child(xml_child(domain, "features"), "acpi");
}

GuestFacts guest_facts_parse(const char *definition) {
        g_autoptr(xmlDoc) document = xml_parse(definition);
        const xmlNode *domain = document ? xmlDocGetRootElement(document) : NULL;

        if (!domain)
                return (GuestFacts){AGENT_NONE, false};
        return (GuestFacts){find_agent(domain), has_button(domain)};
}

GuestFacts guest_facts_read(virDomainPtr domain) {
        GuestFacts facts = {AGENT_NONE, false};
        char *definition = virDomainIsActive(domain) == 1 ? virDomainGetXMLDesc(domain, 0) : NULL;

        if (definition)
                facts = guest_facts_parse(definition);
        free(definition);
        return facts;
}
