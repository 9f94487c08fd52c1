/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Has libvirt know again whether a guest runs and which image it writes to, after the process that
 * embeds it has died while QEMU began, or went over to another image. */

/* For embedded QEMU, before the first connection: closing the file that libvirt has locked would
 * unlock it. Nothing for any other URI. Failures are logged: libvirt then finds what it would have
 * found without us. */
void guest_notes_mend(const char *uri);
