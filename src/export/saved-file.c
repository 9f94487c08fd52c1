/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt's src/qemu/qemu_saveimage.h: a header of 92 bytes in the byte order of the host, then as
 * many bytes as it says for the definition, which ends with a zero, and what libvirt notes beside
 * it
 * ("cookie"), which ends with another, and zeros: libvirt leaves 64 KiB of them, so that a
 * definition can be changed. Then comes the memory, which is QEMU's: it reads it as it reads that
 * of a machine that is saved here, confined like a guest.
 *
 *     16 magic | version | length | was running | compression | where the cookie begins | 14 unused
 */

#include "export/saved-file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"

#define MAGIC        "LibvirtQemudSave"
#define VERSION      2U
#define COMPRESSIONS 6U /* raw, gzip, bzip2, xz, lzop, zstd */
#define DATA_MAX     (UINT32_C(3) << 20)

typedef struct SavedHeader {
        char magic[16];
        uint32_t version;
        uint32_t data_length;
        uint32_t was_running;
        uint32_t compression;
        uint32_t cookie_offset; /* 0: none */
        uint32_t unused[14];
} SavedHeader;

static bool fail(GError **error, const char *what, const char *why) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "%s: %s", what, why);
        return false;
}

static bool read_at(int fd, void *data, size_t length, uint64_t offset) {
        for (ssize_t n; length > 0;
                        data = (char *) data + n, length -= (size_t) n, offset += (uint64_t) n) {
                n = pread(fd, data, length, (off_t) offset);
                if (n < 0 && errno == EINTR)
                        n = 0;
                else if (n <= 0)
                        return false;
        }
        return true;
}

static bool write_at(int fd, const void *data, size_t length, uint64_t offset) {
        for (ssize_t n; length > 0; data = (const char *) data + n, length -= (size_t) n,
                                    offset += (uint64_t) n) {
                n = pwrite(fd, data, length, (off_t) offset);
                if (n < 0 && errno == EINTR)
                        n = 0;
                else if (n <= 0)
                        return false;
        }
        return true;
}

static bool check_header(const SavedHeader *header, const char *what, GError **error) {
        if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0)
                return fail(error, what, "It is no saved state");
        if (header->version != VERSION)
                return fail(error, what,
                                "It is a saved state of another version, or of a host "
                                "with another byte order");
        if (header->data_length == 0 || header->data_length > DATA_MAX ||
                        header->cookie_offset >= header->data_length ||
                        header->compression >= COMPRESSIONS || header->was_running > 1)
                return fail(error, what, "Its header is not right");
        return true;
}

/* The definition, and the cookie or NULL: texts in "data". */
static bool split(const SavedHeader *header,
                char *data,
                const char **ret_definition,
                const char **ret_cookie,
                const char *what,
                GError **error) {
        uint32_t end = header->cookie_offset ?: header->data_length;

        if (!memchr(data, 0, end) ||
                        (header->cookie_offset &&
                                        !memchr(data + end, 0, header->data_length - end)))
                return fail(error, what, "Its definition has no end");
        *ret_definition = data;
        *ret_cookie = header->cookie_offset && data[end] ? data + end : NULL;
        if (!g_utf8_validate(*ret_definition, -1, NULL) ||
                        (*ret_cookie && !g_utf8_validate(*ret_cookie, -1, NULL)))
                return fail(error, what, "Its definition is no text");
        return true;
}

static bool write_anew(int fd,
                SavedHeader *header,
                const char *definition,
                const char *cookie,
                const char *what,
                GError **error) {
        size_t length = strlen(definition) + 1, cookie_length = cookie ? strlen(cookie) + 1 : 0;
        g_autofree char *data = g_malloc0(header->data_length);

        if (length + cookie_length > header->data_length) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INCOMPATIBLE_SAVED_STATE,
                                "%s: There is no room in it for the definition that the machine "
                                "gets",
                                what);
                return false;
        }
        memcpy(data, definition, length);
        if (cookie)
                memcpy(data + length, cookie, cookie_length);
        header->cookie_offset = cookie ? (uint32_t) length : 0;
        memset(header->unused, 0, sizeof(header->unused));
        if (write_at(fd, header, sizeof(*header), 0) &&
                        write_at(fd, data, header->data_length, sizeof(*header)))
                return true;
        return error_fail(error_of_errno(errno), error, "%s: It can not be written: %s", what,
                        g_strerror(errno));
}

bool saved_file_import(int fd, DefinitionImport *import, const char *what, GError **error) {
        g_autofree char *data = NULL, *definition = NULL, *new_cookie = NULL;
        const char *old, *cookie;
        SavedHeader header;

        if (!read_at(fd, &header, sizeof(header), 0))
                return fail(error, what, "It is too short");
        if (!check_header(&header, what, error))
                return false;
        data = g_malloc(header.data_length);
        if (!read_at(fd, data, header.data_length, sizeof(header)))
                return fail(error, what, "It is too short");
        if (!split(&header, data, &old, &cookie, what, error))
                return false;
        definition = definition_import_domain(import, old, what, error);
        if (!definition)
                return false;
        new_cookie = cookie ? definition_import_cookie(import, cookie, what, error) : NULL;
        if (cookie && !new_cookie)
                return false;
        return write_anew(fd, &header, definition, new_cookie, what, error);
}
