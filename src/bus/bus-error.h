/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The edge between GError and sd-bus. Loop. */

#include <glib.h>
#include <systemd/sd-bus.h>

/* Answers the call with the error, in name and text; gives what sd_bus_reply_method_error() gives.
 */
int bus_reply_error(sd_bus_message *call, const GError *error);

/* The same through the error argument of a vtable handler, and frees "error". */
int bus_error_take(sd_bus_error *ret_error, GError *error);
