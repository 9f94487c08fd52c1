/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* virtask-bundle, the program that reads exports (src/bundle/main.c), as a child of ours with the
 * rights of the user. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "exit-code.h"

/* What it has said so far. */
typedef struct BundleTalk {
        uint64_t total;
        uint64_t done;
        char *error_name;
        char *error_text;
} BundleTalk;

/* Takes one line of its output in. */
void bundle_talk_read(BundleTalk *talk, const char *line);
void bundle_talk_clear(BundleTalk *talk);

/* Starts "virtask-bundle verify DIRECTORY". *ret_fd is its output, which does not block. Ends with
 * us. Says what is wrong. */
ExitCode bundle_program_start(const char *directory, pid_t *ret_pid, int *ret_fd);

/* Waits for its end. Whether it was a success; if not, the talk has an error afterwards. */
bool bundle_program_finish(pid_t pid, BundleTalk *talk);
