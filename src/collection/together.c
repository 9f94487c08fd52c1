/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "collection/together.h"

typedef struct Round {
        void (*work)(unsigned i, void *userdata);
        void *userdata;
        unsigned n;
        _Atomic unsigned next;
} Round;

static void *take_turns(void *data) {
        Round *round = data;
        unsigned i;

        while ((i = round->next++) < round->n)
                round->work(i, round->userdata);
        return NULL;
}

/* This thread takes part, so that the work is done even if there is no other. */
void together_do(unsigned n,
                unsigned width,
                void (*work)(unsigned i, void *userdata),
                void *userdata) {
        Round round = {work, userdata, n, 0};
        g_autoptr(GPtrArray) threads = g_ptr_array_new();

        for (unsigned i = 1; i < MIN(n, width); i++) {
                GThread *thread = g_thread_try_new("together", take_turns, &round, NULL);

                if (thread)
                        g_ptr_array_add(threads, thread);
        }
        (void) take_turns(&round);
        for (unsigned i = 0; i < threads->len; i++)
                (void) g_thread_join(threads->pdata[i]);
}

const char *together_name(const Job *part) {
        return part->before ? part->before->name : part->uuid;
}

void together_propagate(GError **error, const Job *part, const GError *cause) {
        if (error && !*error)
                g_set_error(error, cause->domain, cause->code, "'%s': %s", together_name(part),
                                cause->message);
}
