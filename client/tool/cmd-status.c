/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* status: is the service there, which hypervisor does it speak to, how much is going on. The exit
 * code alone answers a monitoring script: 0 all is well, 1 the hypervisor is away, 8 the service
 * does not answer. */

#include <stdio.h>
#include <string.h>

#include "inventory.h"
#include "text.h"
#include "verbs.h"

typedef struct Counts {
        size_t running;
        size_t unfinished;
} Counts;

static Counts count(const Inventory *inventory) {
        Counts counts = {0};

        for (size_t i = 0; i < inventory->n_machines; i++) {
                const char *state = inventory->machines[i].state_name;

                counts.running += state && strcmp(state, "running") == 0;
        }
        for (size_t i = 0; i < inventory->n_tasks; i++)
                counts.unfinished += !inventory->tasks[i].is_complete;
        return counts;
}

static void print_text(const Inventory *inventory, const Counts *counts) {
        _cleanup_free_ char *version = text_escape(inventory->version ? inventory->version : "");
        _cleanup_free_ char *uri = text_escape(inventory->uri ? inventory->uri : "");

        (void) printf("    Service: virtaskd %s\n", version);
        (void) printf(" Hypervisor: %s (%s)\n", uri,
                        inventory->connected ? "connected" : "not connected");
        (void) printf("   Machines: %zu, %zu running\n", inventory->n_machines, counts->running);
        (void) printf("Collections: %zu\n", inventory->n_collections);
        (void) printf("      Tasks: %zu unfinished, %zu in all\n", counts->unfinished,
                        inventory->n_tasks);
}

static void print_json(const Options *options, const Inventory *inventory, const Counts *counts) {
        _cleanup_json_ JsonWriter json = {.pretty = options->json == JSON_MODE_PRETTY};

        json_begin(&json, NULL, '{');
        json_boolean(&json, "reachable", true);
        json_string(&json, "version", inventory->version);
        json_string(&json, "uri", inventory->uri);
        json_boolean(&json, "connected", inventory->connected);
        json_unsigned(&json, "machines", inventory->n_machines);
        json_unsigned(&json, "machines_running", counts->running);
        json_unsigned(&json, "collections", inventory->n_collections);
        json_unsigned(&json, "tasks", inventory->n_tasks);
        json_unsigned(&json, "tasks_unfinished", counts->unfinished);
        json_unsigned(&json, "task_retention_us", inventory->retention_usec);
        json_end(&json, '}');
        json_flush(&json);
}

ExitCode cmd_status(Session *s, const char *verb, char **arguments) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        ExitCode code = inventory_load(&inventory, s);
        Counts counts;

        if (code != EXIT_CODE_OK)
                return code;
        counts = count(&inventory);
        if (s->options.json != JSON_MODE_OFF)
                print_json(&s->options, &inventory, &counts);
        else if (!s->options.quiet)
                print_text(&inventory, &counts);
        return inventory.connected ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
