/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Has libvirt know again which image a guest writes to, after the process that embeds it has died
 * while QEMU switched a disk over to another one. */

/* For embedded QEMU, before the first connection; nothing for any other URI. Failures are logged:
 * libvirt then finds what it would have found without us. */
void lost_jobs_settle(const char *uri);
