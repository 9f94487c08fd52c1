/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connections, with libvirt's test driver: its machines belong to the process and not to the
 * connection, so a test may act beside the backend. libvirt's event thread never ends, and neither
 * do the backends. */

#define MODULE "backend"

#include <string.h>

#include "backend/backend.h"
#include "support.h"

#define UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"

static sd_event *event;
static Mailbox *mailbox;
static Backend *backend;
static unsigned changes;

static void on_event(BackendEventKind kind, const char *uuid, void *userdata) {
        g_assert_cmpstr(uuid, ==, UUID);
        g_assert_true(userdata == &changes);
        if (kind == BACKEND_EVENT_CHANGED)
                changes++;
}

static void on_lost(void *userdata) {
        g_assert_not_reached();
}

static void connect_all(void) {
        g_autoptr(GError) error = NULL;
        GPtrArray *all = backend_connect(backend, &error);

        g_assert_no_error(error);
        g_ptr_array_unref(all);
}

static void connecting_reads_all_machines(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) all = backend_connect(backend, &error);

        g_assert_no_error(error);
        g_assert_cmpuint(all->len, ==, 1);
        g_assert_cmpstr(((MachineFacts *) all->pdata[0])->uuid, ==, UUID);
        g_assert_true(backend_is_connected(backend));
        backend_disconnect(backend);
        g_assert_false(backend_is_connected(backend));
}

static void nothing_is_lent_without_a_connection(void) {
        BackendDomain loan = {NULL, 0, NULL};
        g_autoptr(GError) error = NULL;

        g_assert_false(backend_open_domain(backend, BACKEND_LONG, UUID, &loan, &error));
        assert_error(error, HYPERVISOR_UNAVAILABLE);
        g_assert_null(backend_lend(backend, BACKEND_QUERY, &error));
        assert_error(error, HYPERVISOR_UNAVAILABLE);
        g_assert_null(loan.domain);
        backend_domain_clear(&loan);
}

static void each_purpose_has_a_connection(void) {
        connect_all();
        for (int purpose = BACKEND_QUERY; purpose <= BACKEND_LONG; purpose++) {
                g_auto(BackendDomain) loan = {NULL, 0, NULL};
                g_autoptr(virConnect) connection = NULL;

                g_assert_true(backend_open_domain(
                                backend, (BackendPurpose) purpose, UUID, &loan, NULL));
                g_assert_cmpstr(virDomainGetName(loan.domain), ==, "test");
                connection = backend_lend(backend, (BackendPurpose) purpose, NULL);
                g_assert_cmpint(virConnectIsAlive(connection), ==, 1);
        }
        backend_disconnect(backend);
}

static void a_machine_that_does_not_exist_is_not_lent(void) {
        BackendDomain loan = {NULL, 0, NULL};
        g_autoptr(GError) error = NULL;

        connect_all();
        g_assert_false(backend_open_domain(backend, BACKEND_QUERY,
                        "00000000-0000-0000-0000-000000000001", &loan, &error));
        assert_error(error, NO_SUCH_VIRTUAL_MACHINE);
        backend_disconnect(backend);
}

static void a_loan_outlives_the_connection(void) {
        BackendDomain loan = {NULL, 0, NULL};

        connect_all();
        g_assert_true(backend_open_domain(backend, BACKEND_LONG, UUID, &loan, NULL));
        backend_disconnect(backend);
        g_assert_cmpint(virDomainIsActive(loan.domain), ==, 1);
        connect_all();
        backend_domain_clear(&loan);
        backend_domain_clear(&loan);
        g_assert_true(backend_open_domain(backend, BACKEND_LONG, UUID, &loan, NULL));
        backend_domain_clear(&loan);
        backend_disconnect(backend);
}

static void disconnecting_may_be_repeated(void) {
        backend_disconnect(backend);
        backend_disconnect(backend);
}

static void an_event_becomes_a_letter(void) {
        g_autoptr(virConnect) connection = NULL;
        g_autoptr(virDomain) domain = NULL;

        connect_all();
        changes = 0;
        connection = backend_lend(backend, BACKEND_SHORT, NULL);
        domain = virDomainLookupByUUIDString(connection, UUID);
        g_assert_cmpint(virDomainSuspend(domain), ==, 0);
        drive_until(event, changes > 0);
        changes = 0;
        g_assert_cmpint(virDomainResume(domain), ==, 0);
        drive_until(event, changes > 0);
        backend_disconnect(backend);
}

static void the_test_driver_lives_in_this_process(void) {
        g_assert_true(backend_is_in_process(backend));
}

static void waiting_ends_with_its_time(void) {
        g_assert_false(backend_wait_connected(backend, 1000));
}

static void *wait_connected(void *data) {
        return GINT_TO_POINTER(backend_wait_connected(backend, DEADLINE_USEC));
}

static void waiting_ends_with_the_connection(void) {
        GThread *thread = g_thread_new("waiter", wait_connected, NULL);

        connect_all();
        g_assert_true(g_thread_join(thread));
        backend_disconnect(backend);
}

static void a_hypervisor_that_is_not_there_is_an_error(void) {
        static const BackendHooks hooks = {on_event, on_lost};
        static Backend *other;
        g_autoptr(GError) error = NULL;

        other = backend_new("test:///nonexistent/file.xml", mailbox, &hooks, &changes);
        g_assert_null(backend_connect(other, &error));
        g_assert_true(error && error->domain == VIRTASK_ERROR);
        g_assert_false(backend_is_connected(other));
}

int main(int argc, char **argv) {
        static const BackendHooks hooks = {on_event, on_lost};

        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        mailbox = mailbox_new(event);
        backend = backend_new("test:///default", mailbox, &hooks, &changes);
        ADD(nothing_is_lent_without_a_connection);
        ADD(connecting_reads_all_machines);
        ADD(each_purpose_has_a_connection);
        ADD(a_machine_that_does_not_exist_is_not_lent);
        ADD(a_loan_outlives_the_connection);
        ADD(disconnecting_may_be_repeated);
        ADD(an_event_becomes_a_letter);
        ADD(the_test_driver_lives_in_this_process);
        ADD(waiting_ends_with_its_time);
        ADD(waiting_ends_with_the_connection);
        ADD(a_hypervisor_that_is_not_there_is_an_error);
        return g_test_run();
}
