/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "image/image-format.h"

#include <inttypes.h>
#include <string.h>

#include "util/error.h"

#define MIB UINT64_C(0x100000)

/* The documents have 3 MB and 2,088,960 MB, which are the limits of VHD. That of VHDX is 64 TiB,
 * and it is ours for what has no limit that anybody would meet. */
#define SIZE_MAX_VPC (2088960 * MIB)
#define SIZE_MAX_ANY (UINT64_C(64) << 40)

static const struct {
        const char *name;
        uint64_t size_max;
} formats[] = {
                [IMAGE_RAW] = {"raw", SIZE_MAX_ANY},
                [IMAGE_QCOW2] = {"qcow2", SIZE_MAX_ANY},
                [IMAGE_VPC] = {"vpc", SIZE_MAX_VPC},
                [IMAGE_VHDX] = {"vhdx", SIZE_MAX_ANY},
};

static const struct {
        const char *ending;
        ImageFormat format;
} endings[] = {
                {".raw", IMAGE_RAW},
                {".img", IMAGE_RAW},
                {".qcow2", IMAGE_QCOW2},
                {".vhd", IMAGE_VPC},
                {".vpc", IMAGE_VPC},
                {".vhdx", IMAGE_VHDX},
};

const char *image_format_name(ImageFormat format) {
        return formats[format].name;
}

bool image_format_find(const char *name, ImageFormat *ret) {
        if (g_ascii_strcasecmp(name, "vhd") == 0)
                name = formats[IMAGE_VPC].name;
        for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++)
                if (g_ascii_strcasecmp(name, formats[i].name) == 0) {
                        *ret = (ImageFormat) i;
                        return true;
                }
        return false;
}

bool image_format_of_name(const char *path, ImageFormat *ret) {
        const char *ending = strrchr(path, '.');

        for (unsigned i = 0; ending && i < G_N_ELEMENTS(endings); i++)
                if (g_ascii_strcasecmp(ending, endings[i].ending) == 0) {
                        *ret = endings[i].format;
                        return true;
                }
        return false;
}

bool image_format_check_size(ImageFormat format, uint64_t size, GError **error) {
        if (size < IMAGE_SIZE_MIN)
                return error_fail(VIRTASK_ERROR_SIZE_TOO_SMALL, error,
                                "A hard disk has at least %" PRIu64 " bytes", IMAGE_SIZE_MIN);
        if (size > formats[format].size_max)
                return error_fail(VIRTASK_ERROR_SIZE_TOO_LARGE, error,
                                "A hard disk in the format %s has at most %" PRIu64 " bytes",
                                formats[format].name, formats[format].size_max);
        return size % IMAGE_SECTOR == 0 ||
               error_fail(VIRTASK_ERROR_INVALID_ARGUMENT, error,
                               "The size of a hard disk is a multiple of %u bytes", IMAGE_SECTOR);
}
