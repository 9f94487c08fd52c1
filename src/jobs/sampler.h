/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks running jobs how far they are, and cancelled ones to stop. Loop. */

#include <systemd/sd-event.h>

#include "jobs/job.h"
#include "jobs/pool.h"

typedef struct Sampler Sampler;

/* Called on the loop. */
typedef struct SamplerHooks {
        void (*measured)(Job *job, const Progress *progress);
        void (*quiet)(Job *job); /* see sampler_remove() */
} SamplerHooks;

/* Asks every "interval_usec". The pool outlives the sampler. */
Sampler *sampler_new(
                sd_event *event, Pool *pool, uint64_t interval_usec, const SamplerHooks *hooks);
Sampler *sampler_free(Sampler *sampler);

/* From now on the job is asked for its progress, if its operation knows it. */
void sampler_add(Sampler *sampler, Job *job);

/* From now on, beginning now, the job is asked to stop. */
void sampler_cancel(Sampler *sampler, Job *job);

/* The job has come home. True: it is done with. False: somebody is still asking it to stop, and
 * what he stops might be the next task of the machine; quiet() is called when he has given up. */
bool sampler_remove(Sampler *sampler, Job *job);
