/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libvirt's events, turned into small letters for the loop. */

#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "backend/backend.h"

#define BACKEND_EVENT_IDS 5

/* Receives the events of one connection; "ids" remember what to deregister. */
typedef struct BackendEvents {
        virConnectPtr connection;
        int ids[BACKEND_EVENT_IDS];
} BackendEvents;

typedef struct BackendEventSink {
        Mailbox *mailbox;
        const BackendHooks *hooks;
        void *userdata;
} BackendEventSink;

/* Starts libvirt's default event loop on a thread of its own. Once; before the first connection. */
void backend_event_loop_start(void);

/* "sink" outlives the registration. Events that a driver does not know are left out; without
 * lifecycle events this fails. Worker. */
bool backend_events_register(BackendEvents *events,
                virConnectPtr connection,
                BackendEventSink *sink,
                GError **error);
void backend_events_deregister(BackendEvents *events);
