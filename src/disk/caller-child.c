/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "disk/caller-child.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fd.h"

#define PROGRAM    "virtask-bundle"
#define GROUPS_MAX 65536

/* Of its address space: it needs some 20 MiB, and qemu-img has many threads. A sanitizer reserves
 * more than there is. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY UINT64_MAX
#else
#define MEMORY (UINT64_C(2) << 30)
#endif

/* It lies beside us, installed or not. */
static char *find_program(GError **error) {
        g_autofree char *own = g_file_read_link("/proc/self/exe", error);
        g_autofree char *directory = own ? g_path_get_dirname(own) : NULL;

        return directory ? g_build_filename(directory, PROGRAM, NULL) : NULL;
}

/* Whose rights they are: those that a login of the user would have. */

static bool fail_user(uid_t uid, GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_ACCESS_DENIED,
                        "Nothing is known of the user %u", (unsigned) uid);
        return false;
}

static bool find_groups(uid_t uid, gid_t *ret_gid, GArray **ret_groups, GError **error) {
        g_autofree char *buffer = g_malloc(64 * 1024);
        struct passwd entry, *found = NULL;
        int n = 64;

        if (getpwuid_r(uid, &entry, buffer, 64 * 1024, &found) != 0 || !found)
                return fail_user(uid, error);
        *ret_gid = entry.pw_gid;
        *ret_groups = g_array_new(FALSE, TRUE, sizeof(gid_t));
        do
                g_array_set_size(*ret_groups, (unsigned) n);
        while (getgrouplist(entry.pw_name, entry.pw_gid, (gid_t *) (void *) (*ret_groups)->data,
                               &n) < 0 &&
                        n <= GROUPS_MAX && (unsigned) n > (*ret_groups)->len);
        if (n > GROUPS_MAX) {
                (void) g_array_unref(g_steal_pointer(ret_groups));
                return fail_user(uid, error);
        }
        g_array_set_size(*ret_groups, (unsigned) n);
        return true;
}

/* The child */

/* What it says passes through here. */
typedef struct Watch {
        const ChildHooks *hooks;
        GError *error; /* its word */
} Watch;

static void take_error(Watch *watch, const char *text) {
        g_auto(GStrv) words = g_strsplit(text, " ", 2);
        VirtaskError code = words[0] ? error_find(words[0]) : VIRTASK_ERROR_NONE;

        if (!watch->error)
                g_set_error_literal(&watch->error, VIRTASK_ERROR,
                                (int) (code ? code : VIRTASK_ERROR_FAILED),
                                words[0] && words[1] ? words[1] : text);
}

static void on_line(const char *line, void *userdata) {
        Watch *watch = userdata;

        if (g_str_has_prefix(line, "error "))
                take_error(watch, line + strlen("error "));
        else if (watch->hooks->line)
                watch->hooks->line(line, watch->hooks->userdata);
}

static bool on_stop(void *userdata) {
        const Watch *watch = userdata;

        return watch->hooks->stop && watch->hooks->stop(watch->hooks->userdata);
}

static bool run_as(const ChildUser *user,
                const char *const *arguments,
                const ChildHooks *hooks,
                GError **error) {
        Watch watch = {.hooks = hooks};
        ChildHooks own = *hooks;
        GError *cause = NULL;
        bool ok;

        own.line = on_line;
        own.stop = on_stop;
        own.userdata = &watch;
        own.memory = MEMORY;
        own.user = user;
        ok = child_run(arguments, &own, NULL, &cause);
        /* Its own word, unless it was stopped. */
        if (!ok && watch.error && !g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED)) {
                g_error_free(cause);
                cause = g_steal_pointer(&watch.error);
        }
        g_clear_error(&watch.error);
        if (!ok)
                g_propagate_error(error, cause);
        return ok;
}

bool caller_child_run(
                uid_t caller, const char **arguments, const ChildHooks *hooks, GError **error) {
        g_autofree char *program = find_program(error);
        g_autoptr(GArray) groups = NULL;
        ChildUser user = {.uid = caller};

        if (!program)
                return false;
        arguments[0] = program;
        /* Root may call whoever has less rights than that. */
        if (caller == geteuid() || caller == 0)
                return run_as(NULL, arguments, hooks, error);
        if (!find_groups(caller, &user.gid, &groups, error))
                return false;
        user.groups = (const gid_t *) (const void *) groups->data;
        user.n_groups = groups->len;
        return run_as(&user, arguments, hooks, error);
}

int caller_child_plan(JsonObject *plan, GError **error) {
        g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
        g_autofree char *text = NULL;
        size_t length;
        int fd = memfd_create("plan", MFD_CLOEXEC);

        json_node_set_object(node, plan);
        text = json_to_string(node, false);
        length = strlen(text);
        if (fd >= 0 && write(fd, text, length) == (ssize_t) length && lseek(fd, 0, SEEK_SET) == 0)
                return fd;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED, "Failed to write a plan: %s",
                        g_strerror(errno));
        fd_close(&fd);
        return -1;
}

/* It is another's word: all of it, or nothing. */
char *caller_child_answer(int fd, uint64_t limit, size_t *ret_length) {
        g_autofree char *data = NULL;
        struct stat st;
        size_t length = 0;

        if (fstat(fd, &st) < 0 || (uint64_t) st.st_size > limit)
                return NULL;
        data = g_malloc0((size_t) st.st_size + 1);
        for (ssize_t n = 1; n > 0 && length < (size_t) st.st_size; length += (size_t) n) {
                n = pread(fd, data + length, (size_t) st.st_size - length, (off_t) length);
                n = n < 0 ? 0 : n;
        }
        if (length != (size_t) st.st_size)
                return NULL;
        *ret_length = length;
        return g_steal_pointer(&data);
}
