/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt's own event has no time, and the call that stops a guest returns when our thread is
 * scheduled; QEMU's event has the time at which it happened. Looking at QEMU's events is libvirt's
 * interface for those who know QEMU; unlike giving QEMU commands it does not taint the domain. */

#include "backend/stop-watch.h"

#include <libvirt/libvirt-qemu.h>
#include <stdatomic.h>

/* Referenced by the owner, and by libvirt until it has forgotten the callback. */
typedef struct Times {
        _Atomic gint64 stopped;
} Times;

struct StopWatch {
        virConnectPtr connection; /* a reference */
        int callback;
        Times *times;
};

/* libvirt's event thread. */
static void on_stop(virConnectPtr connection,
                virDomainPtr domain,
                const char *event,
                long long seconds,
                unsigned micros,
                const char *details,
                void *userdata) {
        Times *times = userdata;
        gint64 unknown = 0;

        (void) atomic_compare_exchange_strong(
                        &times->stopped, &unknown, seconds * G_USEC_PER_SEC + micros);
}

StopWatch *stop_watch_new(virDomainPtr domain) {
        virConnectPtr connection = virDomainGetConnect(domain);
        Times *times = g_atomic_rc_box_new0(Times);
        StopWatch *watch;
        int callback = virConnectDomainQemuMonitorEventRegister(connection, domain, "STOP", on_stop,
                        g_atomic_rc_box_acquire(times), g_atomic_rc_box_release, 0);

        if (callback < 0) {
                g_atomic_rc_box_release(times);
                g_atomic_rc_box_release(times);
                return NULL;
        }
        (void) virConnectRef(connection);
        watch = g_new(StopWatch, 1);
        *watch = (StopWatch){connection, callback, times};
        return watch;
}

StopWatch *stop_watch_free(StopWatch *watch) {
        if (!watch)
                return NULL;
        (void) virConnectDomainQemuMonitorEventDeregister(watch->connection, watch->callback);
        (void) virConnectClose(watch->connection);
        g_atomic_rc_box_release(watch->times);
        g_free(watch);
        return NULL;
}

gint64 stop_watch_read(const StopWatch *watch) {
        return watch ? atomic_load(&watch->times->stopped) : 0;
}
