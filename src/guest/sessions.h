/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is logged on in a guest. Worker. */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

/* GUEST_LOCKED if somebody is logged on and has locked the screen. A guest that can't tell is not.
 */
bool sessions_check_unlocked(virDomainPtr domain, GError **error);

/* Has the guest end the sessions of these users; of Windows, all. Errors as agent_run(); FAILED if
 * the guest does not, and what it said is in *ret_told. */
bool sessions_end(virDomainPtr domain, char **users, char **ret_told, GError **error);

/* The numbers of the sessions that quser.exe has printed, in any language. */
char **sessions_parse_numbers(const char *output);
