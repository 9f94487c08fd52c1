/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each disk is read once. The manifest comes before the disks, as OVF 1.1 wants it, and is written
 * after them: its length is known from the names. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ovf/ova.h"
#include "ovf/ovf-digest.h"
#include "ovf/ovf-writer.h"
#include "ovf/package-digests.h"
#include "ovf/package-io.h"
#include "ovf/tar-header.h"
#include "util/error.h"

#define BUFFER_LENGTH (1U << 20)
#define RECORD_LENGTH (20U * TAR_BLOCK) /* of which an archive is a multiple */
#define NAME_LENGTH   (TAR_NAME_LENGTH - 4U)

typedef struct Writer {
        int target;
        const OvfMachine *machine;
        const int *descriptors;
        const OvaHooks *hooks;
        uint64_t offset; /* the end of what is written */
        uint64_t mtime;
        GString *digests;
        unsigned char *buffer;
} Writer;

static bool fail(int reason, const char *verb, GError **error) {
        g_set_error(error, VIRTASK_ERROR,
                        reason == ENOSPC || reason == EDQUOT || reason == EFBIG
                                        ? VIRTASK_ERROR_DISK_FULL
                                        : VIRTASK_ERROR_FAILED,
                        "Failed to %s a file: %s", verb, g_strerror(reason));
        return false;
}

static bool write_at(Writer *w, uint64_t offset, const void *data, size_t length, GError **error) {
        const unsigned char *bytes = data;

        while (length > 0) {
                ssize_t n = pwrite(w->target, bytes, length, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return fail(n < 0 ? errno : EIO, "write", error);
                bytes += n;
                offset += (uint64_t) n;
                length -= (size_t) n;
        }
        return true;
}

static bool write_header(Writer *w, const char *name, uint64_t size, GError **error) {
        unsigned char block[TAR_BLOCK];

        tar_header_write(block, name, size, w->mtime);
        if (!write_at(w, w->offset, block, sizeof(block), error))
                return false;
        w->offset += TAR_BLOCK;
        return true;
}

/* What a file takes, with the zeros behind it. */
static uint64_t padded(uint64_t size, uint64_t unit) {
        return (size + unit - 1) / unit * unit;
}

static void note_digest(Writer *w, const char *name, OvfDigest *digest) {
        g_autofree char *sha256 = ovf_digest_end(digest);
        g_autofree char *line = package_digest_line(name, sha256);

        g_string_append(w->digests, line);
}

static bool write_text(Writer *w, const char *name, const char *text, GError **error) {
        g_autoptr(OvfDigest) digest = ovf_digest_new(OVF_SHA256);
        size_t length = strlen(text);

        if (!write_header(w, name, length, error) || !write_at(w, w->offset, text, length, error))
                return false;
        w->offset += padded(length, TAR_BLOCK);
        ovf_digest_add(digest, text, length);
        note_digest(w, name, digest);
        return true;
}

/* Disks */

static bool read_some(Writer *w, int fd, size_t length, uint64_t offset, GError **error) {
        int reason = package_read(fd, w->buffer, length, offset);

        return reason == 0 || fail(reason, "read", error);
}

static bool is_to_stop(const Writer *w, GError **error) {
        if (!w->hooks || !w->hooks->stop || !w->hooks->stop(w->hooks->userdata))
                return false;
        g_set_error_literal(
                        error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED, "The export was stopped");
        return true;
}

static bool copy_disk(Writer *w, int fd, uint64_t size, OvfDigest *digest, GError **error) {
        for (uint64_t done = 0, n; done < size; done += n) {
                n = MIN(size - done, BUFFER_LENGTH);
                if (is_to_stop(w, error) || !read_some(w, fd, n, done, error) ||
                                !write_at(w, w->offset + done, w->buffer, n, error))
                        return false;
                ovf_digest_add(digest, w->buffer, n);
                if (w->hooks && w->hooks->copied)
                        w->hooks->copied(n, w->hooks->userdata);
        }
        return true;
}

static bool write_disk(Writer *w, unsigned number, GError **error) {
        const OvfDisk *disk = w->machine->disks->pdata[number];
        g_autoptr(OvfDigest) digest = ovf_digest_new(OVF_SHA256);

        if (!disk->file)
                return true;
        if (!write_header(w, disk->file, disk->file_size, error) ||
                        !copy_disk(w, w->descriptors[number], disk->file_size, digest, error))
                return false;
        w->offset += padded(disk->file_size, TAR_BLOCK);
        note_digest(w, disk->file, digest);
        return true;
}

/* The package */

static bool measure(const OvfMachine *machine, const int *descriptors, GError **error) {
        for (unsigned i = 0; i < machine->disks->len; i++) {
                OvfDisk *disk = machine->disks->pdata[i];
                struct stat st;

                if (!disk->file)
                        continue;
                if (fstat(descriptors[i], &st) < 0)
                        return fail(errno, "look at", error);
                disk->file_size = (uint64_t) st.st_size;
        }
        return true;
}

static bool check_name(const char *name, size_t maximum, GError **error) {
        if (ovf_file_name_is_valid(name) && strlen(name) <= maximum)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NAME_INVALID,
                        "'%s' can not be the name of a file of a package", name);
        return false;
}

static bool check_names(const char *name, const OvfMachine *machine, GError **error) {
        if (!check_name(name, NAME_LENGTH, error))
                return false;
        for (unsigned i = 0; i < machine->disks->len; i++) {
                const OvfDisk *disk = machine->disks->pdata[i];

                if (disk->file && !check_name(disk->file, TAR_NAME_LENGTH, error))
                        return false;
        }
        return true;
}

static size_t line_length(const char *name) {
        g_autofree char *digest = g_strnfill(OVF_SHA256_LENGTH, '0');
        g_autofree char *line = package_digest_line(name, digest);

        return strlen(line);
}

/* How long the manifest will be. */
static size_t digests_length(const OvfMachine *machine, const char *descriptor) {
        size_t length = line_length(descriptor);

        for (unsigned i = 0; i < machine->disks->len; i++) {
                const OvfDisk *disk = machine->disks->pdata[i];

                if (disk->file)
                        length += line_length(disk->file);
        }
        return length;
}

/* The zeros at the end, up to a whole record. */
static bool finish(Writer *w, GError **error) {
        uint64_t end = padded(w->offset + 2 * UINT64_C(512), RECORD_LENGTH);

        if (ftruncate(w->target, (off_t) end) < 0 || fdatasync(w->target) < 0)
                return fail(errno, "write", error);
        return true;
}

static bool write_package(Writer *w, const char *name, GError **error) {
        g_autofree char *descriptor = g_strconcat(name, ".ovf", NULL);
        g_autofree char *manifest = g_strconcat(name, ".mf", NULL);
        g_autofree char *text = ovf_write(w->machine);
        size_t length = digests_length(w->machine, descriptor);
        uint64_t place;

        if (!write_text(w, descriptor, text, error) || !write_header(w, manifest, length, error))
                return false;
        place = w->offset;
        w->offset += padded(length, TAR_BLOCK);
        for (unsigned i = 0; i < w->machine->disks->len; i++)
                if (!write_disk(w, i, error))
                        return false;
        g_assert(w->digests->len == length);
        return write_at(w, place, w->digests->str, length, error) && finish(w, error);
}

bool ova_write(int target,
                const char *name,
                OvfMachine *machine,
                const int *descriptors,
                const OvaHooks *hooks,
                GError **error) {
        Writer w = {
                        .target = target,
                        .machine = machine,
                        .descriptors = descriptors,
                        .hooks = hooks,
                        .mtime = (uint64_t) (g_get_real_time() / G_USEC_PER_SEC),
        };
        bool ok;

        if (!check_names(name, machine, error) || !measure(machine, descriptors, error))
                return false;
        w.digests = g_string_new(NULL);
        w.buffer = g_malloc(BUFFER_LENGTH);
        ok = write_package(&w, name, error);
        g_free(w.buffer);
        (void) g_string_free(w.digests, TRUE);
        return ok;
}
