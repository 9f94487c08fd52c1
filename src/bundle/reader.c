/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bundle/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bundle/extents.h"
#include "bundle/writer.h"
#include "util/error.h"
#include "util/fd.h"

#define TEXT_MAX (UINT64_C(64) << 20) /* of a chunk list */

static bool fail(int reason, const char *name, GError **error) {
        bool denied = reason == EACCES || reason == EPERM;

        g_set_error(error, VIRTASK_ERROR,
                        denied ? VIRTASK_ERROR_ACCESS_DENIED : VIRTASK_ERROR_INVALID_BUNDLE,
                        "The file '%s' of the bundle can not be read: %s", name,
                        g_strerror(reason));
        return false;
}

static int open_beneath(int directory, const char *name) {
        struct open_how how = {
                        .flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                                   RESOLVE_NO_XDEV,
        };

        return (int) syscall(SYS_openat2, directory, name, &how, sizeof(how));
}

static int open_regular(int directory, const char *name, struct stat *ret, GError **error) {
        int fd = open_beneath(directory, name);

        if (fd >= 0 && fstat(fd, ret) == 0 && S_ISREG(ret->st_mode))
                return fd;
        fail(fd >= 0 ? EINVAL : errno, name, error);
        fd_close(&fd);
        return -1;
}

static char *read_text(int directory, const char *name, uint64_t limit, GError **error) {
        struct stat st;
        auto_fd fd = open_regular(directory, name, &st, error);
        g_autofree char *text = NULL;
        size_t length = 0;

        if (fd < 0)
                return NULL;
        if ((uint64_t) st.st_size > limit)
                return fail(EFBIG, name, error), NULL;
        text = g_malloc((size_t) st.st_size + 1);
        while (length < (size_t) st.st_size) {
                ssize_t n = read(fd, text + length, (size_t) st.st_size - length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return fail(n < 0 ? errno : ESTALE, name, error), NULL;
                length += (size_t) n;
        }
        text[length] = 0;
        if (strlen(text) < length)
                return fail(EILSEQ, name, error), NULL;
        return g_steal_pointer(&text);
}

static Bundle *open_directory(const char *path, GError **error) {
        g_autoptr(Bundle) bundle = g_new0(Bundle, 1);

        bundle->directory = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (bundle->directory < 0) {
                int saved = errno;

                g_set_error(error, VIRTASK_ERROR,
                                saved == EACCES ? VIRTASK_ERROR_ACCESS_DENIED
                                                : VIRTASK_ERROR_PATH_NOT_FOUND,
                                "Failed to open the directory '%s': %s", path, g_strerror(saved));
                return NULL;
        }
        return g_steal_pointer(&bundle);
}

static bool take_manifest(Bundle *bundle, char *text, GError **error) {
        bundle->manifest_text = text;
        bundle->manifest = text ? manifest_parse(text, error) : NULL;
        return bundle->manifest;
}

Bundle *bundle_open(const char *path, GError **error) {
        g_autoptr(Bundle) bundle = open_directory(path, error);

        if (!bundle || !take_manifest(bundle,
                                       read_text(bundle->directory, MANIFEST_FILE, MANIFEST_MAX,
                                                       error),
                                       error))
                return NULL;
        return g_steal_pointer(&bundle);
}

Bundle *bundle_open_as(const char *path, const char *manifest, GError **error) {
        g_autoptr(Bundle) bundle = open_directory(path, error);

        if (!bundle || !take_manifest(bundle, g_strdup(manifest), error))
                return NULL;
        return g_steal_pointer(&bundle);
}

void bundle_free(Bundle *bundle) {
        if (!bundle)
                return;
        fd_close(&bundle->directory);
        manifest_free(bundle->manifest);
        g_free(bundle->manifest_text);
        g_free(bundle);
}

int bundle_open_file(const Bundle *bundle, const char *name, GError **error) {
        struct stat st;

        return open_regular(bundle->directory, name, &st, error);
}

char *bundle_read_text(
                const Bundle *bundle, const ManifestFile *file, uint64_t limit, GError **error) {
        g_autofree char *text = read_text(bundle->directory, file->name, limit, error);
        g_autofree char *sha256 = NULL;
        g_autoptr(Digest) digest = digest_new(DIGEST_SHA256);

        if (!text)
                return NULL;
        digest_add(digest, text, strlen(text));
        sha256 = digest_end(digest);
        if (strlen(text) == file->size && g_strcmp0(sha256, file->sha256) == 0)
                return g_steal_pointer(&text);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        "%s: It does not have the digest that it was written with", file->name);
        return NULL;
}

static ChunkList *read_chunks(const Bundle *bundle, const ManifestFile *file, GError **error) {
        const ManifestFile *own = manifest_find(bundle->manifest, file->chunks);
        g_autofree char *text = bundle_read_text(bundle, own, TEXT_MAX, error);
        g_autoptr(ChunkList) list = text ? chunk_list_parse(text, error) : NULL;

        if (!list || list->size == file->size)
                return g_steal_pointer(&list);
        fail(EBADMSG, file->chunks, error);
        return NULL;
}

bool bundle_expected(
                const Bundle *bundle, const ManifestFile *file, FileDigest *ret, GError **error) {
        *ret = (FileDigest){.size = file->size, .sha256 = g_strdup(file->sha256)};
        if (file->chunks)
                ret->chunks = read_chunks(bundle, file, error);
        return ret->sha256 || ret->chunks;
}

bool bundle_measure(const Bundle *bundle, uint64_t *ret, GError **error) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < bundle->manifest->files->len; i++) {
                const ManifestFile *file = bundle->manifest->files->pdata[i];
                auto_fd fd = bundle_open_file(bundle, file->name, error);
                g_auto(ExtentList) list = {0};

                if (fd < 0)
                        return false;
                if (!extent_list_read(fd, &list))
                        return fail(errno, file->name, error);
                sum += list.data_length;
        }
        *ret = sum;
        return true;
}

static bool verify_file(const Bundle *bundle,
                const ManifestFile *file,
                const FileHooks *hooks,
                GError **error) {
        g_auto(FileDigest) expected = {0};
        auto_fd fd = bundle_open_file(bundle, file->name, error);
        FileCopy copy = {.source = fd, .target = -1, .expected = &expected, .hooks = hooks};

        if (fd < 0 || !bundle_expected(bundle, file, &expected, error))
                return false;
        if (file_copy(&copy, NULL, error))
                return true;
        g_prefix_error(error, "%s: ", file->name);
        return false;
}

/* The lines that sha256sum(1) is given, in the order of the manifest. */
static char *expected_sums(const Bundle *bundle) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(Digest) digest = digest_new(DIGEST_SHA256);
        g_autofree char *own = NULL;

        digest_add(digest, bundle->manifest_text, strlen(bundle->manifest_text));
        own = digest_end(digest);
        for (unsigned i = 0; i < bundle->manifest->files->len; i++) {
                const ManifestFile *file = bundle->manifest->files->pdata[i];

                if (file->sha256)
                        g_ptr_array_add(lines,
                                        g_strdup_printf("%s  %s\n", file->sha256, file->name));
        }
        g_ptr_array_add(lines, g_strdup_printf("%s  " MANIFEST_FILE "\n", own));
        g_ptr_array_add(lines, NULL);
        return g_strjoinv(NULL, (char **) lines->pdata);
}

bool bundle_check_sums(const Bundle *bundle, GError **error) {
        g_autofree char *wanted = expected_sums(bundle);
        g_autofree char *text = read_text(bundle->directory, SUMS_FILE, MANIFEST_MAX, error);

        if (!text)
                return false;
        if (g_str_equal(text, wanted))
                return true;
        g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_BUNDLE,
                        SUMS_FILE " does not name what the manifest names");
        return false;
}

bool bundle_verify(const Bundle *bundle, const FileHooks *hooks, GError **error) {
        for (unsigned i = 0; i < bundle->manifest->files->len; i++)
                if (!verify_file(bundle, bundle->manifest->files->pdata[i], hooks, error))
                        return false;
        return bundle_check_sums(bundle, error);
}
