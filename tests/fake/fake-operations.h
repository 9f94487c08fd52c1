/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Operations of virtaskd-fake: they do nothing, in all the ways in which a real one can go on, fail
 * or hang. Options: those of all operations, and
 *
 *     Force         b  cancel what holds the machine and work on LANE_URGENT
 *     Total         u  the total of the progress; 0: it is not known
 *     Milliseconds  u  how long FakeSlow, FakeFail and FakeCommit count
 *     Error         u  the row of error-table.h to fail with (1 is the first); 0: success
 *     Gate          u  the FIFO "gate.NUMBER" in $VIRTASK_FAKE_DIRECTORY to wait at; 0: none
 *     Second        u  another one
 *
 * Each byte that a test writes into a FIFO lets one pass; when the test closes it, all pass. */

#include "jobs/operation.h"

extern const Operation *const fake_operations[];
