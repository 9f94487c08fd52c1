/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The formats of images that we make and read, and how large an image can be in each. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum ImageFormat {
        IMAGE_RAW,
        IMAGE_QCOW2,
        IMAGE_VPC, /* VHD; the name is QEMU's and libvirt's */
        IMAGE_VHDX,
        IMAGE_FORMAT_COUNT
} ImageFormat;

/* VMHardDiskType of the documents */
typedef enum ImageType {
        IMAGE_DYNAMIC = 0,
        IMAGE_FIXED = 1,
        IMAGE_DIFFERENCING = 2,
} ImageType;

#define IMAGE_SECTOR   512U /* every size is a multiple */
#define IMAGE_SIZE_MIN (UINT64_C(3) << 20)

/* "raw", "qcow2", "vpc", "vhdx". */
const char *image_format_name(ImageFormat format);

/* The other way round, also for "vhd"; false for anything else. */
bool image_format_find(const char *name, ImageFormat *ret);

/* What the ending of the name says: .raw, .img, .qcow2, .vhd, .vpc, .vhdx; false if it is none of
 * those. What is in a file is not asked: that of a raw image belongs to a guest, which could write
 * the header of any other format into it. */
bool image_format_of_name(const char *path, ImageFormat *ret);

/* SIZE_TOO_SMALL, SIZE_TOO_LARGE, or INVALID_ARGUMENT for a part of a sector. */
bool image_format_check_size(ImageFormat format, uint64_t size, GError **error);
