/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setting up sd-event for wait, watch and monitor. Signals come through signalfd sources, so all
 * code of the tool runs outside of signal handlers. */

#include <signal.h>
#include <string.h>

#include "common.h"
#include "event-loop.h"
#include "message.h"

sd_event *event_loop_new(Session *s) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int r = sd_event_new(&event);

        if (r >= 0)
                r = sd_bus_attach_event(s->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                message_error("cannot make an event loop: %s", strerror(-r));
                return NULL;
        }
        return STEAL_POINTER(event);
}

int event_loop_add_signal(
                sd_event *event, int number, sd_event_signal_handler_t handler, void *userdata) {
        struct sigaction action = {0};
        sigset_t set;

        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
                return 0;
        (void) sigemptyset(&set);
        (void) sigaddset(&set, number);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        return sd_event_add_signal(event, NULL, number, handler, userdata);
}

ExitCode event_loop_run(sd_event *event) {
        int r = sd_event_loop(event);

        if (r >= 0)
                return EXIT_CODE_OK;
        message_error("the event loop failed: %s", strerror(-r));
        return EXIT_CODE_FAILED;
}
