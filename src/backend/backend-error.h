/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From libvirt's last error to a row of the error table. */

#include <glib.h>
#include <libvirt/virterror.h>

/* Sets "error" from libvirt's last error of this thread; the format says what was being done, and
 * libvirt's text is put behind it. To be called on the thread of the failed call, before the next
 * one. A macro, because the arguments of the format may call libvirt (virDomainGetName() forgets
 * the last error): it is saved before they are. */
#define backend_error_set(error, ...)                                                              \
        do {                                                                                       \
                virErrorPtr saved_error_ = virSaveLastError();                                     \
                                                                                                   \
                backend_error_take(error, saved_error_, __VA_ARGS__);                              \
        } while (0)

/* The same with an error that was saved; frees it (NULL: unknown). */
void backend_error_take(GError **error, virErrorPtr cause, const char *format, ...)
                G_GNUC_PRINTF(3, 4);
