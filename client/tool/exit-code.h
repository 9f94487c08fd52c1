/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The exit codes of the tool, documented in virtask(1), and which of them an error of the service
 * means. */

#include <stdbool.h>

typedef enum ExitCode {
        EXIT_CODE_OK = 0,
        EXIT_CODE_FAILED = 1,      /* the operation failed */
        EXIT_CODE_USAGE = 2,       /* wrong command line */
        EXIT_CODE_NOT_FOUND = 3,   /* no such machine, snapshot, task or directory */
        EXIT_CODE_TIMEOUT = 4,     /* --timeout is over, the task goes on */
        EXIT_CODE_DENIED = 5,      /* not authorized */
        EXIT_CODE_STATE = 6,       /* machine, task or file is busy or in the wrong state */
        EXIT_CODE_UNREACHABLE = 8, /* the service can not be reached */
        EXIT_CODE_CANCELLED = 130, /* cancelled, as a shell reports Ctrl-C */
} ExitCode;

/* With several tasks the highest number counts. */
ExitCode exit_code_worst(ExitCode a, ExitCode b);

/* @name is a D-Bus error name; unknown ones are EXIT_CODE_FAILED. */
ExitCode exit_code_of_error(const char *name);

/* Errors that the tool tells apart itself. */
bool error_is_no_such_machine(const char *name);
bool error_is_already_complete(const char *name);

/* What an error of the service means in general, NULL for names that are not in its table. */
const char *error_meaning(const char *name);
