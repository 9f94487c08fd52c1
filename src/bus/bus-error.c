/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An error of the project leaves the process here, under the name of its row and with its number in
 * the text. */

#include "bus/bus-error.h"

#include "util/error.h"

/* A text that was cut may end within a character, and sd-bus sends nothing then. */
static char *valid_text(const GError *error) {
        g_autofree char *text = error_to_text(error);

        return g_utf8_make_valid(text, -1);
}

int bus_reply_error(sd_bus_message *call, const GError *error) {
        g_autofree char *text = valid_text(error);

        return sd_bus_reply_method_errorf(call, error_info_of(error)->name, "%s", text);
}

int bus_error_take(sd_bus_error *ret_error, GError *error) {
        g_autofree char *text = valid_text(error);
        int r = sd_bus_error_setf(ret_error, error_info_of(error)->name, "%s", text);

        g_error_free(error);
        return r;
}
