/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt's events of one domain. They arrive on libvirt's event thread, which only leaves a mark;
 * the worker looks at it when it has the time. */

#include "guest/guest-watch.h"

#include <stdatomic.h>

#include "backend/backend-error.h"

enum { WATCH_LIFECYCLE, WATCH_REBOOT, WATCH_COUNT };

/* Referenced by the owner, and by libvirt until it has forgotten the callback. */
typedef struct Marks {
        _Atomic bool stopped, by_guest, reset;
} Marks;

struct GuestWatch {
        virConnectPtr connection; /* a reference */
        int callbacks[WATCH_COUNT];
        Marks *marks;
};

static int
on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *userdata) {
        Marks *marks = userdata;

        if (event != VIR_DOMAIN_EVENT_STOPPED)
                return 0;
        atomic_store(&marks->by_guest, detail == VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN);
        atomic_store(&marks->stopped, true);
        return 0;
}

static void on_reboot(virConnectPtr connection, virDomainPtr domain, void *userdata) {
        Marks *marks = userdata;

        atomic_store(&marks->reset, true);
}

static int listen_to(virDomainPtr domain,
                int id,
                virConnectDomainEventGenericCallback callback,
                Marks *marks) {
        int number = virConnectDomainEventRegisterAny(virDomainGetConnect(domain), domain, id,
                        callback, g_atomic_rc_box_acquire(marks), g_atomic_rc_box_release);

        if (number < 0)
                g_atomic_rc_box_release(marks);
        return number;
}

GuestWatch *guest_watch_new(virDomainPtr domain, GError **error) {
        g_autoptr(GuestWatch) watch = g_new(GuestWatch, 1);
        Marks *marks = g_atomic_rc_box_new0(Marks);

        *watch = (GuestWatch){virDomainGetConnect(domain), {-1, -1}, marks};
        (void) virConnectRef(watch->connection);
        watch->callbacks[WATCH_LIFECYCLE] = listen_to(domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                        VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), marks);
        if (watch->callbacks[WATCH_LIFECYCLE] >= 0)
                watch->callbacks[WATCH_REBOOT] = listen_to(domain, VIR_DOMAIN_EVENT_ID_REBOOT,
                                VIR_DOMAIN_EVENT_CALLBACK(on_reboot), marks);
        if (watch->callbacks[WATCH_REBOOT] >= 0)
                return g_steal_pointer(&watch);
        backend_error_set(error, "Failed to listen to '%s'", virDomainGetName(domain));
        return NULL;
}

GuestWatch *guest_watch_free(GuestWatch *watch) {
        if (!watch)
                return NULL;
        for (int i = 0; i < WATCH_COUNT; i++)
                if (watch->callbacks[i] >= 0)
                        (void) virConnectDomainEventDeregisterAny(
                                        watch->connection, watch->callbacks[i]);
        (void) virConnectClose(watch->connection);
        g_atomic_rc_box_release(watch->marks);
        g_free(watch);
        return NULL;
}

bool guest_watch_has_stopped(const GuestWatch *watch, bool *ret_by_guest) {
        if (!atomic_load(&watch->marks->stopped))
                return false;
        *ret_by_guest = atomic_load(&watch->marks->by_guest);
        return true;
}

bool guest_watch_take_reset(const GuestWatch *watch) {
        return atomic_exchange(&watch->marks->reset, false);
}

bool guest_watch_is_deaf(const GuestWatch *watch) {
        return virConnectIsAlive(watch->connection) != 1;
}
