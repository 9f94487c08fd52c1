/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* logind answers with a descriptor, and the lock lasts as long as that is open: it ends with us,
 * whatever ends us. An administrator can go over the lock, so it saves time and no data: what a
 * task does is safe under a power cut without it. The method is Inhibit() of
 * org.freedesktop.login1(5). */

#include "service/inhibitor.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>

#include "util/fd.h"
#include "util/log.h"

#define LOGIND_NAME      "org.freedesktop.login1"
#define LOGIND_PATH      "/org/freedesktop/login1"
#define LOGIND_INTERFACE "org.freedesktop.login1.Manager"

struct Inhibitor {
        sd_bus *bus;
        sd_bus_slot *question; /* until logind has answered */
        int lock;              /* -1: none */
};

Inhibitor *inhibitor_new(sd_bus *bus) {
        Inhibitor *inhibitor = g_new0(Inhibitor, 1);

        inhibitor->bus = sd_bus_ref(bus);
        inhibitor->lock = -1;
        return inhibitor;
}

static void release(Inhibitor *inhibitor) {
        /* An answer that nobody waits for is dropped, and its descriptor closed with it. */
        inhibitor->question = sd_bus_slot_unref(inhibitor->question);
        fd_close(&inhibitor->lock);
}

Inhibitor *inhibitor_free(Inhibitor *inhibitor) {
        if (!inhibitor)
                return NULL;
        release(inhibitor);
        sd_bus_unref(inhibitor->bus);
        g_free(inhibitor);
        return NULL;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Inhibitor *inhibitor = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int fd, r;

        inhibitor->question = sd_bus_slot_unref(inhibitor->question);
        if (error) {
                log_debug("The computer may sleep or go down while tasks run: %s", error->message);
                return 0;
        }
        r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0) {
                inhibitor->lock = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                r = inhibitor->lock < 0 ? -errno : 0;
        }
        if (r < 0)
                log_warning("Failed to keep the lock of logind: %s", g_strerror(-r));
        return 0;
}

static int ask(Inhibitor *inhibitor) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r = sd_bus_message_new_method_call(inhibitor->bus, &call, LOGIND_NAME, LOGIND_PATH,
                        LOGIND_INTERFACE, "Inhibit");

        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_message_append(call, "ssss", "sleep:shutdown", "virtask",
                                "Data of virtual machines is being changed", "block");
        if (r >= 0)
                r = sd_bus_call_async(inhibitor->bus, &inhibitor->question, call, on_answer,
                                inhibitor, 0);
        return r;
}

void inhibitor_set(Inhibitor *inhibitor, bool needed) {
        int r;

        if (!needed) {
                release(inhibitor);
                return;
        }
        if (inhibitor->question || inhibitor->lock >= 0)
                return;
        r = ask(inhibitor);
        if (r < 0)
                log_warning("Failed to ask logind for a lock: %s", g_strerror(-r));
}
