/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connections to libvirt: opened together, lost together, lent to workers one domain at a time.
 */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "backend/facts.h"
#include "util/mailbox.h"

typedef struct Backend Backend;

typedef enum BackendEventKind {
        BACKEND_EVENT_CHANGED, /* something about the domain is different; read its facts */
        BACKEND_EVENT_RESET,
        BACKEND_EVENT_GUEST_SHUTDOWN,
        BACKEND_EVENT_DISK_FULL,
        BACKEND_EVENT_DISK_FULL_PAUSED,
        BACKEND_EVENT_AGENT_CONNECTED, /* followed by BACKEND_EVENT_CHANGED */
} BackendEventKind;

/* Called on the loop. */
typedef struct BackendHooks {
        void (*event)(BackendEventKind kind, const char *uuid, void *userdata);
        void (*lost)(void *userdata); /* the connection is gone; call backend_disconnect() on a
                                         worker */
} BackendHooks;

/* What a connection is used for: libvirtd works on five calls of one connection at a time, so calls
 * that may block for minutes must not share one with those that must not. */
typedef enum BackendPurpose {
        BACKEND_QUERY,    /* facts and events */
        BACKEND_PROGRESS, /* questions that may block as long as the operation they are about */
        BACKEND_ABORT,    /* cancel */
        BACKEND_URGENT,   /* forced power-off */
        BACKEND_SHORT,    /* operations that take a moment */
        BACKEND_LONG,     /* operations that take minutes */
        BACKEND_GUEST,    /* whatever waits for the agent in a guest: a few at once, others wait for
                             their loan */
} BackendPurpose;

/* A domain on loan, with its share of a connection. */
typedef struct BackendDomain {
        Backend *backend;
        unsigned slot;
        virDomainPtr domain;
} BackendDomain;

/* "userdata" is given to the hooks; the mailbox outlives the backend. Nothing is opened yet. Starts
 * libvirt's event loop on a thread of its own, once a process. Loop. */
Backend *backend_new(const char *uri, Mailbox *mailbox, const BackendHooks *hooks, void *userdata);

/* The facts of all domains on new connections; NULL and HYPERVISOR_UNAVAILABLE (or BACKEND) on
 * failure. Worker; may block. */
GPtrArray *backend_connect(Backend *backend, GError **error);

/* Closes all connections; workers that still use one keep it until they are done. Worker. */
void backend_disconnect(Backend *backend);

/* Whether the hypervisor's driver lives in this process, and its work ends with it. Any thread. */
bool backend_is_in_process(const Backend *backend);

/* Whether connections are open. Any thread. */
bool backend_is_connected(Backend *backend);

/* Waits until connections are open, at most "usec" microseconds. Worker. */
bool backend_wait_connected(Backend *backend, gint64 usec);

/* Lends the connection for a purpose; give it back with virConnectClose(). Worker. */
virConnectPtr backend_lend(Backend *backend, BackendPurpose purpose, GError **error);

/* Lends a domain. NO_SUCH_VIRTUAL_MACHINE, HYPERVISOR_UNAVAILABLE. Worker. */
bool backend_open_domain(Backend *backend,
                BackendPurpose purpose,
                const char *uuid,
                BackendDomain *ret,
                GError **error);
void backend_domain_clear(BackendDomain *domain);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BackendDomain, backend_domain_clear)

static inline void backend_unref_domain(virDomainPtr domain) {
        if (domain)
                (void) virDomainFree(domain);
}

static inline void backend_unref_connection(virConnectPtr connection) {
        if (connection)
                (void) virConnectClose(connection);
}

static inline void backend_unref_snapshot(virDomainSnapshotPtr snapshot) {
        if (snapshot)
                (void) virDomainSnapshotFree(snapshot);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, backend_unref_domain)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainSnapshot, backend_unref_snapshot)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virConnect, backend_unref_connection)
