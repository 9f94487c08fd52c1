/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QEMU's locks on image files: who else may do what while we read one. */

#include <glib.h>
#include <stdbool.h>

/* While the descriptor (opened for reading) is open, no QEMU can open the image to write to it or
 * to change its size: a guest that is started meanwhile gets QEMU's 'Failed to get "write" lock'.
 * FILE_IN_USE if one has it open so already. A file system without locks is no error. Any thread.
 */
bool image_lock_for_reading(int fd, const char *path, GError **error);
