/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Something that is asked of a guest on a thread of its own, because libvirt may wait for the guest
 * for a minute and nothing makes it return, while the worker of the task has to look at the clock
 * and at cancels. The worker may leave it behind at any time.
 *
 *     PREPARING ── READY ── SENDING ── DONE
 *         └───────────┴────────┴────── FAILED
 *
 * Between READY and SENDING the worker has its say: nothing is sent that it does not know of. */

#include <glib.h>
#include <stdbool.h>

#include "backend/backend.h"

typedef struct GuestRequest GuestRequest;

typedef enum GuestStage {
        GUEST_STAGE_PREPARING,
        GUEST_STAGE_READY, /* waits for guest_request_send() */
        GUEST_STAGE_SENDING,
        GUEST_STAGE_DONE,
        GUEST_STAGE_FAILED,
} GuestStage;

/* Both on the thread of the request. */
typedef struct GuestRequestKind {
        bool is_shutdown; /* once sent the guest goes down, if it does */
        bool (*prepare)(GuestRequest *request, void *data, GError **error);
        bool (*send)(GuestRequest *request, void *data, GError **error);
} GuestRequestKind;

/* Begins to prepare; "data" is taken and freed with g_free(). There is one at a time for a machine:
 * while libvirt still waits for one that was left behind, this one waits too, or has FAILED with
 * GUEST_SHUTDOWN_IN_PROGRESS. Worker. */
GuestRequest *guest_request_new(Backend *backend,
                const char *uuid,
                const GuestRequestKind *kind,
                void *data,
                GError **error);

/* Leaves it behind; whether it was sent. Worker. */
bool guest_request_leave(GuestRequest *request);

GuestStage guest_request_stage(GuestRequest *request); /* worker */
void guest_request_send(GuestRequest *request);        /* it is READY; worker */

/* The error of one that has FAILED, and what the guest said to it, which is for the owner of the
 * task (NULL: nothing). Worker. */
void guest_request_take_error(GuestRequest *request, GError **error, char **ret_told);

/* For the thread of the request: the domain on loan, which may take a while; whether the worker has
 * left; some sleep, false if the worker leaves; and what the guest said (taken). */
bool guest_request_open(GuestRequest *request, BackendDomain *ret, GError **error);
bool guest_request_is_left(GuestRequest *request);
bool guest_request_sleep(GuestRequest *request, unsigned milliseconds);
void guest_request_tell(GuestRequest *request, char *told);

/* Whether any thread still waits for a guest; the process can't end in order then. Any thread. */
bool guest_request_any(void);
