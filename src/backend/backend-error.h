/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From libvirt's last error to a row of the error table. */

#include <glib.h>

/* Sets "error" from libvirt's last error of this thread; the format says what was being done, and
 * libvirt's text is put behind it. To be called on the thread of the failed call, before the next
 * one. */
void backend_error_set(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
