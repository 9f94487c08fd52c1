/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What becomes of running tasks when the service is stopped depends on who does the work. A
 * libvirtd goes on without us: the tasks stay in the ledger and the next daemon takes them over, so
 * an upgrade disturbs nobody; only for a start, whose last step is ours, the daemon waits. Embedded
 * QEMU's work dies with this process: there the tasks are cancelled, and the daemon waits until
 * they have come home. It waits for a minute at most, and a second signal ends it at once; the
 * ledger knows how to go on from that too. */

#include "service/shutdown.h"

#include <signal.h>
#include <systemd/sd-daemon.h>

#include "util/log.h"

#define PATIENCE_USEC (60 * G_USEC_PER_SEC)
#define LOOK_USEC     (G_USEC_PER_SEC / 20)

static bool must_wait(Manager *manager) {
        if (backend_is_in_process(manager->backend))
                return task_list_unfinished(manager->tasks) > 0;
        return task_list_is_needed(manager->tasks);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;

        if (!must_wait(manager))
                return sd_event_exit(manager->event, 0);
        (void) sd_event_source_set_time_relative(source, LOOK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_out_of_patience(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;

        log_warning("%u tasks did not end in time; the next start settles them",
                        task_list_unfinished(manager->tasks));
        return sd_event_exit(manager->event, 0);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Manager *manager = userdata;
        bool again = task_list_is_closed(manager->tasks);
        int r;

        (void) sd_notify(false, "STOPPING=1");
        task_list_close(manager->tasks, backend_is_in_process(manager->backend));
        if (again || !must_wait(manager))
                return sd_event_exit(manager->event, 0);

        (void) sd_notifyf(false, "EXTEND_TIMEOUT_USEC=%" G_GUINT64_FORMAT, (guint64) PATIENCE_USEC);
        r = sd_event_add_time_relative(manager->event, NULL, CLOCK_MONOTONIC, PATIENCE_USEC, 0,
                        on_out_of_patience, manager);
        if (r >= 0)
                r = sd_event_add_time_relative(manager->event, NULL, CLOCK_MONOTONIC, 0,
                                LOOK_USEC / 10, on_look, manager);
        return r < 0 ? sd_event_exit(manager->event, 0) : 0;
}

int shutdown_on_signals(Manager *manager) {
        int r = sd_event_add_signal(manager->event, NULL, SIGTERM, on_signal, manager);

        if (r >= 0)
                r = sd_event_add_signal(manager->event, NULL, SIGINT, on_signal, manager);
        return r;
}
