/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The descriptor and the manifest come before the disks, as OVF 1.1 wants it, and are written after
 * them, because they have their sizes and digests. Their places are kept free: the length of the
 * manifest is known from the names, and that of the descriptor is its length with the largest
 * numbers that there are. What it gets too long is blank. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ovf/ova.h"
#include "ovf/ovf-writer.h"
#include "ovf/package-digests.h"
#include "ovf/package-io.h"
#include "ovf/tar-header.h"
#include "util/digest.h"
#include "util/error.h"
#include "util/io.h"

#define RECORD_LENGTH (20U * TAR_BLOCK) /* of which an archive is a multiple */
#define NAME_LENGTH   (TAR_NAME_LENGTH - 4U)

typedef struct Writer {
        int target;
        OvfMachine *machine;
        const OvaSource *source;
        const OvaHooks *hooks;
        uint64_t offset; /* the end of what is written */
        uint64_t mtime;
        GString *digests;
} Writer;

static bool fail(int reason, const char *verb, GError **error) {
        return error_fail(error_of_errno(reason), error, "Failed to %s a file: %s", verb,
                        g_strerror(reason));
}

static bool write_at(Writer *w, uint64_t offset, const void *data, size_t length, GError **error) {
        return io_write(w->target, data, length, offset) || fail(errno, "write", error);
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

static void note_digest(Writer *w, const char *name, Digest *digest) {
        g_autofree char *sha256 = digest_end(digest);
        g_autofree char *line = package_digest_line(name, sha256);

        g_string_append(w->digests, line);
}

/* A header, and room behind it; returns where that is. */
static bool reserve(Writer *w, const char *name, size_t length, uint64_t *ret, GError **error) {
        if (!write_header(w, name, length, error))
                return false;
        *ret = w->offset;
        w->offset += padded(length, TAR_BLOCK);
        return true;
}

/* Disks */

static bool is_to_stop(const Writer *w, GError **error) {
        if (!w->hooks || !w->hooks->stop || !w->hooks->stop(w->hooks->userdata))
                return false;
        g_set_error_literal(
                        error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED, "The export was stopped");
        return true;
}

static bool fill_disk(Writer *w, unsigned number, uint64_t *ret_size, GError **error) {
        uint64_t offset = w->offset + TAR_BLOCK;
        struct stat st;

        if (ftruncate(w->target, (off_t) offset) < 0)
                return fail(errno, "write", error);
        if (!w->source->write(w->target, offset, number, w->source->userdata, error))
                return false;
        if (fstat(w->target, &st) < 0)
                return fail(errno, "look at", error);
        *ret_size = (uint64_t) st.st_size - offset;
        return true;
}

/* What somebody else has written is read once more, from memory for the most part. */
static bool write_disk(Writer *w, unsigned number, GError **error) {
        OvfDisk *disk = w->machine->disks->pdata[number];
        g_autoptr(Digest) digest = digest_new(DIGEST_SHA256);
        int reason;

        if (!disk->file)
                return true;
        if (is_to_stop(w, error) || !fill_disk(w, number, &disk->file_size, error) ||
                        !write_header(w, disk->file, disk->file_size, error))
                return false;
        reason = package_hash(w->target, w->offset, disk->file_size, digest, w->hooks);
        if (is_to_stop(w, error))
                return false;
        if (reason != 0)
                return fail(reason, "read", error);
        w->offset += padded(disk->file_size, TAR_BLOCK);
        note_digest(w, disk->file, digest);
        return true;
}

static bool write_disks(Writer *w, GError **error) {
        for (unsigned i = 0; i < w->machine->disks->len; i++)
                if (!write_disk(w, i, error))
                        return false;
        return true;
}

/* The package */

/* How long the descriptor gets at most. */
static size_t descriptor_length(OvfMachine *machine) {
        g_autofree char *text = NULL;

        for (unsigned i = 0; i < machine->disks->len; i++)
                ((OvfDisk *) machine->disks->pdata[i])->file_size = UINT64_MAX;
        text = ovf_write(machine);
        return strlen(text);
}

/* Its line comes first in the manifest. */
static bool write_descriptor(
                Writer *w, const char *name, uint64_t offset, size_t length, GError **error) {
        g_autoptr(Digest) digest = digest_new(DIGEST_SHA256);
        g_autofree char *text = ovf_write(w->machine), *line = NULL, *sha256 = NULL;
        g_autofree char *whole = g_strdup_printf("%-*s", (int) length, text);

        digest_add(digest, whole, length);
        sha256 = digest_end(digest);
        line = package_digest_line(name, sha256);
        g_string_prepend(w->digests, line);
        return write_at(w, offset, whole, length, error);
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
        g_autofree char *digest = g_strnfill(DIGEST_LENGTH, '0');
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
        size_t length = descriptor_length(w->machine);
        size_t lines = digests_length(w->machine, descriptor);
        uint64_t descriptor_offset, manifest_offset;

        if (!reserve(w, descriptor, length, &descriptor_offset, error) ||
                        !reserve(w, manifest, lines, &manifest_offset, error) ||
                        !write_disks(w, error) ||
                        !write_descriptor(w, descriptor, descriptor_offset, length, error))
                return false;
        g_assert(w->digests->len == lines);
        return write_at(w, manifest_offset, w->digests->str, lines, error) && finish(w, error);
}

bool ova_write(int target,
                const char *name,
                OvfMachine *machine,
                const OvaSource *source,
                const OvaHooks *hooks,
                GError **error) {
        Writer w = {
                        .target = target,
                        .machine = machine,
                        .source = source,
                        .hooks = hooks,
                        .mtime = (uint64_t) (g_get_real_time() / G_USEC_PER_SEC),
        };
        bool ok;

        if (!check_names(name, machine, error))
                return false;
        w.digests = g_string_new(NULL);
        ok = write_package(&w, name, error);
        (void) g_string_free(w.digests, TRUE);
        return ok;
}
