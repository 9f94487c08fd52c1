/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Results and log of a task, for whoever prints it. Called on the event loop too, therefore with a
 * small timeout. That we may not read them is no error: these parts are left out then. */

#include "task-private.h"
#include "bus-client.h"

#define SHORT_USEC (5 * USEC_PER_SEC)

static sd_bus_message *read_private(Session *s, sd_bus_message *m) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;

        (void) sd_bus_message_set_allow_interactive_authorization(m, false);
        return bus_client_try(s, m, SHORT_USEC, &error, &reply) < 0 ? NULL : reply;
}

sd_bus_message *task_private_results(Session *s, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, path, TASK_INTERFACE, "GetResults");

        return read_private(s, m);
}

sd_bus_message *task_private_log(Session *s, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, path, TASK_INTERFACE, "GetLog");

        return sd_bus_message_append(m, "u", 0) < 0 ? NULL : read_private(s, m);
}
