/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Has libvirt know again which image a guest writes to, after the process that embeds it has died
 * while QEMU went over to another one. */

/* For embedded QEMU, before the first connection: closing the file that libvirt has locked would
 * unlock it. Nothing for any other URI. Failures are logged: libvirt then finds what it would have
 * found without us. */
void lost_jobs_settle(const char *uri);
