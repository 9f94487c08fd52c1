/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What qemu-img does for us. Before it opens an image that rests on others, the whole chain is read
 * here: then every format is known, and there is nothing in it that QEMU would guess, fetch from
 * elsewhere or open beside it. Names go behind "--", or are the argument of an option that takes
 * them as they are (-b, unlike -o, knows no commas). Any thread that lasts. */

#include "disk/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/image-file.h"
#include "util/child.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/number.h"

/* Address space for qemu-img when it opens a chain. Most of it is never touched: up to 64 threads
 * reserve 8 MiB of stack each, and 64 MiB for malloc() where glibc gives each an arena of its own
 * (8 per core); a commit came to 4.8 GiB so. Under the 2 GiB of child_run() it aborts now and then
 * on a host with eight cores. The caches of an image take 33 MiB from 256 GiB on. Measured with
 * QEMU 7.2. */
#define MEMORY           (UINT64_C(6) << 30)
#define MEMORY_PER_IMAGE (UINT64_C(64) << 20)

static bool run_tool(const char *verb,
                const char *path,
                const char *const *arguments,
                const ChildHooks *hooks,
                GError **error) {
        g_autoptr(GError) reason = NULL;

        if (child_run(arguments, hooks, NULL, &reason))
                return true;
        /* The second line of its "Failed to get lock". */
        if (strstr(reason->message, "Is another process using the image"))
                reason->code = VIRTASK_ERROR_FILE_IN_USE;
        g_propagate_prefixed_error(
                        error, g_steal_pointer(&reason), "Failed to %s '%s': ", verb, path);
        return false;
}

/* Reads all that QEMU will open, and tells what memory it may take. */
static bool check_chain(
                const char *path, const char *format, uint64_t *ret_memory, GError **error) {
        g_autoptr(GPtrArray) chain = image_chain_read(path, format, error);

        if (!chain)
                return false;
        *ret_memory = MEMORY + chain->len * MEMORY_PER_IMAGE;
        return true;
}

/* Overlays */

/* Mode first: once the file is another's it may be too late. Without the right to give the file to
 * the base's group, no other group gets what that one had. */
static void copy_owner(int fd, const struct stat *base) {
        mode_t mode = (base->st_mode & 0777) | 0600;

        if (!S_ISREG(base->st_mode)) /* the group of a device says nothing about files */
                return;
        (void) fchmod(fd, mode);
        if (fchown(fd, base->st_uid, base->st_gid) < 0 && fchown(fd, (uid_t) -1, base->st_gid) < 0)
                (void) fchmod(fd, mode & ~(mode_t) 0070);
}

/* The file exists and is ours: qemu-img writes into it, whatever has its name by now. */
static bool fill_overlay(int fd,
                const char *path,
                const char *base,
                const char *base_format,
                ChildHooks *hooks,
                GError **error) {
        const char *const arguments[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-F",
                        base_format, "-b", base, "--", "/proc/self/fd/0", NULL};
        struct stat st;
        auto_fd base_fd = image_file_open(base, true, &st, error);

        hooks->input = fd;
        if (base_fd < 0 || !run_tool("create", path, arguments, hooks, error))
                return false;
        copy_owner(fd, &st);
        if (fsync(fd) < 0)
                return image_file_fail(errno, "sync", path, error);
        return image_file_sync_directory(path, error);
}

bool image_create_overlay(
                const char *path, const char *base, const char *base_format, GError **error) {
        ChildHooks hooks = {0};
        auto_fd fd = -1;

        if (!image_file_check_path(path, error) ||
                        !check_chain(base, base_format, &hooks.memory, error))
                return false;
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return image_file_fail(errno, "create", path, error);
        if (fill_overlay(fd, path, base, base_format, &hooks, error))
                return true;
        (void) unlink(path);
        return false;
}

bool image_replace_overlay(
                const char *path, const char *base, const char *base_format, GError **error) {
        g_autofree char *temporary = g_strconcat(path, ".new", NULL);

        if (!image_remove(temporary, error) ||
                        !image_create_overlay(temporary, base, base_format, error))
                return false;
        if (rename(temporary, path) == 0)
                return image_file_sync_directory(path, error);
        image_file_fail(errno, "replace", path, error);
        (void) unlink(temporary);
        return false;
}

/* Commit */

static void on_commit_line(const char *line, void *userdata) {
        const ImageHooks *hooks = userdata;
        double percent;

        if (hooks->percent && number_parse_percent(line, &percent))
                hooks->percent(percent, hooks->userdata);
}

static bool on_commit_stop(void *userdata) {
        const ImageHooks *hooks = userdata;

        return hooks->stop && hooks->stop(hooks->userdata);
}

bool image_commit(const char *path,
                const char *format,
                const char *base,
                const ImageHooks *hooks,
                GError **error) {
        const char *const arguments[] = {"qemu-img", "commit", "-p", "-d", "-f", format, "-b", base,
                        "--", path, NULL};
        ChildHooks child_hooks = {0};

        if (hooks)
                child_hooks = (ChildHooks){on_commit_line, on_commit_stop, (void *) hooks, 0};
        return image_file_check_path(base, error) &&
               check_chain(path, format, &child_hooks.memory, error) &&
               run_tool("commit", path, arguments, &child_hooks, error) &&
               image_file_sync(base, error);
}

/* Small ones */

static bool check_backing(const char *path, const char *format, GError **error) {
        if (!path)
                return true;
        if (!image_file_check_path(path, error))
                return false;
        if (format)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "The format of the image '%s' is missing", path);
        return false;
}

bool image_rebase_unsafe(const char *path,
                const char *format,
                const char *new_backing,
                const char *new_backing_format,
                GError **error) {
        const char *const to_none[] = {
                        "qemu-img", "rebase", "-q", "-u", "-f", format, "-b", "", "--", path, NULL};
        const char *const to_other[] = {"qemu-img", "rebase", "-q", "-u", "-f", format, "-b",
                        new_backing, "-F", new_backing_format, "--", path, NULL};
        g_autoptr(ImageInfo) info = NULL;

        if (!check_backing(new_backing, new_backing_format, error))
                return false;
        info = image_info_read(path, format, error);
        return info && run_tool("rebase", path, new_backing ? to_other : to_none, NULL, error) &&
               image_file_sync(path, error);
}

bool image_check(const char *path, const char *format, GError **error) {
        const char *const arguments[] = {"qemu-img", "check", "-q", "-f", format, "--", path, NULL};
        ChildHooks hooks = {0};

        if (!check_chain(path, format, &hooks.memory, error))
                return false;
        return g_str_equal(format, "raw") || run_tool("check", path, arguments, &hooks, error);
}

bool image_remove(const char *path, GError **error) {
        if (!image_file_check_path(path, error))
                return false;
        if (unlink(path) < 0) {
                if (errno == ENOENT)
                        return true;
                return image_file_fail(errno, "remove", path, error);
        }
        return image_file_sync_directory(path, error);
}
