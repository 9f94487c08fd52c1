/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* Reads all of these bytes. 0, or why not, as an errno; ESTALE if the file ends before. */
int package_read(int fd, void *data, uint64_t length, uint64_t offset);
