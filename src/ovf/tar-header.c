/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ovf/tar-header.h"

#include <stdio.h>
#include <string.h>

#include "util/error.h"

/* Fields: where they begin, and how long they are. */
enum {
        NAME = 0,
        MODE = 100,
        UID = 108,
        GID = 116,
        SIZE = 124,
        MTIME = 136,
        SUM = 148,
        TYPE = 156,
        MAGIC = 257,
        VERSION = 263,
        PREFIX = 345,
        SHORT_LENGTH = 8,
        LONG_LENGTH = 12,
        MAGIC_LENGTH = 6,
};

/* What eleven octal digits can not say. */
#define OCTAL_MAX (UINT64_C(1) << 33)

/* All digits, and a NUL. */
static void put_octal(unsigned char *field, size_t length, uint64_t value) {
        field[--length] = '\0';
        while (length > 0) {
                field[--length] = (unsigned char) ('0' + value % 8);
                value /= 8;
        }
}

/* GNU's: a bit, and the number in binary, big end first. */
static void put_binary(unsigned char *field, size_t length, uint64_t value) {
        while (length > 1) {
                field[--length] = (unsigned char) (value & 0xFF);
                value >>= 8;
        }
        field[0] = 0x80;
}

/* Of all bytes, those of the sum itself taken as blanks. */
static uint64_t sum_of(const unsigned char *block) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < TAR_BLOCK; i++)
                sum += i >= SUM && i < SUM + SHORT_LENGTH ? ' ' : block[i];
        return sum;
}

void tar_header_write(unsigned char *block, const char *name, uint64_t size, uint64_t mtime) {
        memset(block, 0, TAR_BLOCK);
        memcpy(block + NAME, name, MIN(strlen(name), TAR_NAME_LENGTH));
        put_octal(block + MODE, SHORT_LENGTH, 0644);
        put_octal(block + UID, SHORT_LENGTH, 0);
        put_octal(block + GID, SHORT_LENGTH, 0);
        if (size < OCTAL_MAX)
                put_octal(block + SIZE, LONG_LENGTH, size);
        else
                put_binary(block + SIZE, LONG_LENGTH, size);
        put_octal(block + MTIME, LONG_LENGTH, MIN(mtime, OCTAL_MAX - 1));
        block[TYPE] = '0';
        memcpy(block + MAGIC, "ustar", MAGIC_LENGTH);
        memcpy(block + VERSION, "00", 2);
        put_octal(block + SUM, SHORT_LENGTH - 1, sum_of(block));
        block[SUM + SHORT_LENGTH - 1] = ' ';
}

static bool read_binary(const unsigned char *field, size_t length, uint64_t *ret) {
        uint64_t value = field[0] & 0x7FU;

        for (size_t i = 1; i < length; i++) {
                if (value > INT64_MAX >> 8)
                        return false;
                value = value << 8 | field[i];
        }
        *ret = value;
        return field[0] < 0xC0; /* otherwise it is negative */
}

/* Blanks may stand before the digits, a blank or a NUL ends them. */
static bool read_number(const unsigned char *field, size_t length, uint64_t *ret) {
        uint64_t value = 0;
        size_t i = 0, digits;

        if (field[0] & 0x80U)
                return read_binary(field, length, ret);
        while (i < length && field[i] == ' ')
                i++;
        for (digits = i; i < length && field[i] >= '0' && field[i] <= '7'; i++)
                value = value * 8 + (uint64_t) (field[i] - '0');
        if (i == digits || (i < length && field[i] != ' ' && field[i] != '\0'))
                return false;
        *ret = value;
        return true;
}

static bool fail(const char *what, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "The package is no tar archive, or damaged: %s", what);
        return false;
}

bool tar_header_read(const unsigned char *block, TarHeader *ret, GError **error) {
        bool is_ustar = memcmp(block + MAGIC, "ustar", MAGIC_LENGTH) == 0;
        bool is_gnu = memcmp(block + MAGIC, "ustar ", MAGIC_LENGTH) == 0;
        uint64_t sum = 0;

        if (!is_ustar && !is_gnu)
                return fail("a header has another format", error);
        if (!read_number(block + SUM, SHORT_LENGTH, &sum) || sum != sum_of(block))
                return fail("the sum of a header is wrong", error);
        memcpy(ret->name, block + NAME, TAR_NAME_LENGTH);
        ret->name[TAR_NAME_LENGTH] = '\0';
        ret->type = block[TYPE] ? (char) block[TYPE] : '0';
        /* GNU has other things there. */
        ret->is_prefixed = is_ustar && block[PREFIX];
        return read_number(block + SIZE, LONG_LENGTH, &ret->size) ||
               fail("the size of a file is no number", error);
}

bool tar_block_is_zero(const unsigned char *block) {
        return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}
