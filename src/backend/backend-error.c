/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt has some hundred error numbers; the few that a client can act on are rows of the table
 * below, the rest is the Backend error with libvirt's number in the text. Some kinds have no
 * number of their own: a lost connection is everything that the RPC layer reports but what could
 * not be put into a message, or be read from one, while the connection lives on; and a full disk,
 * a locked file and flags that a driver does not know are found in the text, which is English
 * because the daemon runs in the C locale. */

#include "backend/backend-error.h"

#include <stdbool.h>
#include <string.h>

#include "util/error.h"

typedef struct CodeRow {
        int code;
        VirtaskError error;
} CodeRow;

static const CodeRow codes[] = {
                {VIR_ERR_NO_DOMAIN, VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE},
                {VIR_ERR_NO_DOMAIN_SNAPSHOT, VIRTASK_ERROR_NO_SUCH_SNAPSHOT},
                {VIR_ERR_NO_SUPPORT, VIRTASK_ERROR_NOT_SUPPORTED},
                {VIR_ERR_ARGUMENT_UNSUPPORTED, VIRTASK_ERROR_NOT_SUPPORTED},
                {VIR_ERR_CONFIG_UNSUPPORTED, VIRTASK_ERROR_NOT_SUPPORTED},
                {VIR_ERR_OPERATION_UNSUPPORTED, VIRTASK_ERROR_NOT_SUPPORTED},
                {VIR_ERR_NO_MEMORY, VIRTASK_ERROR_OUT_OF_MEMORY},
                {VIR_ERR_OPERATION_INVALID, VIRTASK_ERROR_INVALID_STATE},
                {VIR_ERR_OPERATION_TIMEOUT, VIRTASK_ERROR_TIMED_OUT},
                {VIR_ERR_AGENT_UNRESPONSIVE, VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE},
                {VIR_ERR_AGENT_UNSYNCED, VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE},
                {VIR_ERR_DOM_EXIST, VIRTASK_ERROR_DUPLICATE_NAME},
                {VIR_ERR_INVALID_ARG, VIRTASK_ERROR_INVALID_ARGUMENT},
                {VIR_ERR_XML_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT},
                {VIR_ERR_XML_DETAIL, VIRTASK_ERROR_INVALID_ARGUMENT},
                {VIR_ERR_XML_INVALID_SCHEMA, VIRTASK_ERROR_INVALID_ARGUMENT},
                {VIR_ERR_NO_CONNECT, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE},
                {VIR_ERR_INVALID_CONN, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE},
};

/* Of VIR_ERR_RPC only this ends the connection: what follows in the stream can't be found. */
static bool is_loss(const virError *error) {
        if (error->domain != VIR_FROM_RPC && error->domain != VIR_FROM_REMOTE)
                return false;
        return error->code != VIR_ERR_RPC ||
               (error->message && (strstr(error->message, "received from server") ||
                                                  strstr(error->message, "message length")));
}

static VirtaskError classify(const virError *error) {
        if (is_loss(error))
                return VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE;
        if (error->message && strstr(error->message, "No space left on device"))
                return VIRTASK_ERROR_DISK_FULL;
        if (error->message && strstr(error->message, "No such file or directory"))
                return VIRTASK_ERROR_FILE_NOT_FOUND;
        if (error->message && strstr(error->message, "unsupported flags"))
                return VIRTASK_ERROR_NOT_SUPPORTED;
        if (error->message && strstr(error->message, "\" lock"))
                return VIRTASK_ERROR_FILE_IN_USE;
        for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
                if (codes[i].code == error->code)
                        return codes[i].error;
        return VIRTASK_ERROR_BACKEND;
}

void backend_error_take(GError **error, virErrorPtr cause, const char *format, ...) {
        g_autofree char *what = NULL, *why = NULL;
        bool known = cause && cause->code != VIR_ERR_OK;
        VirtaskError row = known ? classify(cause) : VIRTASK_ERROR_BACKEND;
        va_list args;

        va_start(args, format);
        what = g_strdup_vprintf(format, args);
        va_end(args);
        why = g_utf8_make_valid(known && cause->message ? cause->message : "unknown error", -1);

        if (row == VIRTASK_ERROR_BACKEND)
                g_set_error(error, VIRTASK_ERROR, (int) row, "%s: %s (libvirt error %d)", what, why,
                                known ? cause->code : VIR_ERR_OK);
        else
                g_set_error(error, VIRTASK_ERROR, (int) row, "%s: %s", what, why);
        virFreeError(cause);
}
