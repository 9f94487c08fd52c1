/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the headers of VHD and VHDX images say. Any thread, may block. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct VhdHeader {
        uint64_t virtual_size;
        bool fixed;        /* it is meant to be as large on the host as in the guest */
        bool differencing; /* it rests on another one */
} VhdHeader;

/* The footer of a VHD file of "size" bytes. FAILED if it has none; "path" is for errors. */
bool vhd_header_read(int fd, uint64_t size, const char *path, VhdHeader *ret, GError **error);

/* The same of a VHDX file. */
bool vhdx_header_read(int fd, const char *path, VhdHeader *ret, GError **error);
