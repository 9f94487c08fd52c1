/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The properties that come from the guest are read from memory, and get there by one question to
 * the agent each time that it opens its channel: after a boot, a reset, a restart of the agent. It
 * is asked on the lane of guests, because it may not answer; then they stay empty, and nobody asks
 * again. One question to a machine at a time: who comes meanwhile is asked afterwards. */

#include "service/guest-query.h"

#include "guest/agent.h"
#include "service/manager.h"
#include "util/log.h"

typedef struct GuestQuery {
        PoolWork work;
        Manager *manager;
        char uuid[UUID_STRING_SIZE];
        bool again; /* the agent has come once more; loop only */
        bool answered;
        AgentSystem system;
} GuestQuery;

static void begin(Manager *manager, const char *uuid);

/* Worker. */
static void query_run(void *data) {
        GuestQuery *query = data;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GError) error = NULL;

        query->answered = backend_open_domain(query->manager->backend, BACKEND_GUEST, query->uuid,
                                          &loan, &error) &&
                          agent_system(loan.domain, &query->system, &error);
        if (error)
                log_debug("The guest of %s does not say what it is: %s", query->uuid,
                                error->message);
}

static void query_done(void *data) {
        g_autofree GuestQuery *query = data;
        Manager *manager = query->manager;
        VirtualMachine *vm = manager_find_machine(manager, query->uuid);

        g_hash_table_remove(manager->guest_queries, query->uuid);
        if (vm && query->again)
                begin(manager, query->uuid);
        else if (vm && query->answered && vm->asked_guest)
                vm_set_system(vm, query->system.name, query->system.version);
        agent_system_clear(&query->system);
}

static void begin(Manager *manager, const char *uuid) {
        GuestQuery *query = g_hash_table_lookup(manager->guest_queries, uuid);

        if (query) {
                query->again = true;
                return;
        }
        query = g_new0(GuestQuery, 1);
        query->manager = manager;
        g_strlcpy(query->uuid, uuid, sizeof(query->uuid));
        query->work = (PoolWork){.run = query_run, .done = query_done, .data = query};
        g_hash_table_insert(manager->guest_queries, query->uuid, query);
        pool_submit(manager->pool, LANE_GUEST, &query->work);
}

void guest_query_follow(VirtualMachine *vm) {
        if (vm->facts->guest.agent != AGENT_CONNECTED) {
                vm_set_system(vm, "", "");
                vm->asked_guest = false;
        } else if (!vm->asked_guest && vm_is_heartbeating(vm)) {
                vm->asked_guest = true;
                begin(vm->manager, vm->uuid);
        }
}

void guest_query_renew(VirtualMachine *vm) {
        vm->asked_guest = false;
}
