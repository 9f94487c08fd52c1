/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The machines of a collection, worked on side by side. Worker. */

#include "jobs/job.h"

/* Calls work() once for each of the "n" items, on "width" threads at most, and returns when all
 * have been worked on. */
void together_do(unsigned n,
                unsigned width,
                void (*work)(unsigned i, void *userdata),
                void *userdata);

/* The name of the machine that the part is about, as well as it is known. */
const char *together_name(const Job *part);

/* The error of one, for the whole: with the machine's name. */
void together_propagate(GError **error, const Job *part, const GError *cause);
