/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A libvirtd works on at most five calls of a connection at a time and on twenty in all, so there
 * are several connections: one for events and facts, one for progress, one for aborts, one for
 * forced power-off, one for operations that take a moment, two for those that take minutes (four at
 * most on each), and two for what asks agents in guests, which may not answer (four at most on each
 * as well; others wait). The drivers that live in our own process (embedded QEMU, the test driver)
 * have no such limit, and some of them keep their machines per connection: there it is one
 * connection for everything.
 *
 * A connection that is lost never heals. All are closed then, and new ones are opened; a worker in
 * the middle of a call keeps the dead one until the call has failed. The slots are the only state
 * that threads share, behind one lock that is never held over a call into libvirt. */

#include "backend/backend.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "backend/backend-error.h"
#include "backend/backend-event.h"
#include "backend/guest-notes.h"
#include "backend/layout.h"
#include "util/error.h"

#define SLOTS             9
#define GUEST_LOANS       4 /* on a connection: a guest that hangs keeps its call for a minute */
#define KEEPALIVE_SECONDS 5
#define KEEPALIVE_COUNT   3

typedef struct Slot {
        virConnectPtr connection;
        unsigned loans;
} Slot;

typedef struct Range {
        unsigned first, count;
} Range;

static const Range slots_of[] = {
                [BACKEND_QUERY] = {0, 1},
                [BACKEND_PROGRESS] = {1, 1},
                [BACKEND_ABORT] = {2, 1},
                [BACKEND_URGENT] = {3, 1},
                [BACKEND_SHORT] = {4, 1},
                [BACKEND_LONG] = {5, 2},
                [BACKEND_GUEST] = {7, 2},
};

struct Backend {
        char *uri;
        bool in_process;
        BackendHooks hooks;
        BackendEventSink sink;
        BackendEvents events;

        pthread_mutex_t lock;
        pthread_cond_t connected_changed;
        pthread_cond_t loan_possible; /* or the connection is lost */
        bool connected;
        unsigned lost_generation; /* the newest that a connection was lost of */
        unsigned generation;      /* counts the connects, so that the loss of an old connection is
                                ignored */
        Slot slots[SLOTS];
};

typedef struct LossLetter {
        Backend *backend;
        unsigned generation;
} LossLetter;

static void ignore_error(void *userdata, virErrorPtr error) {
}

static bool is_in_process(const char *uri) {
        return g_str_has_prefix(uri, "test:") || g_str_has_prefix(uri, "qemu:///embed");
}

/* Embedded QEMU would look for virtlogd, which a host without libvirtd does not run. */
static void prepare_embedded(const char *uri) {
        g_auto(Layout) layout = {0};
        g_autofree char *directory = NULL, *file = NULL;

        layout_of_uri(uri, &layout);
        if (!layout.root)
                return;
        directory = g_build_filename(layout.root, "etc", NULL);
        file = g_build_filename(directory, "qemu.conf", NULL);
        if (g_mkdir_with_parents(directory, 0755) == 0 && !g_file_test(file, G_FILE_TEST_EXISTS))
                (void) g_file_set_contents(file, "stdio_handler = \"file\"\n", -1, NULL);
}

Backend *backend_new(const char *uri, Mailbox *mailbox, const BackendHooks *hooks, void *userdata) {
        static GSList *all; /* a backend is never freed: libvirt's threads may still call back */
        Backend *backend = g_new0(Backend, 1);
        pthread_condattr_t clock;

        all = g_slist_prepend(all, backend);
        backend->uri = g_strdup(uri);
        backend->in_process = is_in_process(uri);
        backend->hooks = *hooks;
        backend->sink = (BackendEventSink){mailbox, &backend->hooks, userdata};
        pthread_mutex_init(&backend->lock, NULL);
        pthread_condattr_init(&clock);
        pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
        pthread_cond_init(&backend->connected_changed, &clock);
        pthread_condattr_destroy(&clock);
        pthread_cond_init(&backend->loan_possible, NULL);

        virSetErrorFunc(NULL, ignore_error);
        prepare_embedded(uri);
        guest_notes_mend(uri);
        backend_event_loop_start();
        return backend;
}

static void on_loss_letter(void *data) {
        g_autofree LossLetter *letter = data;
        Backend *backend = letter->backend;
        bool current;

        pthread_mutex_lock(&backend->lock);
        current = backend->generation == letter->generation;
        pthread_mutex_unlock(&backend->lock);
        if (current)
                backend->hooks.lost(backend->sink.userdata);
}

/* On any thread, even one in the middle of a call (a keepalive that was not answered). From here on
 * nobody borrows the connection any more; it is closed when the loop has heard of it. */
static void on_close(virConnectPtr connection, int reason, void *userdata) {
        const LossLetter *loss = userdata;
        Backend *backend = loss->backend;

        pthread_mutex_lock(&backend->lock);
        if (backend->generation == loss->generation)
                backend->connected = false;
        backend->lost_generation = MAX(backend->lost_generation, loss->generation);
        pthread_cond_broadcast(&backend->loan_possible);
        pthread_mutex_unlock(&backend->lock);
        mailbox_post(backend->sink.mailbox, on_loss_letter, g_memdup2(loss, sizeof(*loss)));
}

static void close_one(virConnectPtr connection) {
        if (!connection)
                return;
        (void) virConnectUnregisterCloseCallback(connection, on_close);
        (void) virConnectClose(connection);
}

static virConnectPtr open_one(Backend *backend, unsigned generation, GError **error) {
        virConnectPtr connection = virConnectOpen(backend->uri);
        LossLetter *loss;

        if (!connection) {
                backend_error_set(error, "Failed to connect to the hypervisor");
                return NULL;
        }
        if (backend->in_process)
                return connection;

        loss = g_new(LossLetter, 1);
        *loss = (LossLetter){backend, generation};
        if (virConnectRegisterCloseCallback(connection, on_close, loss, g_free) < 0)
                g_free(loss);
        (void) virConnectSetKeepAlive(connection, KEEPALIVE_SECONDS, KEEPALIVE_COUNT);
        return connection;
}

static bool open_all(
                Backend *backend, unsigned generation, virConnectPtr ret[SLOTS], GError **error) {
        for (unsigned i = 0; i < SLOTS; i++) {
                ret[i] = i > 0 && backend->in_process ? ret[0]
                                                      : open_one(backend, generation, error);
                if (ret[i])
                        continue;
                while (i > 0)
                        close_one(ret[--i]);
                return false;
        }
        for (unsigned i = 1; i < SLOTS && backend->in_process; i++)
                (void) virConnectRef(ret[0]);
        return true;
}

static void free_facts(void *facts) {
        facts_free(facts);
}

/* A domain that can't be read, because it vanishes meanwhile, is left out; only if nothing can be
 * read any more the reading has failed, or a list with gaps would be taken for the truth. */
static bool read_one(GPtrArray *all, virDomainPtr domain, GError **error) {
        g_autoptr(GError) cause = NULL;
        MachineFacts *facts = facts_read(domain, &cause);

        if (facts)
                g_ptr_array_add(all, facts);
        else if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE)) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        return true;
}

static GPtrArray *read_all(virConnectPtr connection, GError **error) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(free_facts);
        virDomainPtr *domains = NULL;
        int n = virConnectListAllDomains(connection, &domains, 0);
        bool ok = true;

        if (n < 0) {
                backend_error_set(error, "Failed to list the virtual machines");
                return NULL;
        }
        for (int i = 0; i < n; i++) {
                ok = ok && read_one(all, domains[i], error);
                (void) virDomainFree(domains[i]);
        }
        free(domains);
        return ok ? g_steal_pointer(&all) : NULL;
}

static void set_unavailable(GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE,
                        "There is no connection to the hypervisor");
}

/* Puts new connections to use, unless one of them is lost already. */
static bool install(Backend *backend,
                unsigned generation,
                virConnectPtr connections[SLOTS],
                const BackendEvents *events,
                GError **error) {
        bool lost;

        pthread_mutex_lock(&backend->lock);
        lost = backend->lost_generation >= generation;
        if (!lost) {
                for (unsigned i = 0; i < SLOTS; i++)
                        backend->slots[i] = (Slot){.connection = connections[i]};
                backend->events = *events;
                backend->connected = true;
                pthread_cond_broadcast(&backend->connected_changed);
        }
        pthread_mutex_unlock(&backend->lock);
        if (lost)
                set_unavailable(error);
        return !lost;
}

GPtrArray *backend_connect(Backend *backend, GError **error) {
        virConnectPtr connections[SLOTS];
        BackendEvents events;
        g_autoptr(GPtrArray) all = NULL;
        unsigned generation;

        pthread_mutex_lock(&backend->lock);
        generation = ++backend->generation;
        pthread_mutex_unlock(&backend->lock);

        if (!open_all(backend, generation, connections, error))
                return NULL;
        /* Listen first, then read: what changes in between is read twice instead of never. */
        if (backend_events_register(&events, connections[0], &backend->sink, error)) {
                all = read_all(connections[0], error);
                if (all && install(backend, generation, connections, &events, error))
                        return g_steal_pointer(&all);
                backend_events_deregister(&events);
        }
        for (unsigned i = 0; i < SLOTS; i++)
                close_one(connections[i]);
        return NULL;
}

void backend_disconnect(Backend *backend) {
        virConnectPtr connections[SLOTS];
        BackendEvents events;
        bool open;

        pthread_mutex_lock(&backend->lock);
        open = backend->slots[0].connection;
        events = backend->events;
        for (unsigned i = 0; i < SLOTS; i++) {
                connections[i] = backend->slots[i].connection;
                backend->slots[i].connection = NULL;
        }
        backend->connected = false;
        pthread_cond_broadcast(&backend->loan_possible);
        pthread_mutex_unlock(&backend->lock);

        if (!open)
                return;
        backend_events_deregister(&events);
        for (unsigned i = 0; i < SLOTS; i++)
                close_one(connections[i]);
}

bool backend_is_in_process(const Backend *backend) {
        return backend->in_process;
}

bool backend_is_connected(Backend *backend) {
        bool connected;

        pthread_mutex_lock(&backend->lock);
        connected = backend->connected;
        pthread_mutex_unlock(&backend->lock);
        return connected;
}

bool backend_wait_connected(Backend *backend, gint64 usec) {
        gint64 end = g_get_monotonic_time() + usec;
        const struct timespec at = {end / G_USEC_PER_SEC, (end % G_USEC_PER_SEC) * 1000};
        bool connected;
        int r = 0;

        pthread_mutex_lock(&backend->lock);
        while (!backend->connected && r == 0)
                r = pthread_cond_timedwait(&backend->connected_changed, &backend->lock, &at);
        connected = backend->connected;
        pthread_mutex_unlock(&backend->lock);
        return connected;
}

static unsigned find_slot(const Backend *backend, Range range) {
        unsigned best = range.first;

        for (unsigned i = range.first; i < range.first + range.count; i++)
                if (backend->slots[i].loans < backend->slots[best].loans)
                        best = i;
        return best;
}

/* The connection of the purpose with the fewest loans; NULL while there is none. */
static virConnectPtr take(Backend *backend, BackendPurpose purpose, unsigned *ret_slot) {
        bool limited = purpose == BACKEND_GUEST && !backend->in_process;
        virConnectPtr connection;
        unsigned best;

        pthread_mutex_lock(&backend->lock);
        best = find_slot(backend, slots_of[purpose]);
        while (limited && backend->connected && backend->slots[best].loans >= GUEST_LOANS) {
                pthread_cond_wait(&backend->loan_possible, &backend->lock);
                best = find_slot(backend, slots_of[purpose]);
        }
        connection = backend->connected ? backend->slots[best].connection : NULL;
        if (connection) {
                backend->slots[best].loans++;
                (void) virConnectRef(connection);
        }
        pthread_mutex_unlock(&backend->lock);
        *ret_slot = best;
        return connection;
}

static void give_back(Backend *backend, unsigned slot, virConnectPtr connection) {
        pthread_mutex_lock(&backend->lock);
        if (backend->slots[slot].connection == connection)
                backend->slots[slot].loans--;
        pthread_cond_signal(&backend->loan_possible);
        pthread_mutex_unlock(&backend->lock);
        (void) virConnectClose(connection);
}

virConnectPtr backend_lend(Backend *backend, BackendPurpose purpose, GError **error) {
        virConnectPtr connection;
        unsigned slot;

        connection = take(backend, purpose, &slot);
        if (!connection) {
                set_unavailable(error);
                return NULL;
        }
        (void) virConnectRef(connection);
        give_back(backend, slot, connection);
        return connection;
}

bool backend_open_domain(Backend *backend,
                BackendPurpose purpose,
                const char *uuid,
                BackendDomain *ret,
                GError **error) {
        virConnectPtr connection;
        virDomainPtr domain;
        unsigned slot;

        connection = take(backend, purpose, &slot);
        if (!connection) {
                set_unavailable(error);
                return false;
        }
        domain = virDomainLookupByUUIDString(connection, uuid);
        if (!domain) {
                backend_error_set(error, "Failed to find the virtual machine");
                give_back(backend, slot, connection);
                return false;
        }
        *ret = (BackendDomain){backend, slot, domain};
        return true;
}

void backend_domain_clear(BackendDomain *domain) {
        virConnectPtr connection;

        if (!domain->domain)
                return;
        connection = virDomainGetConnect(domain->domain);
        (void) virDomainFree(domain->domain);
        domain->domain = NULL;
        give_back(domain->backend, domain->slot, connection);
}
