/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A unique name is never given twice on a bus, so what is learned of it holds until it leaves. The
 * match for its leaving is installed before the bus is asked for its user: if the name is gone by
 * then, the question fails, and if it goes later, the signal comes. One match per caller and not
 * one for all names, because the latter would wake us for every connection of the whole system.
 *
 * The match is asked for without wanting an answer, because the caller waits for us. A bus allows a
 * connection 512 of them and refuses more; so no more peers are remembered than PEERS_MAX, unless
 * they are watched, and whoever is about to do something for a peer that may have left unseen asks
 * the bus once more (peer_is_there()). */

#include "bus/peer.h"

#include "util/error.h"

#define DBUS_NAME "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"
#define PEERS_MAX 256

typedef struct Peer {
        PeerList *list;
        char *name;
        uid_t uid;
        GPtrArray *watches; /* PeerWatch, not owned */
} Peer;

struct PeerList {
        sd_bus *bus;
        sd_bus_slot *filter;
        GHashTable *peers; /* unique name -> Peer, owned */
};

struct PeerWatch {
        Peer *peer; /* NULL once the peer has left */
        PeerGone gone;
        void *userdata;
};

/* Best effort, see above. */
static void request_match(const Peer *peer, const char *member) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        g_autofree char *rule = g_strdup_printf("type='signal',sender='" DBUS_NAME
                                                "',path='" DBUS_PATH "',interface='" DBUS_NAME
                                                "',member='NameOwnerChanged',arg0='%s'",
                        peer->name);
        int r = sd_bus_message_new_method_call(
                        peer->list->bus, &call, DBUS_NAME, DBUS_PATH, DBUS_NAME, member);

        if (r >= 0)
                r = sd_bus_message_append_basic(call, 's', rule);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(call, false);
        if (r >= 0)
                (void) sd_bus_send(NULL, call, NULL);
}

static void peer_free(void *data) {
        Peer *peer = data;

        for (unsigned i = 0; i < peer->watches->len; i++)
                ((PeerWatch *) peer->watches->pdata[i])->peer = NULL;
        g_ptr_array_unref(peer->watches);
        request_match(peer, "RemoveMatch");
        g_free(peer->name);
        g_free(peer);
}

/* The peer leaves the table first, so that nothing that a watch does can find it any more. A
 * callback may free other watches of the same peer; those are taken out of the array by
 * peer_watch_free(). */
static void peer_left(Peer *peer) {
        g_hash_table_steal(peer->list->peers, peer->name);
        while (peer->watches->len > 0) {
                PeerWatch *watch = g_ptr_array_steal_index_fast(peer->watches, 0);

                watch->peer = NULL;
                watch->gone(watch->userdata);
        }
        peer_free(peer);
}

/* Only the bus itself is believed. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *sender = sd_bus_message_get_sender(message);
        const char *name, *old_owner, *new_owner;
        PeerList *list = userdata;
        Peer *peer;

        if (!sd_bus_message_is_signal(message, DBUS_NAME, "NameOwnerChanged") ||
                        g_strcmp0(sender, DBUS_NAME) != 0 ||
                        sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) < 0)
                return 0;
        (void) sd_bus_message_rewind(message, true);
        peer = g_hash_table_lookup(list->peers, name);
        if (peer && !*new_owner)
                peer_left(peer);
        return 0;
}

PeerList *peer_list_new(sd_bus *bus) {
        PeerList *list = g_new0(PeerList, 1);
        int r;

        list->bus = sd_bus_ref(bus);
        list->peers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, peer_free);
        r = sd_bus_add_filter(bus, &list->filter, on_message, list);
        if (r < 0)
                g_error("Failed to listen to the bus: %s", g_strerror(-r));
        return list;
}

PeerList *peer_list_free(PeerList *list) {
        if (!list)
                return NULL;
        g_hash_table_destroy(list->peers);
        sd_bus_slot_unref(list->filter);
        sd_bus_unref(list->bus);
        g_free(list);
        return NULL;
}

static int ask_uid(sd_bus *bus, const char *name, uid_t *ret_uid) {
        __attribute__((cleanup(sd_bus_creds_unrefp))) sd_bus_creds *creds = NULL;
        int r = sd_bus_get_name_creds(bus, name, SD_BUS_CREDS_EUID, &creds);

        if (r < 0)
                return r;
        return sd_bus_creds_get_euid(creds, ret_uid);
}

/* Forgets one that nobody watches: he is asked about again when he comes again. */
static void make_room(PeerList *list) {
        GHashTableIter iter;
        void *value;

        if (g_hash_table_size(list->peers) < PEERS_MAX)
                return;
        g_hash_table_iter_init(&iter, list->peers);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                if (((const Peer *) value)->watches->len == 0) {
                        g_hash_table_iter_remove(&iter);
                        return;
                }
}

static Peer *find_or_ask(PeerList *list, sd_bus_message *message) {
        const char *name = sd_bus_message_get_sender(message);
        Peer *peer;

        if (!name)
                return NULL;
        peer = g_hash_table_lookup(list->peers, name);
        if (peer)
                return peer;

        make_room(list);
        peer = g_new0(Peer, 1);
        peer->list = list;
        peer->name = g_strdup(name);
        peer->watches = g_ptr_array_new();
        request_match(peer, "AddMatch");
        if (ask_uid(list->bus, name, &peer->uid) < 0) {
                peer_free(peer);
                return NULL;
        }
        g_hash_table_insert(list->peers, peer->name, peer);
        return peer;
}

static bool no_caller(GError **error) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_ACCESS_DENIED,
                        "The caller has left the bus");
        return false;
}

bool peer_uid(PeerList *list, sd_bus_message *message, uid_t *ret_uid, GError **error) {
        Peer *peer = find_or_ask(list, message);

        if (!peer)
                return no_caller(error);
        *ret_uid = peer->uid;
        return true;
}

bool peer_is_there(PeerList *list, sd_bus_message *message, GError **error) {
        const char *name = sd_bus_message_get_sender(message);
        uid_t uid;

        return (name && ask_uid(list->bus, name, &uid) >= 0) || no_caller(error);
}

PeerWatch *peer_watch_new(PeerList *list, sd_bus_message *message, PeerGone gone, void *userdata) {
        Peer *peer = find_or_ask(list, message);
        PeerWatch *watch;

        if (!peer)
                return NULL;
        watch = g_new(PeerWatch, 1);
        *watch = (PeerWatch){.peer = peer, .gone = gone, .userdata = userdata};
        g_ptr_array_add(peer->watches, watch);
        return watch;
}

PeerWatch *peer_watch_free(PeerWatch *watch) {
        if (!watch)
                return NULL;
        if (watch->peer)
                g_ptr_array_remove_fast(watch->peer->watches, watch);
        g_free(watch);
        return NULL;
}
