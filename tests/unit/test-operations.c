/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The operation table of the daemon, as a whole. */

#define MODULE "operations"

#include <string.h>

#include "service/operations.h"
#include "support.h"

static bool has_no_task(const Operation *operation) {
        return operation->flags & OPERATION_IMMEDIATE;
}

static void each_row_is_complete(void) {
        const char *const interfaces[] = {"VirtualMachine", "SnapshotService", "Snapshot",
                        "ReferencePointService", "ReferencePoint", "Manager", "Collection",
                        "" /* nobody calls it */, "SnapshotCollection", "ReferencePointCollection",
                        "GuestOS", "HardDisk", NULL};

        for (unsigned i = 0; operations[i]; i++) {
                const Operation *operation = operations[i];

                g_assert_true(g_str_has_prefix(operation->name, "vm-") ||
                                g_str_has_prefix(operation->name, "snapshot-") ||
                                g_str_has_prefix(operation->name, "reference-point-") ||
                                g_str_has_prefix(operation->name, "system-") ||
                                g_str_has_prefix(operation->name, "disk-") ||
                                g_str_has_prefix(operation->name, "collection-") ||
                                g_str_has_prefix(operation->name, "group-") ||
                                g_str_has_prefix(operation->name, "guest-"));
                g_assert_true(g_strv_contains(interfaces, operation->interface));
                g_assert_true(operation->member && operation->signature && operation->gerund);
                g_assert_true(g_str_has_prefix(operation->action, "org.virtask1."));
                g_assert_nonnull(operation->run);
                g_assert_cmpuint(operation->request_size, >=, sizeof(Request));
                g_assert_cmpint(operation->lane, <, LANE_QUERY);
        }
}

static void each_name_and_each_method_is_given_once(void) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (unsigned i = 0; operations[i]; i++) {
                const Operation *operation = operations[i];

                g_assert_true(g_hash_table_add(seen, g_strdup(operation->name)));
                g_assert_true(g_hash_table_add(seen,
                                g_strdup_printf("%s.%s", operation->interface, operation->member)));
        }
}

static void a_requested_state_means_one_operation(void) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

        for (unsigned i = 0; operations[i]; i++) {
                const Operation *operation = operations[i];

                if (operation->requested_state)
                        g_assert_true(g_hash_table_add(
                                        seen, GUINT_TO_POINTER(operation->requested_state)));
        }
}

/* "name\0name\0": as many as the types of the arguments and of the result. */
static unsigned count_names(const char *names) {
        unsigned n = 0;

        for (; *names; names += strlen(names) + 1)
                n++;
        return n;
}

static unsigned count_types(const char *signature) {
        unsigned n = 0;

        for (const char *p = signature; *p; n++) {
                if (g_str_has_prefix(p, "a{sv}"))
                        p += strlen("a{sv}");
                else
                        p++;
        }
        return n;
}

static void each_argument_has_a_name(void) {
        for (unsigned i = 0; operations[i]; i++) {
                const Operation *operation = operations[i];

                bool answers = !has_no_task(operation) ||
                               operation->flags & OPERATION_ANSWERS_OBJECT;

                g_assert_cmpuint(count_names(operation->argument_names), ==,
                                count_types(operation->signature) + answers);
        }
}

/* Without options there is no Queue, and nothing says how to take the call up later. What nobody
 * calls needs none. */
static void what_has_a_task_has_options(void) {
        for (unsigned i = 0; operations[i]; i++)
                g_assert_true(has_no_task(operations[i]) || !*operations[i]->interface ||
                                g_str_has_suffix(operations[i]->signature, "a{sv}"));
}

static void what_changes_a_machine_durably_can_be_settled(void) {
        for (unsigned i = 0; operations[i]; i++)
                g_assert_true(!(operations[i]->flags & OPERATION_DURABLE) || operations[i]->settle);
}

/* Without cancel() run() has to look by itself. */
static void only_what_has_a_task_can_be_cancelled(void) {
        for (unsigned i = 0; operations[i]; i++) {
                const Operation *operation = operations[i];

                g_assert_false(has_no_task(operation) && operation->flags & OPERATION_CANCELLABLE);
                g_assert_true(!operation->cancel || operation->flags & OPERATION_CANCELLABLE);
        }
}

static void what_is_stored_is_loaded(void) {
        for (unsigned i = 0; operations[i]; i++)
                g_assert_true(!operations[i]->request_store == !operations[i]->request_load);
}

/* Snapshots and reference points can be taken, applied and destroyed whatever the machine does;
 * whether it can be exported depends on the settings. */
static void what_happens_in_all_states_of_a_machine_is_known(void) {
        for (unsigned i = 0; operations[i]; i++) {
                const Operation *operation = operations[i];

                bool refuses = operation->refuse[MACHINE_TURNED_OFF] ||
                               operation->refuse[MACHINE_SAVED] ||
                               operation->refuse[MACHINE_RUNNING] ||
                               operation->refuse[MACHINE_PAUSED];

                g_assert_true(refuses || g_str_equal(operation->interface, "Manager") ||
                                g_str_equal(operation->member, "SetNotes") ||
                                g_str_equal(operation->member, "SetUndoAction") ||
                                g_str_has_prefix(operation->name, "system-export") ||
                                g_str_equal(operation->interface, "Collection") ||
                                g_str_equal(operation->interface, "HardDisk") ||
                                g_str_has_prefix(operation->interface, "Snapshot") ||
                                g_str_has_prefix(operation->interface, "ReferencePoint"));
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(each_row_is_complete);
        ADD(each_name_and_each_method_is_given_once);
        ADD(a_requested_state_means_one_operation);
        ADD(each_argument_has_a_name);
        ADD(what_has_a_task_has_options);
        ADD(what_changes_a_machine_durably_can_be_settled);
        ADD(only_what_has_a_task_can_be_cancelled);
        ADD(what_is_stored_is_loaded);
        ADD(what_happens_in_all_states_of_a_machine_is_known);
        return g_test_run();
}
