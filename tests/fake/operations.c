/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The operation table of virtaskd-fake: the daemon's own rows, which are not repeated here, and
 * behind them those of the fakes. The two are joined before main() begins; to everybody else the
 * table is as constant as the daemon's. */

#include "service/operations.h"

#include "fake-operations.h"

#define ROWS_MAX 200

#define operations daemon_operations
#include "../../src/service/operations.c"
#undef operations

static const Operation *rows[ROWS_MAX];

extern const Operation *const operations[ROWS_MAX] __attribute__((alias("rows")));

static unsigned append(unsigned n, const Operation *const *more) {
        for (; *more && n < ROWS_MAX - 1; more++)
                rows[n++] = *more;
        return n;
}

__attribute__((constructor)) static void join(void) {
        (void) append(append(0, daemon_operations), fake_operations);
}
