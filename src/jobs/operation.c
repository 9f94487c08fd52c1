/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What all operations share of their requests. Loop, but for operation_request_free(): any thread.
 */

#include "jobs/operation.h"

const OptionSpec operation_common_options[] = {
                {"Queue", OPTION_BOOLEAN, offsetof(Request, queue), NO_SEEN},
                {NULL, 0, 0, NO_SEEN},
};

bool operation_parse_common(sd_bus_message *call, void *request, GError **error) {
        return bus_options_read(call, operation_common_options, NULL, request, error);
}

void operation_request_free(const Operation *operation, Request *request) {
        if (!request)
                return;
        if (operation->request_clear)
                operation->request_clear(request);
        g_free(request->snapshot);
        g_free(request->collection);
        g_free(request->file);
        g_free(request->file_format);
        g_free(request);
}
