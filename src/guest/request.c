/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The thread and the worker share the request behind its lock, and each has a reference. The table
 * of those that have the place of their machine has no share in them: each thread takes its own out
 * before it ends. The lock of the table is taken before that of a request. */

#include "guest/request.h"

#include <pthread.h>
#include <time.h>

#include "util/error.h"

struct GuestRequest {
        Backend *backend;
        char uuid[VIR_UUID_STRING_BUFLEN];
        const GuestRequestKind *kind;
        void *data;

        pthread_mutex_t lock;
        pthread_cond_t changed;
        unsigned references;
        GuestStage stage;
        bool sent, left;
        GError *error;
        char *told;
};

static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        GHashTable *places; /* UUID -> GuestRequest, both of the request */
        unsigned threads;
} under_way = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0};

static void unref(GuestRequest *request) {
        bool last;

        pthread_mutex_lock(&request->lock);
        last = --request->references == 0;
        pthread_mutex_unlock(&request->lock);
        if (!last)
                return;
        pthread_cond_destroy(&request->changed);
        pthread_mutex_destroy(&request->lock);
        g_clear_error(&request->error);
        g_free(request->told);
        g_free(request->data);
        g_free(request);
}

/* The worker's say. */
static bool wait_for_worker(GuestRequest *request) {
        bool sent;

        pthread_mutex_lock(&request->lock);
        request->stage = GUEST_STAGE_READY;
        while (!request->sent && !request->left)
                pthread_cond_wait(&request->changed, &request->lock);
        sent = request->sent;
        pthread_mutex_unlock(&request->lock);
        return sent;
}

static bool is_going_down(GuestRequest *request) {
        bool going_down;

        pthread_mutex_lock(&request->lock);
        going_down = request->kind->is_shutdown && request->sent;
        pthread_mutex_unlock(&request->lock);
        return going_down;
}

/* Whoever was left behind keeps the place until libvirt has given up waiting for the guest. */
static bool take_place(GuestRequest *request, GError **error) {
        GuestRequest *other;
        bool going_down = false;

        pthread_mutex_lock(&under_way.lock);
        if (!under_way.places)
                under_way.places = g_hash_table_new(g_str_hash, g_str_equal);
        while ((other = g_hash_table_lookup(under_way.places, request->uuid)) &&
                        !(going_down = is_going_down(other)) && !guest_request_is_left(request))
                pthread_cond_wait(&under_way.changed, &under_way.lock);
        if (!other)
                g_hash_table_insert(under_way.places, request->uuid, request);
        pthread_mutex_unlock(&under_way.lock);
        if (going_down)
                return error_fail(VIRTASK_ERROR_GUEST_SHUTDOWN_IN_PROGRESS, error,
                                "The guest was asked to go down a moment ago");
        return !other;
}

static void leave_place(GuestRequest *request) {
        pthread_mutex_lock(&under_way.lock);
        g_hash_table_remove(under_way.places, request->uuid);
        pthread_cond_broadcast(&under_way.changed);
        pthread_mutex_unlock(&under_way.lock);
}

static bool work(GuestRequest *request, GError **error) {
        const GuestRequestKind *kind = request->kind;
        bool ok;

        if (!take_place(request, error))
                return false;
        ok = kind->prepare(request, request->data, error) && wait_for_worker(request) &&
             kind->send(request, request->data, error);
        leave_place(request);
        return ok;
}

static void *request_thread(void *userdata) {
        GuestRequest *request = userdata;
        GError *error = NULL;
        bool ok = work(request, &error);

        pthread_mutex_lock(&request->lock);
        request->error = error;
        request->stage = ok ? GUEST_STAGE_DONE : GUEST_STAGE_FAILED;
        pthread_mutex_unlock(&request->lock);
        unref(request);

        pthread_mutex_lock(&under_way.lock);
        under_way.threads--;
        pthread_mutex_unlock(&under_way.lock);
        return NULL;
}

static bool start(GuestRequest *request) {
        pthread_t thread;
        bool ok;

        request->references++;
        pthread_mutex_lock(&under_way.lock);
        ok = pthread_create(&thread, NULL, request_thread, request) == 0;
        under_way.threads += ok;
        pthread_mutex_unlock(&under_way.lock);
        if (ok)
                pthread_detach(thread);
        else
                request->references--;
        return ok;
}

GuestRequest *guest_request_new(Backend *backend,
                const char *uuid,
                const GuestRequestKind *kind,
                void *data,
                GError **error) {
        GuestRequest *request = g_new0(GuestRequest, 1);
        pthread_condattr_t clock;

        request->backend = backend;
        g_strlcpy(request->uuid, uuid, sizeof(request->uuid));
        request->kind = kind;
        request->data = data;
        request->references = 1;
        pthread_mutex_init(&request->lock, NULL);
        pthread_condattr_init(&clock);
        pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
        pthread_cond_init(&request->changed, &clock);
        pthread_condattr_destroy(&clock);
        if (start(request))
                return request;
        unref(request);
        (void) error_fail(VIRTASK_ERROR_OUT_OF_MEMORY, error, "Failed to start a thread");
        return NULL;
}

bool guest_request_leave(GuestRequest *request) {
        bool sent;

        pthread_mutex_lock(&request->lock);
        request->left = true;
        sent = request->sent;
        pthread_cond_signal(&request->changed);
        pthread_mutex_unlock(&request->lock);
        pthread_mutex_lock(&under_way.lock);
        pthread_cond_broadcast(&under_way.changed);
        pthread_mutex_unlock(&under_way.lock);
        unref(request);
        return sent;
}

GuestStage guest_request_stage(GuestRequest *request) {
        GuestStage stage;

        pthread_mutex_lock(&request->lock);
        stage = request->stage;
        pthread_mutex_unlock(&request->lock);
        return stage;
}

void guest_request_send(GuestRequest *request) {
        pthread_mutex_lock(&request->lock);
        request->sent = true;
        request->stage = GUEST_STAGE_SENDING;
        pthread_cond_signal(&request->changed);
        pthread_mutex_unlock(&request->lock);
}

void guest_request_take_error(GuestRequest *request, GError **error, char **ret_told) {
        pthread_mutex_lock(&request->lock);
        g_propagate_error(error, g_steal_pointer(&request->error));
        *ret_told = g_steal_pointer(&request->told);
        pthread_mutex_unlock(&request->lock);
}

bool guest_request_open(GuestRequest *request, BackendDomain *ret, GError **error) {
        return backend_open_domain(request->backend, BACKEND_GUEST, request->uuid, ret, error);
}

bool guest_request_is_left(GuestRequest *request) {
        bool left;

        pthread_mutex_lock(&request->lock);
        left = request->left;
        pthread_mutex_unlock(&request->lock);
        return left;
}

bool guest_request_sleep(GuestRequest *request, unsigned milliseconds) {
        gint64 end = g_get_monotonic_time() + (gint64) milliseconds * 1000;
        const struct timespec at = {end / G_USEC_PER_SEC, (end % G_USEC_PER_SEC) * 1000};
        bool left;
        int r = 0;

        pthread_mutex_lock(&request->lock);
        while (!request->left && r == 0)
                r = pthread_cond_timedwait(&request->changed, &request->lock, &at);
        left = request->left;
        pthread_mutex_unlock(&request->lock);
        return !left;
}

void guest_request_tell(GuestRequest *request, char *told) {
        pthread_mutex_lock(&request->lock);
        g_free(request->told);
        request->told = told;
        pthread_mutex_unlock(&request->lock);
}

bool guest_request_any(void) {
        bool any;

        pthread_mutex_lock(&under_way.lock);
        any = under_way.threads > 0;
        pthread_mutex_unlock(&under_way.lock);
        return any;
}
