/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who may do what: polkit on the system bus, "only the daemon's own user" elsewhere. Loop. */

#include <glib.h>
#include <systemd/sd-bus.h>

#include "bus/peer.h"

typedef struct Authorizer Authorizer;

typedef enum AuthorizerKind {
        AUTHORIZER_POLKIT,
        AUTHORIZER_OWNER,
} AuthorizerKind;

typedef enum Verdict {
        VERDICT_DENIED,  /* "error" says why */
        VERDICT_PENDING, /* return 1 from the handler; it is called again with the same message */
        VERDICT_ALLOWED,
} Verdict;

/* At most "per_user" and "total" questions are open at a time. "peers" is borrowed. */
Authorizer *authorizer_new(sd_bus *bus,
                AuthorizerKind kind,
                PeerList *peers,
                unsigned per_user,
                unsigned total);
Authorizer *authorizer_free(Authorizer *authorizer);

/* May the sender of "call" do "action"? "details" are key, value, ..., NULL for the rules of the
 * site. The handler must not have changed anything before this, and must not keep pointers to
 * machines or tasks over VERDICT_PENDING: it starts again from its first line. Errors:
 * ACCESS_DENIED, INTERACTION_REQUIRED, LIMITS_EXCEEDED. */
Verdict authorizer_check(Authorizer *authorizer,
                sd_bus_message *call,
                const char *action,
                const char *const *details,
                GError **error);
