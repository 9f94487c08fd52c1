/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file systems of guests, frozen by their QEMU guest agents for the moment of a snapshot, of
 * one machine or of several at once. What is frozen is remembered in the job, so that settle() can
 * thaw it. Worker. */

#include <libvirt/libvirt.h>

#include "jobs/job.h"

/* Has the guest write everything to its disks and freeze them. However it ends, freeze_end() has to
 * follow. Takes a minute at most, if nobody else talks to the agent. NOT_SUPPORTED: no agent is
 * configured, or there is nothing that it can freeze; GUEST_AGENT_NOT_AVAILABLE: it does not
 * answer; INVALID_STATE: the guest does not run. */
bool freeze_begin(Job *job, virDomainPtr domain, GError **error);

/* Thaws those of the "n" machines that the job has frozen, or may have; where the agent does not
 * answer, again and again for five minutes, while the machine runs and is the job's. The guests
 * have to run. "ret_held" (may be NULL) tells whether all of them were frozen until now. False if
 * the connection is lost and it has to be done once more, by settle(): HYPERVISOR_UNAVAILABLE. */
bool freeze_end(Job *job, virDomainPtr *domains, size_t n, bool *ret_held, GError **error);
