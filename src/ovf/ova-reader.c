/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A tar archive can hold much that a package has no use for: links, devices, directories, sparse
 * files, names that lead elsewhere. None of it is taken. What remains of the format is so little
 * that it is read here: where each file lies is what we want to know, so that qemu-img can read a
 * disk where it is. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ovf/ova.h"
#include "ovf/ovf-reader.h"
#include "ovf/package-digests.h"
#include "ovf/package-io.h"
#include "ovf/tar-header.h"
#include "ovf/vmdk-head.h"
#include "util/digest.h"
#include "util/error.h"
#include "util/io.h"
#include "util/number.h"

#define FILES_MAX     320U
#define TEXT_MAX      (UINT64_C(1) << 20) /* of the descriptor and of the manifest */
#define EXTENSION_MAX (UINT64_C(64) << 10)

/* While the archive is read. */
typedef struct Reader {
        Ova *ova;
        uint64_t offset, end; /* of the next header, and of the package */
        char *next_name;      /* what an extension says of the next file; NULL: nothing */
        bool has_next_size;
        uint64_t next_size;
} Reader;

static bool fail(GError **error, const char *what, const char *name) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE, "The package %s%s%.80s%s",
                        what, name ? ": '" : "", name ? name : "", name ? "'" : "");
        return false;
}

static void file_free(OvaFile *file) {
        g_free(file->name);
        g_free(file);
}

void ova_free(Ova *ova) {
        if (!ova)
                return;
        g_ptr_array_unref(ova->files);
        ovf_machine_free(ova->machine);
        g_clear_pointer(&ova->digests, g_hash_table_unref);
        g_free(ova->descriptor);
        g_free(ova);
}

const OvaFile *ova_find(const Ova *ova, const char *name) {
        for (unsigned i = 0; i < ova->files->len; i++) {
                const OvaFile *file = ova->files->pdata[i];

                if (g_str_equal(file->name, name))
                        return file;
        }
        return NULL;
}

static bool read_at(int fd, void *data, uint64_t length, uint64_t offset, GError **error) {
        return io_read(fd, data, length, offset) ||
               fail(error, "can not be read", g_strerror(errno));
}

/* A text of at most so many bytes without a NUL. */
static char *read_text(
                const Ova *ova, uint64_t offset, uint64_t size, uint64_t limit, GError **error) {
        g_autofree char *text = NULL;

        if (size > limit)
                return fail(error, "has a text that is too long", NULL), NULL;
        text = g_malloc0(size + 1);
        if (!read_at(ova->fd, text, size, offset, error))
                return NULL;
        if (strlen(text) != size)
                return fail(error, "has a text that ends early", NULL), NULL;
        return g_steal_pointer(&text);
}

/* Extensions: a name or a size that has no room in the header that follows */

/* "LENGTH KEY=VALUE\n"; returns where the next one begins, NULL if it is none. */
static char *read_record(char *text, char **ret_key, char **ret_value) {
        char *blank = strchr(text, ' ');
        uint64_t length = 0;
        char *equals;

        if (!blank)
                return NULL;
        *blank = '\0';
        if (!number_parse(text, 1, EXTENSION_MAX, &length) ||
                        length < (uint64_t) (blank - text) + 3 ||
                        length > (uint64_t) (blank - text) + 1 + strlen(blank + 1) ||
                        text[length - 1] != '\n')
                return NULL;
        text[length - 1] = '\0';
        equals = strchr(blank + 1, '=');
        if (!equals)
                return NULL;
        *equals = '\0';
        *ret_key = blank + 1;
        *ret_value = equals + 1;
        return text + length;
}

static bool take_record(Reader *r, const char *key, const char *value, GError **error) {
        if (g_str_equal(key, "path")) {
                g_free(r->next_name);
                r->next_name = g_strdup(value);
        } else if (g_str_equal(key, "size")) {
                r->has_next_size = true;
                return number_parse(value, 0, INT64_MAX, &r->next_size) ||
                       fail(error, "has a file whose size is no number", NULL);
        } else if (g_str_has_prefix(key, "GNU.sparse") || g_str_equal(key, "linkpath"))
                return fail(error, "has what is no plain file", NULL);
        return true;
}

static bool take_pax(Reader *r, char *text, GError **error) {
        while (*text) {
                char *key = NULL, *value = NULL;

                text = read_record(text, &key, &value);
                if (!text)
                        return fail(error, "has an extended header that is none", NULL);
                if (!take_record(r, key, value, error))
                        return false;
        }
        return true;
}

/* 'x' of POSIX, 'L' of GNU. True for a header that is none of them, too. */
static bool take_extension(Reader *r, const TarHeader *header, GError **error) {
        g_autofree char *text = NULL;
        uint64_t size = header->size;

        if (header->type == 'L' && size > 0)
                size--; /* the NUL at its end */
        text = read_text(r->ova, r->offset, size, EXTENSION_MAX, error);
        if (!text)
                return false;
        if (header->type == 'x')
                return take_pax(r, text, error);
        g_free(r->next_name);
        r->next_name = g_steal_pointer(&text);
        return true;
}

/* Files */

static bool add_file(Reader *r, const TarHeader *header, GError **error) {
        bool is_prefixed = header->is_prefixed && !r->next_name;
        g_autofree char *name =
                        r->next_name ? g_steal_pointer(&r->next_name) : g_strdup(header->name);
        const char *plain = g_str_has_prefix(name, "./") ? name + 2 : name;
        OvaFile *file;

        if (header->type != '0')
                return fail(error, "has what is no plain file", name);
        if (is_prefixed || !ovf_file_name_is_valid(plain))
                return fail(error, "has a file whose name is not allowed", name);
        if (ova_find(r->ova, plain))
                return fail(error, "has a file twice", plain);
        if (r->ova->files->len == FILES_MAX)
                return fail(error, "has too many files", NULL);
        file = g_new(OvaFile, 1);
        *file = (OvaFile){g_strdup(plain), r->offset, header->size};
        g_ptr_array_add(r->ova->files, file);
        return true;
}

static bool take_header(Reader *r, TarHeader *header, GError **error) {
        uint64_t size;
        bool ok;

        r->offset += TAR_BLOCK;
        if (r->has_next_size && header->type != 'x' && header->type != 'L') {
                header->size = r->next_size;
                r->has_next_size = false;
        }
        size = header->size;
        if (size > r->end - r->offset)
                return fail(error, "ends before its last file does", NULL);
        if (header->type == 'x' || header->type == 'L')
                ok = take_extension(r, header, error);
        else
                ok = add_file(r, header, error);
        r->offset += (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        return ok;
}

static bool read_archive(Reader *r, GError **error) {
        /* Each may have two extensions. */
        for (unsigned count = 0; count < 3 * FILES_MAX; count++) {
                unsigned char block[TAR_BLOCK];
                TarHeader header = {0};

                if (r->offset > r->end || r->end - r->offset < TAR_BLOCK)
                        return fail(error, "ends early", NULL);
                if (!read_at(r->ova->fd, block, sizeof(block), r->offset, error))
                        return false;
                if (tar_block_is_zero(block))
                        return true;
                if (!tar_header_read(block, &header, error) || !take_header(r, &header, error))
                        return false;
        }
        return fail(error, "has too many files", NULL);
}

static bool list_files(Ova *ova, GError **error) {
        Reader r = {.ova = ova};
        struct stat st;
        bool ok;

        if (fstat(ova->fd, &st) < 0 || !S_ISREG(st.st_mode))
                return fail(error, "is no regular file", NULL);
        r.end = (uint64_t) st.st_size;
        ok = read_archive(&r, error);
        g_free(r.next_name);
        return ok;
}

/* What is in them */

/* The only file with this suffix; NULL and no error if there is none. */
static const OvaFile *find_suffix(const Ova *ova, const char *suffix, bool *ret_several) {
        const OvaFile *found = NULL;

        *ret_several = false;
        for (unsigned i = 0; i < ova->files->len; i++) {
                const OvaFile *file = ova->files->pdata[i];

                if (!g_str_has_suffix(file->name, suffix))
                        continue;
                *ret_several = *ret_several || found;
                found = file;
        }
        return found;
}

static bool read_descriptor(Ova *ova, GError **error) {
        bool several;
        const OvaFile *file = find_suffix(ova, ".ovf", &several);
        g_autofree char *text = NULL;

        if (!file || several)
                return fail(error, file ? "has several descriptors" : "has no descriptor", NULL);
        text = read_text(ova, file->offset, file->size, TEXT_MAX, error);
        ova->machine = text ? ovf_read(text, file->size, error) : NULL;
        ova->descriptor = g_strdup(file->name);
        return ova->machine != NULL;
}

static bool read_digests(Ova *ova, GError **error) {
        bool several;
        const OvaFile *file = find_suffix(ova, ".mf", &several);
        g_autofree char *text = NULL;

        if (several)
                return fail(error, "has several manifests", NULL);
        if (!file)
                return true;
        text = read_text(ova, file->offset, file->size, TEXT_MAX, error);
        ova->digests = text ? package_digests_parse(text, error) : NULL;
        return ova->digests != NULL;
}

static bool check_file(const Ova *ova, const char *name, GError **error) {
        if (!ova_find(ova, name))
                return fail(error, "lacks a file", name);
        return !ova->digests || g_hash_table_contains(ova->digests, name) ||
               fail(error, "has a file that is not in its manifest", name);
}

static bool check_disk(const Ova *ova, OvfDisk *disk, GError **error) {
        g_autoptr(GBytes) head = NULL;
        const OvaFile *file;

        if (!disk->file)
                return true;
        if (!check_file(ova, disk->file, error))
                return false;
        file = ova_find(ova, disk->file);
        if (disk->file_size > 0 && disk->file_size != file->size)
                return fail(error, "has a file of another size than it says", disk->file);
        disk->file_size = file->size;
        head = vmdk_read_head(ova->fd, file->offset, file->size, &disk->capacity, error);
        return head;
}

static bool check_files(const Ova *ova, GError **error) {
        if (!check_file(ova, ova->descriptor, error))
                return false;
        for (unsigned i = 0; i < ova->machine->disks->len; i++)
                if (!check_disk(ova, ova->machine->disks->pdata[i], error))
                        return false;
        return true;
}

Ova *ova_open(int fd, GError **error) {
        g_autoptr(Ova) ova = g_new0(Ova, 1);

        ova->fd = fd;
        ova->files = g_ptr_array_new_with_free_func((GDestroyNotify) file_free);
        if (!list_files(ova, error) || !read_descriptor(ova, error) || !read_digests(ova, error) ||
                        !check_files(ova, error))
                return NULL;
        return g_steal_pointer(&ova);
}

/* Digests */

static bool hash_file(const Ova *ova,
                const OvaFile *file,
                Digest *digest,
                const OvaHooks *hooks,
                GError **error) {
        int reason = package_hash(ova->fd, file->offset, file->size, digest, hooks);

        if (reason == ECANCELED)
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED,
                                "The verification was stopped");
        return reason == 0 ||
               (reason != ECANCELED && fail(error, "can not be read", g_strerror(reason)));
}

static bool verify_file(const Ova *ova, const char *name, const OvaHooks *hooks, GError **error) {
        const PackageDigest *expected = g_hash_table_lookup(ova->digests, name);
        g_autoptr(Digest) digest = digest_new(expected->algorithm);
        g_autofree char *text = NULL;

        if (!hash_file(ova, ova_find(ova, name), digest, hooks, error))
                return false;
        text = digest_end(digest);
        return g_str_equal(text, expected->text) ||
               fail(error, "has a file that is not as it was written", name);
}

uint64_t ova_measure(const Ova *ova) {
        uint64_t sum = ova_find(ova, ova->descriptor)->size;

        for (unsigned i = 0; i < ova->machine->disks->len; i++) {
                const OvfDisk *disk = ova->machine->disks->pdata[i];

                if (disk->file)
                        sum += ova_find(ova, disk->file)->size;
        }
        return sum;
}

bool ova_verify(const Ova *ova, const OvaHooks *hooks, GError **error) {
        if (!ova->digests)
                return true;
        if (!verify_file(ova, ova->descriptor, hooks, error))
                return false;
        for (unsigned i = 0; i < ova->machine->disks->len; i++) {
                const OvfDisk *disk = ova->machine->disks->pdata[i];

                if (disk->file && !verify_file(ova, disk->file, hooks, error))
                        return false;
        }
        return true;
}
