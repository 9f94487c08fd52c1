/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading and writing at an offset, all or an error. */

#include <stdbool.h>
#include <stdint.h>

/* "errno" is set on failure; ESTALE: the file ends before. */
bool io_read(int fd, void *data, uint64_t length, uint64_t offset);
bool io_write(int fd, const void *data, uint64_t length, uint64_t offset);
