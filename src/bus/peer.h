/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The callers on the bus: whose they are, and when they leave. Loop. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

typedef struct PeerList PeerList;
typedef struct PeerWatch PeerWatch;
typedef void (*PeerGone)(void *userdata);

PeerList *peer_list_new(sd_bus *bus);
PeerList *peer_list_free(PeerList *list);

/* The user of the message's sender, as the bus daemon says. The first call of a connection asks the
 * bus (one round trip), later ones read memory. ACCESS_DENIED if the sender has left. */
bool peer_uid(PeerList *list, sd_bus_message *message, uid_t *ret_uid, GError **error);

/* Asks the bus whether the sender is still there; ACCESS_DENIED if not. Only for where it matters
 * very much: it is a round trip. */
bool peer_is_there(PeerList *list, sd_bus_message *message, GError **error);

/* Calls gone(userdata) once when the sender leaves the bus. The caller owns the watch and frees it,
 * before or after; NULL if the sender has left already. */
PeerWatch *peer_watch_new(PeerList *list, sd_bus_message *message, PeerGone gone, void *userdata);
PeerWatch *peer_watch_free(PeerWatch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PeerWatch, peer_watch_free)
