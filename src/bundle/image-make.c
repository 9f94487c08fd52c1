/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* qemu-img is given descriptors and opens what they stand for through /proc/self/fd: the file is
 * this user's own, and no name leads elsewhere meanwhile. */

#include "bundle/image-make.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/child.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/io.h"
#include "util/number.h"

#define MORE   (64 << 10) /* what QEMU writes at once, about */
#define LOCAL  "/proc/self/fd/3"
#define SERVER "driver=raw,file.driver=nbd,file.server.type=fd,file.server.str=4,file.export="

static void on_line(const char *line, void *userdata) {
        const ImageMakeHooks *hooks = userdata;
        double percent;

        if (number_parse_percent(line, &percent))
                hooks->percent(percent, hooks->userdata);
}

static bool on_stop(void *userdata) {
        const ImageMakeHooks *hooks = userdata;

        return hooks->stop(hooks->userdata);
}

static bool fail(GError **error) {
        return error_fail(error_of_errno(errno), error, "Failed to write an image: %s",
                        g_strerror(errno));
}

static bool sync_file(int fd, GError **error) {
        return fdatasync(fd) == 0 || fail(error);
}

bool image_make_run(const char *const *arguments,
                const int *descriptors,
                unsigned n,
                const ImageMakeHooks *hooks,
                GError **error) {
        const ChildHooks child = {
                        .line = on_line,
                        .stop = on_stop,
                        .userdata = (void *) hooks,
                        .descriptors = descriptors,
                        .n_descriptors = n,
        };

        return child_run(arguments, &child, NULL, error);
}

bool image_make_overlay(int target,
                const char *backing,
                const char *format,
                uint64_t size,
                GError **error) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, size);
        const char *arguments[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", backing,
                        "-F", format, LOCAL, text, NULL};
        const ChildHooks hooks = {.descriptors = &target, .n_descriptors = 1};

        return child_run(arguments, &hooks, NULL, error) && sync_file(target, error);
}

bool image_make_copy(int target,
                int connection,
                const char *export,
                const ImageMakeHooks *hooks,
                GError **error) {
        g_autofree char *source = g_strconcat(SERVER, export, NULL);
        const char *arguments[] = {"qemu-img", "convert", "-p", "-m", "8", "-W", "-O", "qcow2",
                        "--image-opts", source, LOCAL, NULL};
        const int descriptors[] = {target, connection};

        return image_make_run(arguments, descriptors, G_N_ELEMENTS(descriptors), hooks, error) &&
               sync_file(target, error);
}

/* An empty image can only be made at the beginning of a file. */
static bool make_empty_vmdk(int target, uint64_t offset, uint64_t size, GError **error) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, size);
        const char *arguments[] = {"qemu-img", "create", "-q", "-f", "vmdk", "-o",
                        "subformat=streamOptimized", LOCAL, text, NULL};
        auto_fd memory = memfd_create("vmdk", MFD_CLOEXEC);
        const ChildHooks hooks = {.descriptors = &memory, .n_descriptors = 1};
        off_t position = 0;
        struct stat st;

        if (memory < 0 || lseek(target, (off_t) offset, SEEK_SET) < 0)
                return fail(error);
        if (!child_run(arguments, &hooks, NULL, error))
                return false;
        if (fstat(memory, &st) < 0)
                return fail(error);
        while (position < st.st_size)
                if (sendfile(target, memory, &position, (size_t) (st.st_size - position)) <= 0)
                        return fail(error);
        return true;
}

/* QEMU 7.2 says "Invalid argument" of a VMDK that there is no room for. */
static bool is_full(int target) {
        struct stat st;
        int reason = fstat(target, &st) == 0 ? posix_fallocate(target, st.st_size, MORE) : 0;

        return reason == ENOSPC || reason == EDQUOT;
}

static bool fail_to_convert(int target, GError *cause, GError **error) {
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND) && is_full(target))
                cause->code = VIRTASK_ERROR_DISK_FULL;
        g_propagate_error(error, cause);
        return false;
}

/* In the order of the disk, not beside each other (-W): who reads one as a stream wants it so. */
bool image_make_vmdk(int target,
                uint64_t offset,
                uint64_t size,
                int connection,
                const char *export,
                const ImageMakeHooks *hooks,
                GError **error) {
        g_autofree char *source = g_strconcat(SERVER, export, NULL);
        g_autofree char *options =
                        g_strdup_printf("driver=vmdk,file.driver=raw,file.offset=%" PRIu64
                                        ",file.file.driver=file,file.file.filename=" LOCAL,
                                        offset);
        const char *arguments[] = {"qemu-img", "convert", "-p", "-m", "8", "-n", "--target-is-zero",
                        "--image-opts", source, "--target-image-opts", options, NULL};
        const int descriptors[] = {target, connection};
        GError *cause = NULL;

        if (!make_empty_vmdk(target, offset, size, error))
                return false;
        return image_make_run(arguments, descriptors, G_N_ELEMENTS(descriptors), hooks, &cause) ||
               fail_to_convert(target, cause, error);
}

static int make_memory(GBytes *content, GError **error) {
        auto_fd memory = memfd_create("head", MFD_CLOEXEC);
        size_t length;
        const void *data = g_bytes_get_data(content, &length);

        if (memory >= 0 && io_write(memory, data, length, 0))
                return fd_take(&memory);
        fail(error);
        return -1;
}

/* An overlay of "length" bytes in memory, which begins like this and lets through what is behind.
 * A cluster of qcow2 is as long as a head. -1. */
static int make_cover(GBytes *head, uint64_t length, GError **error) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, length);
        const char *create[] = {"qemu-img", "create", "-q", "-f", "qcow2", LOCAL, text, NULL};
        const char *fill[] = {"qemu-img", "convert", "-q", "-n", "-f", "raw", "/proc/self/fd/4",
                        "--target-image-opts", "driver=qcow2,file.driver=file,file.filename=" LOCAL,
                        NULL};
        auto_fd memory = make_memory(head, error), cover = memfd_create("cover", MFD_CLOEXEC);
        const int descriptors[] = {cover, memory};
        const ChildHooks hooks = {
                        .descriptors = descriptors, .n_descriptors = G_N_ELEMENTS(descriptors)};

        if (memory < 0)
                return -1;
        if (cover < 0)
                return fail(error), -1;
        if (!child_run(create, &hooks, NULL, error) || !child_run(fill, &hooks, NULL, error))
                return -1;
        return fd_take(&cover);
}

/* QEMU opens a VMDK by what stands at its beginning, so it reads that where only we can write. The
 * "backing" of a VMDK is none, whatever stands in it. With "writethrough" each request is answered
 * when the image is as it says, and not later by somebody whom nobody asks. */
static bool fill_from_vmdk(const int descriptors[3],
                const char *export,
                uint64_t offset,
                uint64_t length,
                const ImageMakeHooks *hooks,
                GError **error) {
        g_autofree char *source = g_strdup_printf(
                        "json:{\"driver\":\"vmdk\",\"backing\":null,\"file\":{\"driver\":\"qcow2\","
                        "\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/5\"},"
                        "\"backing\":{\"driver\":\"raw\",\"offset\":%" PRIu64 ",\"size\":%" PRIu64
                        ",\"file\":{\"driver\":\"file\",\"filename\":\"" LOCAL "\"}}}}",
                        offset, length);
        g_autofree char *target = g_strconcat(SERVER, export, NULL);
        const char *arguments[] = {"qemu-img", "convert", "-p", "-m", "8", "-W", "-n",
                        "--target-is-zero", "-t", "writethrough", source, "--target-image-opts",
                        target, NULL};

        return image_make_run(arguments, descriptors, 3, hooks, error);
}

bool image_make_from_vmdk(int connection,
                const char *export,
                GBytes *head,
                int package,
                uint64_t offset,
                uint64_t length,
                const ImageMakeHooks *hooks,
                GError **error) {
        GError *cause = NULL;
        auto_fd cover = make_cover(head, length, &cause);
        const int descriptors[] = {package, connection, cover};

        if (cover >= 0 && fill_from_vmdk(descriptors, export, offset, length, hooks, &cause))
                return true;
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND))
                cause->code = VIRTASK_ERROR_INVALID_BUNDLE;
        g_propagate_error(error, cause);
        return false;
}

bool image_make_empty(int target, uint64_t size, GError **error) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, size);
        const char *arguments[] = {"qemu-img", "create", "-q", "-f", "qcow2", LOCAL, text, NULL};
        const ChildHooks hooks = {.descriptors = &target, .n_descriptors = 1};

        return child_run(arguments, &hooks, NULL, error) && sync_file(target, error);
}
