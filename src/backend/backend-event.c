/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt calls back on its event thread. An event is only a hint here: the identifier of the
 * domain and a kind go into the mailbox, and the loop has the facts read anew. So a lost or doubled
 * event costs one reading and never gives a wrong state. */

#include "backend/backend-event.h"

#include <pthread.h>
#include <string.h>

#include "backend/backend-error.h"

typedef struct EventLetter {
        BackendEventSink *sink;
        BackendEventKind kind;
        char uuid[VIR_UUID_STRING_BUFLEN];
} EventLetter;

static void *event_loop(void *unused) {
        for (;;)
                (void) virEventRunDefaultImpl();
        return NULL;
}

void backend_event_loop_start(void) {
        pthread_t thread;

        if (virEventRegisterDefaultImpl() < 0 ||
                        pthread_create(&thread, NULL, event_loop, NULL) != 0)
                g_error("Failed to start the event loop of libvirt");
        pthread_detach(thread);
}

static void on_letter(void *data) {
        g_autofree EventLetter *letter = data;

        letter->sink->hooks->event(letter->kind, letter->uuid, letter->sink->userdata);
}

static void post(virDomainPtr domain, BackendEventKind kind, void *userdata) {
        BackendEventSink *sink = userdata;
        EventLetter *letter = g_new0(EventLetter, 1);

        letter->sink = sink;
        letter->kind = kind;
        if (virDomainGetUUIDString(domain, letter->uuid) < 0) {
                g_free(letter);
                return;
        }
        mailbox_post(sink->mailbox, on_letter, letter);
}

static int
on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *userdata) {
        if (event == VIR_DOMAIN_EVENT_SHUTDOWN && detail != VIR_DOMAIN_EVENT_SHUTDOWN_HOST)
                post(domain, BACKEND_EVENT_GUEST_SHUTDOWN, userdata);
        post(domain, BACKEND_EVENT_CHANGED, userdata);
        return 0;
}

static void on_reboot(virConnectPtr connection, virDomainPtr domain, void *userdata) {
        post(domain, BACKEND_EVENT_RESET, userdata);
}

static void on_metadata(virConnectPtr connection,
                virDomainPtr domain,
                int type,
                const char *uri,
                void *userdata) {
        post(domain, BACKEND_EVENT_CHANGED, userdata);
}

static void on_io_error(virConnectPtr connection,
                virDomainPtr domain,
                const char *path,
                const char *alias,
                int action,
                const char *reason,
                void *userdata) {
        bool paused = action == VIR_DOMAIN_EVENT_IO_ERROR_PAUSE;

        if (reason && g_str_equal(reason, "enospc"))
                post(domain, paused ? BACKEND_EVENT_DISK_FULL_PAUSED : BACKEND_EVENT_DISK_FULL,
                                userdata);
        post(domain, BACKEND_EVENT_CHANGED, userdata);
}

static void
on_agent(virConnectPtr connection, virDomainPtr domain, int state, int reason, void *userdata) {
        if (state == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED)
                post(domain, BACKEND_EVENT_AGENT_CONNECTED, userdata);
        post(domain, BACKEND_EVENT_CHANGED, userdata);
}

void backend_events_deregister(BackendEvents *events) {
        for (size_t i = 0; i < BACKEND_EVENT_IDS; i++)
                if (events->ids[i] >= 0)
                        (void) virConnectDomainEventDeregisterAny(
                                        events->connection, events->ids[i]);
}

bool backend_events_register(BackendEvents *events,
                virConnectPtr connection,
                BackendEventSink *sink,
                GError **error) {
        const struct {
                int id;
                virConnectDomainEventGenericCallback callback;
        } rows[BACKEND_EVENT_IDS] = {
                        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)},
                        {VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot)},
                        {VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
                                        VIR_DOMAIN_EVENT_CALLBACK(on_metadata)},
                        {VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
                                        VIR_DOMAIN_EVENT_CALLBACK(on_io_error)},
                        {VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent)},
        };

        events->connection = connection;
        for (size_t i = 0; i < BACKEND_EVENT_IDS; i++)
                events->ids[i] = virConnectDomainEventRegisterAny(
                                connection, NULL, rows[i].id, rows[i].callback, sink, NULL);
        if (events->ids[0] >= 0)
                return true;
        backend_error_set(error, "Failed to listen to the hypervisor");
        backend_events_deregister(events);
        return false;
}
