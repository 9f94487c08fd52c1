/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Programs that do a part of our work: started without a shell, watched, and waited for. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Another user that a program is to be; only root can do that. */
typedef struct ChildUser {
        uid_t uid;
        gid_t gid;
        const gid_t *groups; /* the supplementary ones */
        size_t n_groups;
} ChildUser;

/* How a program is watched. The functions are called on the thread that runs it, while it runs;
 * each may be NULL. */
typedef struct ChildHooks {
        /* A line of stdout as valid UTF-8 without its end. '\r' ends a line too, empty lines are
         * left out, and what is longer than a path comes in pieces. */
        void (*line)(const char *line, void *userdata);
        /* Asked at least ten times a second. True: the program gets SIGTERM, 3 s later SIGKILL. */
        bool (*stop)(void *userdata);
        void *userdata;
        uint64_t memory;        /* limit of its address space in bytes; 0: 2 GiB */
        int input;              /* a descriptor that is its stdin; 0: an empty one */
        const int *descriptors; /* it has them as 3, 4, … */
        unsigned n_descriptors;
        const ChildUser *user; /* NULL: our own */
} ChildHooks;

/* Runs the program (looked for in PATH, with our rights) with these arguments, the first of which
 * is its name, and waits for its end; nothing of its process group is left then. "hooks" may be
 * NULL. *ret_output is all of its stdout, at most 4 MiB and without NUL bytes (NULL: not wanted).
 *
 * It sees no descriptor of ours but those of "hooks", PATH and LC_ALL=C, no signal that is blocked
 * or ignored, a limit of its address space, it gets no rights that it does not begin with, and it
 * writes no core. The umask is ours.
 *
 * The kernel kills it with the thread that runs it. A daemon that dies takes it along therefore,
 * and its successor finds nobody who still writes. A thread that ends earlier would do the same, so
 * only call this on one that lasts.
 *
 * CANCELLED if hooks->stop() ended it; DISK_FULL or OUT_OF_MEMORY if it complained of that; BACKEND
 * if it failed, with the last line of its stderr (at most 500 bytes); FAILED if it could not be
 * started, was killed or printed what can't be taken. A program that ended well although it was to
 * stop has done its work: true. Any thread; blocks. */
bool child_run(const char *const *arguments,
                const ChildHooks *hooks,
                char **ret_output,
                GError **error);
