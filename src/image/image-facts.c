/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A file is looked at before it is opened, because a FIFO would wait for ever and some devices do
 * something when they are opened. Any thread. */

#include "image/image-facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "image/qcow2-header.h"
#include "image/vhd-header.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/io.h"
#include "util/path.h"

#define MAGIC_SIZE  8U
#define FOOTER_SIZE 512U

/* Opening */

static VirtaskError code_of(int reason) {
        switch (reason) {
        case EACCES:
        case EPERM:
                return VIRTASK_ERROR_ACCESS_DENIED;
        case ENOENT:
                return VIRTASK_ERROR_FILE_NOT_FOUND;
        case ENOTDIR:
        case ELOOP:
        case EXDEV:
                return VIRTASK_ERROR_PATH_NOT_FOUND;
        case ENAMETOOLONG:
                return VIRTASK_ERROR_PATH_TOO_LONG;
        default:
                return error_of_errno(reason);
        }
}

static bool fail(int reason, const char *verb, const char *path, GError **error) {
        return error_fail(code_of(reason), error, "Failed to %s the image '%s': %s", verb, path,
                        g_strerror(reason));
}

/* A missing directory is another error than a missing file. */
static bool fail_to_find(int reason, const char *path, GError **error) {
        g_autofree char *directory = g_path_get_dirname(path);

        if (reason == ENOENT && access(directory, F_OK) < 0 && errno == ENOENT)
                reason = ENOTDIR;
        return fail(reason, "find", path, error);
}

static int open_place(int directory, const char *path, uint64_t resolve) {
        struct open_how how = {
                        .flags = O_PATH | O_CLOEXEC,
                        .resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };

        return (int) syscall(SYS_openat2, directory, path, &how, sizeof(how));
}

static int find_anywhere(const char *path, char **ret_path, GError **error) {
        char *real = realpath(path, NULL);
        int fd = -1;

        if (!real)
                return fail_to_find(errno, path, error), -1;
        if (path_check(real, error)) {
                fd = open_place(AT_FDCWD, real, 0);
                if (fd < 0)
                        fail_to_find(errno, path, error);
        }
        *ret_path = g_strdup(real);
        free(real);
        return fd;
}

/* The part of the path below the directory; NULL if it is elsewhere. */
static const char *relative_to(const char *path, const char *directory) {
        size_t length = strlen(directory);

        return strncmp(path, directory, length) == 0 && path[length] == '/' ? path + length + 1
                                                                            : NULL;
}

static int find_beneath(
                const char *path, const char *const *beneath, char **ret_path, GError **error) {
        for (unsigned i = 0; beneath[i]; i++) {
                const char *relative = relative_to(path, beneath[i]);
                auto_fd directory =
                                relative ? open(beneath[i], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
                int fd;

                if (directory < 0)
                        continue;
                fd = open_place(directory, relative, RESOLVE_BENEATH);
                if (fd < 0)
                        fail_to_find(errno, path, error);
                else
                        *ret_path = g_strdup(path);
                return fd;
        }
        return error_fail(VIRTASK_ERROR_ACCESS_DENIED, error,
                               "The image '%s' is not in a directory of the service", path),
               -1;
}

int image_open(const char *path,
                const char *const *beneath,
                char **ret_path,
                struct stat *ret,
                GError **error) {
        char link[sizeof("/proc/self/fd/") + 16];
        g_autofree char *real = NULL;
        auto_fd place = beneath ? find_beneath(path, beneath, &real, error)
                                : find_anywhere(path, &real, error);
        int fd;

        if (place < 0)
                return -1;
        if (fstat(place, ret) < 0)
                return fail(errno, "look at", path, error), -1;
        if (!S_ISREG(ret->st_mode))
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                       "The image '%s' is not a regular file", path),
                       -1;
        /* The very file that was looked at, whatever has the name by now. */
        (void) g_snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
        fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return fail(errno, "open", path, error), -1;
        *ret_path = g_steal_pointer(&real);
        return fd;
}

/* Formats */

static bool begins_with(const char *data, const char *magic, size_t length) {
        return memcmp(data, magic, length) == 0;
}

/* What the content looks like; raw if it is nothing that is known. */
static const char *format_of_content(int fd, uint64_t size) {
        char head[MAGIC_SIZE] = {0}, foot[MAGIC_SIZE] = {0};

        if (size >= MAGIC_SIZE)
                (void) io_read(fd, head, sizeof(head), 0);
        if (size >= FOOTER_SIZE)
                (void) io_read(fd, foot, sizeof(foot), size - FOOTER_SIZE);
        if (begins_with(head, "QFI\xfb", 4))
                return "qcow2";
        if (begins_with(head, "vhdxfile", 8))
                return "vhdx";
        if (begins_with(head, "KDMV", 4) || begins_with(head, "# Disk D", 8))
                return "vmdk";
        if (begins_with(head, "conectix", 8) || begins_with(foot, "conectix", 8))
                return "vpc";
        return "raw";
}

/* NULL and "error" if it can't be told. */
static const char *find_format(int fd, uint64_t size, const char *path, GError **error) {
        const char *looks = format_of_content(fd, size);
        ImageFormat named;

        if (image_format_of_name(path, &named)) {
                if (named == IMAGE_RAW && !g_str_equal(looks, "raw"))
                        return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                               "The image '%s' is named like a raw one and begins "
                                               "or ends like a %s image",
                                               path, looks),
                               NULL;
                return image_format_name(named);
        }
        if (g_str_equal(looks, "raw"))
                return looks;
        return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                               "The name of the image '%s' does not tell whether it is a %s image "
                               "or a raw one whose guest has written that",
                               path, looks),
               NULL;
}

/* Headers */

static bool is_allocated(const ImageFacts *facts) {
        return facts->virtual_size > 0 && facts->host_size >= facts->virtual_size;
}

static void take_type(ImageFacts *facts, bool fixed) {
        if (facts->type != IMAGE_DIFFERENCING)
                facts->type = fixed ? IMAGE_FIXED : IMAGE_DYNAMIC;
}

/* The parent as a path without links, if it is there. */
static char *find_parent(const char *path, const char *backing) {
        g_autofree char *directory = g_path_get_dirname(path);
        g_autofree char *absolute = g_path_is_absolute(backing)
                                                    ? g_strdup(backing)
                                                    : g_build_filename(directory, backing, NULL);
        char *real = realpath(absolute, NULL);
        char *found = real && path_check(real, NULL) ? g_strdup(real) : NULL;

        free(real);
        return found ?: g_canonicalize_filename(absolute, "/");
}

static bool read_qcow2(int fd, ImageFacts *facts, GError **error) {
        g_auto(Qcow2Header) header = {0};

        if (!qcow2_header_read(fd, facts->path, &header, error))
                return false;
        facts->virtual_size = header.virtual_size;
        if (header.backing) {
                facts->type = IMAGE_DIFFERENCING;
                facts->parent = find_parent(facts->path, header.backing);
                facts->parent_format = g_steal_pointer(&header.backing_format);
        }
        take_type(facts, is_allocated(facts));
        return true;
}

static bool take_vhd(ImageFacts *facts, const VhdHeader *header) {
        facts->virtual_size = header->virtual_size;
        if (header->differencing)
                facts->type = IMAGE_DIFFERENCING;
        take_type(facts, header->fixed);
        return true;
}

static bool read_vpc(int fd, ImageFacts *facts, GError **error) {
        VhdHeader header;

        return vhd_header_read(fd, facts->size, facts->path, &header, error) &&
               take_vhd(facts, &header);
}

static bool read_vhdx(int fd, ImageFacts *facts, GError **error) {
        VhdHeader header;

        return vhdx_header_read(fd, facts->path, &header, error) && take_vhd(facts, &header);
}

static bool read_raw(int fd, ImageFacts *facts, GError **error) {
        facts->virtual_size = facts->size;
        take_type(facts, is_allocated(facts));
        return true;
}

static bool read_header(int fd, ImageFacts *facts, GError **error) {
        static bool (*const readers[])(int fd, ImageFacts *facts, GError **error) = {
                        [IMAGE_RAW] = read_raw,
                        [IMAGE_QCOW2] = read_qcow2,
                        [IMAGE_VPC] = read_vpc,
                        [IMAGE_VHDX] = read_vhdx,
        };
        GError *cause = NULL;
        ImageFormat format;

        if (!image_format_find(facts->format, &format))
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, error,
                                "The image '%s' has a format that is not supported", facts->path);
        if (readers[format](fd, facts, &cause))
                return true;
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_FAILED))
                cause->code = VIRTASK_ERROR_INVALID_DISK_IMAGE;
        g_propagate_error(error, cause);
        return false;
}

/* Facts */

static void take_file(ImageFacts *facts, int fd, const struct stat *st) {
        struct statvfs place;

        facts->device = st->st_dev;
        facts->inode = st->st_ino;
        facts->size = (uint64_t) st->st_size;
        facts->mtime = (int64_t) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
        facts->host_size = (uint64_t) st->st_blocks * 512;
        if (fstatvfs(fd, &place) == 0)
                facts->host_free = (uint64_t) place.f_bavail * place.f_frsize;
}

ImageFacts *image_facts_read(
                const char *path, const char *format, const char *const *beneath, GError **error) {
        g_autoptr(ImageFacts) facts = g_new0(ImageFacts, 1);
        struct stat st;
        auto_fd fd = image_open(path, beneath, &facts->path, &st, error);

        if (fd < 0)
                return NULL;
        take_file(facts, fd, &st);
        format = format ?: find_format(fd, facts->size, facts->path, error);
        if (!format)
                return NULL;
        facts->format = g_strdup(format);
        return read_header(fd, facts, error) ? g_steal_pointer(&facts) : NULL;
}

static bool is_known(const GPtrArray *chain, const ImageFacts *facts) {
        for (unsigned i = 0; i < chain->len; i++) {
                const ImageFacts *known = chain->pdata[i];

                if (known->device == facts->device && known->inode == facts->inode)
                        return true;
        }
        return false;
}

/* The next image below; NULL if there is none, or none that can be read. */
static ImageFacts *read_parent(
                const GPtrArray *chain, const char *const *beneath, GError **ret_problem) {
        const ImageFacts *child = chain->pdata[chain->len - 1];
        g_autoptr(ImageFacts) parent = NULL;

        if (!child->parent)
                return NULL;
        if (!child->parent_format)
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, ret_problem,
                                       "The image '%s' does not say the format of its parent",
                                       child->path),
                       NULL;
        parent = image_facts_read(child->parent, child->parent_format, beneath, ret_problem);
        if (!parent)
                return NULL;
        if (is_known(chain, parent) || chain->len >= IMAGE_CHAIN_MAX)
                return error_fail(VIRTASK_ERROR_NOT_SUPPORTED, ret_problem,
                                       "The image '%s' rests on itself or on too many others",
                                       child->path),
                       NULL;
        return g_steal_pointer(&parent);
}

static GPtrArray *new_chain(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify) image_facts_free);
}

GPtrArray *image_facts_read_chain(const char *path,
                const char *format,
                const char *const *beneath,
                GError **ret_problem,
                GError **error) {
        ImageFacts *facts = image_facts_read(path, format, beneath, error);
        GPtrArray *chain = facts ? new_chain() : NULL;

        for (; facts; facts = read_parent(chain, beneath, ret_problem))
                g_ptr_array_add(chain, facts);
        return chain;
}

ImageFacts *image_facts_of_unreadable(const char *path, const char *format) {
        ImageFacts *facts = g_new0(ImageFacts, 1);

        facts->path = g_canonicalize_filename(path, "/");
        facts->format = g_strdup(format);
        return facts;
}

ImageFacts *image_facts_copy(const ImageFacts *facts) {
        ImageFacts *copy = g_memdup2(facts, sizeof(*facts));

        copy->path = g_strdup(facts->path);
        copy->format = g_strdup(facts->format);
        copy->parent = g_strdup(facts->parent);
        copy->parent_format = g_strdup(facts->parent_format);
        return copy;
}

void image_facts_free(ImageFacts *facts) {
        if (!facts)
                return;
        g_free(facts->path);
        g_free(facts->format);
        g_free(facts->parent);
        g_free(facts->parent_format);
        g_free(facts);
}

/* Between processes */

#define TYPE "a(ssmsmsuttttttx)"

GBytes *image_facts_to_bytes(const GPtrArray *chain) {
        g_autoptr(GVariantBuilder) builder = g_variant_builder_new(G_VARIANT_TYPE(TYPE));
        g_autoptr(GVariant) value = NULL;

        for (unsigned i = 0; i < chain->len; i++) {
                const ImageFacts *f = chain->pdata[i];

                g_variant_builder_add(builder, "(ssmsmsuttttttx)", f->path, f->format, f->parent,
                                f->parent_format, (uint32_t) f->type, f->virtual_size, f->host_size,
                                f->host_free, f->device, f->inode, f->size, f->mtime);
        }
        value = g_variant_ref_sink(g_variant_builder_end(builder));
        return g_variant_get_data_as_bytes(value);
}

static bool is_path(const char *text) {
        return g_utf8_validate(text, -1, NULL) && path_check(text, NULL);
}

static bool is_plausible(const ImageFacts *facts) {
        ImageFormat format;

        return is_path(facts->path) && (!facts->parent || is_path(facts->parent)) &&
               image_format_find(facts->format, &format) && facts->type <= IMAGE_DIFFERENCING;
}

GPtrArray *image_facts_from_bytes(GBytes *bytes, GError **error) {
        g_autoptr(GVariant) value = g_variant_ref_sink(
                        g_variant_new_from_bytes(G_VARIANT_TYPE(TYPE), bytes, FALSE));
        g_autoptr(GPtrArray) chain = new_chain();
        bool ok = g_variant_n_children(value) >= 1 &&
                  g_variant_n_children(value) <= IMAGE_CHAIN_MAX;

        for (size_t i = 0; ok && i < g_variant_n_children(value); i++) {
                ImageFacts *f = g_new0(ImageFacts, 1);
                uint32_t type;

                g_ptr_array_add(chain, f);
                g_variant_get_child(value, i, "(ssmsmsuttttttx)", &f->path, &f->format, &f->parent,
                                &f->parent_format, &type, &f->virtual_size, &f->host_size,
                                &f->host_free, &f->device, &f->inode, &f->size, &f->mtime);
                f->type = (ImageType) MIN(type, (uint32_t) IMAGE_DIFFERENCING + 1);
                ok = is_plausible(f);
        }
        if (ok)
                return g_steal_pointer(&chain);
        return error_fail(VIRTASK_ERROR_FAILED, error,
                               "What was read of the image can not be understood"),
               NULL;
}
