/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A VHD ends with a footer of 512 bytes ("Virtual Hard Disk Image Format Specification"). A VHDX
 * begins with tables of regions, one of which has a table of items ([MS-VHDX] 2.2.3 and 2.6).
 *
 * All of it is foreign data: what is read has a size that we choose, at an offset that is compared
 * with the place it must lie in. Any thread. */

#include "image/vhd-header.h"

#include <errno.h>
#include <string.h>

#include "util/error.h"
#include "util/io.h"

/* VHD: big endian */
#define FOOTER_SIZE      512U
#define FOOTER_COOKIE    "conectix"
#define FOOTER_CREATOR   28
#define FOOTER_SIZE_NOW  48
#define FOOTER_CYLINDERS 56
#define FOOTER_HEADS     58
#define FOOTER_SECTORS   59
#define FOOTER_TYPE      60
#define FOOTER_CHECKSUM  64
#define SECTOR           512U
#define GEOMETRY_MAX     (UINT64_C(65535) * 16 * 255) /* sectors */
#define SIZE_MAX_VHD     (UINT64_C(2040) << 30)

enum {
        VHD_FIXED = 2,
        VHD_DYNAMIC = 3,
        VHD_DIFFERENCING = 4,
};

/* VHDX: little endian */
#define IDENTIFIER       "vhdxfile"
#define REGIONS_OFFSET   (UINT64_C(192) << 10)
#define REGIONS_SIZE     (64U << 10)
#define REGIONS_MAGIC    "regi"
#define REGIONS_MAX      2047U
#define REGIONS_HEAD     16U
#define METADATA_MAGIC   "metadata"
#define METADATA_SIZE    (64U << 10) /* of the table */
#define METADATA_MAX     2047U
#define METADATA_HEAD    32U
#define ENTRY_SIZE       32U
#define ITEMS_BEGIN      (64U << 10) /* behind the table */
#define REGION_BEGIN     (UINT64_C(1) << 20)
#define SIZE_MAX_VHDX    (UINT64_C(64) << 40)
#define PARAMETER_FIXED  1U
#define PARAMETER_PARENT 2U

#define GUID_SIZE 16

/* As they lie in the file. */
static const uint8_t guid_metadata[GUID_SIZE] = {0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B,
                0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E};
static const uint8_t guid_parameters[GUID_SIZE] = {0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D,
                0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B};
static const uint8_t guid_size[GUID_SIZE] = {0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48, 0xB2,
                0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8};

static bool invalid(const char *path, const char *text, GError **error) {
        return error_fail(VIRTASK_ERROR_FAILED, error, "The image '%s' is damaged: %s", path, text);
}

/* A file that ends too early is damaged. */
static bool
read_at(int fd, void *data, size_t size, uint64_t offset, const char *path, GError **error) {
        if (io_read(fd, data, size, offset))
                return true;
        if (errno == ESTALE)
                return invalid(path, "it is too short", error);
        return error_fail(error_of_errno(errno), error, "Failed to read the image '%s': %s", path,
                        g_strerror(errno));
}

/* VHD */

static uint32_t big32(const uint8_t *data) {
        uint32_t number;

        memcpy(&number, data, sizeof(number));
        return GUINT32_FROM_BE(number);
}

static uint64_t big64(const uint8_t *data) {
        return ((uint64_t) big32(data) << 32) | big32(data + 4);
}

static uint32_t checksum(const uint8_t *footer) {
        uint32_t sum = 0;

        for (unsigned i = 0; i < FOOTER_SIZE; i++)
                if (i < FOOTER_CHECKSUM || i >= FOOTER_CHECKSUM + 4)
                        sum += footer[i];
        return ~sum;
}

/* Virtual PC and its likes count in cylinders, heads and sectors, others do not; QEMU tells them
 * apart by who has made the image (block/vpc.c). */
static uint64_t vhd_virtual_size(const uint8_t *footer) {
        static const char *const exact[] = {"win ", "qem2", "d2v ", "tap", "CTXS"};
        uint64_t geometry =
                        ((uint64_t) footer[FOOTER_CYLINDERS] << 8 | footer[FOOTER_CYLINDERS + 1]) *
                        footer[FOOTER_HEADS] * footer[FOOTER_SECTORS];

        for (unsigned i = 0; i < G_N_ELEMENTS(exact); i++)
                if (strncmp((const char *) footer + FOOTER_CREATOR, exact[i], 4) == 0)
                        return big64(footer + FOOTER_SIZE_NOW);
        return geometry < GEOMETRY_MAX ? geometry * SECTOR : big64(footer + FOOTER_SIZE_NOW);
}

bool vhd_header_read(int fd, uint64_t size, const char *path, VhdHeader *ret, GError **error) {
        uint8_t footer[FOOTER_SIZE];
        uint32_t type;

        if (size < FOOTER_SIZE)
                return invalid(path, "it is too short", error);
        if (!read_at(fd, footer, sizeof(footer), size - FOOTER_SIZE, path, error))
                return false;
        if (memcmp(footer, FOOTER_COOKIE, strlen(FOOTER_COOKIE)) != 0)
                return invalid(path, "it does not end as a VHD", error);
        if (checksum(footer) != big32(footer + FOOTER_CHECKSUM))
                return invalid(path, "the sum of its footer is wrong", error);
        type = big32(footer + FOOTER_TYPE);
        if (type != VHD_FIXED && type != VHD_DYNAMIC && type != VHD_DIFFERENCING)
                return invalid(path, "its type is impossible", error);
        *ret = (VhdHeader){.virtual_size = vhd_virtual_size(footer),
                        .fixed = type == VHD_FIXED,
                        .differencing = type == VHD_DIFFERENCING};
        return ret->virtual_size <= SIZE_MAX_VHD ||
               invalid(path, "its virtual size is impossible", error);
}

/* VHDX */

static uint32_t little32(const uint8_t *data) {
        uint32_t number;

        memcpy(&number, data, sizeof(number));
        return GUINT32_FROM_LE(number);
}

static uint64_t little64(const uint8_t *data) {
        return ((uint64_t) little32(data + 4) << 32) | little32(data);
}

static const uint8_t *find_entry(
                const uint8_t *table, size_t head, unsigned n, const uint8_t guid[GUID_SIZE]) {
        for (unsigned i = 0; i < n; i++)
                if (memcmp(table + head + i * ENTRY_SIZE, guid, GUID_SIZE) == 0)
                        return table + head + i * ENTRY_SIZE;
        return NULL;
}

/* There are two tables of regions, which are the same unless one is damaged. */
static bool find_metadata(
                int fd, uint8_t *table, const char *path, uint64_t *ret_offset, GError **error) {
        for (unsigned copy = 0; copy < 2; copy++) {
                const uint8_t *entry = NULL;
                uint32_t n;

                if (!read_at(fd, table, REGIONS_SIZE, REGIONS_OFFSET + copy * REGIONS_SIZE, path,
                                    error))
                        return false;
                n = little32(table + 8);
                if (memcmp(table, REGIONS_MAGIC, strlen(REGIONS_MAGIC)) == 0 && n <= REGIONS_MAX)
                        entry = find_entry(table, REGIONS_HEAD, n, guid_metadata);
                if (!entry)
                        continue;
                *ret_offset = little64(entry + GUID_SIZE);
                return (*ret_offset >= REGION_BEGIN && *ret_offset <= INT64_MAX / 2) ||
                       invalid(path, "a region of it is out of place", error);
        }
        return invalid(path, "it has no table of regions", error);
}

/* The number at the beginning of an item. */
static bool read_item(int fd,
                const uint8_t *entry,
                uint64_t region,
                uint8_t value[8],
                const char *path,
                GError **error) {
        uint32_t offset = entry ? little32(entry + GUID_SIZE) : 0;

        if (!entry || offset < ITEMS_BEGIN || little32(entry + GUID_SIZE + 4) < 8)
                return invalid(path, "an item of it is missing or out of place", error);
        return read_at(fd, value, 8, region + offset, path, error);
}

static bool read_items(int fd,
                const uint8_t *table,
                uint64_t region,
                const char *path,
                VhdHeader *ret,
                GError **error) {
        unsigned n = table[10] | (unsigned) table[11] << 8;
        uint8_t size[8], parameters[8];

        if (memcmp(table, METADATA_MAGIC, strlen(METADATA_MAGIC)) != 0 || n > METADATA_MAX)
                return invalid(path, "it has no table of items", error);
        if (!read_item(fd, find_entry(table, METADATA_HEAD, n, guid_size), region, size, path,
                            error) ||
                        !read_item(fd, find_entry(table, METADATA_HEAD, n, guid_parameters), region,
                                        parameters, path, error))
                return false;
        *ret = (VhdHeader){.virtual_size = little64(size),
                        .fixed = little32(parameters + 4) & PARAMETER_FIXED,
                        .differencing = little32(parameters + 4) & PARAMETER_PARENT};
        return ret->virtual_size <= SIZE_MAX_VHDX ||
               invalid(path, "its virtual size is impossible", error);
}

bool vhdx_header_read(int fd, const char *path, VhdHeader *ret, GError **error) {
        g_autofree uint8_t *table = g_malloc(REGIONS_SIZE);
        char identifier[sizeof(IDENTIFIER) - 1];
        uint64_t region = 0;

        G_STATIC_ASSERT(REGIONS_SIZE == METADATA_SIZE);
        if (!read_at(fd, identifier, sizeof(identifier), 0, path, error))
                return false;
        if (memcmp(identifier, IDENTIFIER, sizeof(identifier)) != 0)
                return invalid(path, "it does not begin as a VHDX", error);
        return find_metadata(fd, table, path, &region, error) &&
               read_at(fd, table, METADATA_SIZE, region, path, error) &&
               read_items(fd, table, region, path, ret, error);
}
