/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images that QEMU has open are merged by QEMU, while the guest runs on. Worker. */

#include "disk/image.h"
#include "jobs/job.h"
#include "snapshot/tree.h"

/* Merges "top" into "base", the image below it, and has the guest use that; its definition too if
 * "top" is what it writes to. Until the end, and after a failure, both show what they showed. */
bool block_commit(Job *job,
                virDomainPtr domain,
                const TreeImage *base,
                const TreeImage *top,
                const ImageHooks *hooks,
                GError **error);

/* Whether the guest is stopped for this. */
bool block_commit_holds(const Job *job);

/* The guest, if an earlier daemon has died while it was stopped for this. */
void block_commit_let_go_on(Job *job, virDomainPtr domain);
