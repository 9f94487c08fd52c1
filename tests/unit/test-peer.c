/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define MODULE "peer"

#include <unistd.h>

#include "bus/peer.h"
#include "support.h"

static sd_event *event;
static sd_bus *server;
static sd_bus *client;
static PeerList *peers;
static unsigned gone;

static void setup(void) {
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        server = test_bus_open(event);
        client = test_bus_open(event);
        peers = peer_list_new(server);
        gone = 0;
}

static void teardown(void) {
        peers = peer_list_free(peers);
        client = sd_bus_flush_close_unref(client);
        server = sd_bus_flush_close_unref(server);
        event = sd_event_unref(event);
}

static void on_gone(void *userdata) {
        gone++;
}

static bool is_on_bus(sd_bus *observer, const char *name) {
        auto_message reply = NULL;
        int there;

        g_assert_cmpint(sd_bus_call_method(observer, "org.freedesktop.DBus",
                                        "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                        "NameHasOwner", NULL, &reply, "s", name),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "b", &there), >, 0);
        return there;
}

/* The bus reads our end of its sockets in no order, so its own word counts. */
static void leave(void) {
        auto_bus observer = test_bus_open(NULL);
        g_autofree char *name = NULL;
        const char *unique;

        g_assert_cmpint(sd_bus_get_unique_name(client, &unique), >=, 0);
        name = g_strdup(unique);
        client = sd_bus_flush_close_unref(client);
        while (is_on_bus(observer, name))
                ;
}

static void a_caller_is_who_the_bus_says(void) {
        auto_message call = NULL;
        uid_t uid;

        setup();
        call = test_call(event, client, server, NULL, NULL);
        g_assert_true(peer_uid(peers, call, &uid, NULL));
        g_assert_cmpuint(uid, ==, geteuid());
        teardown();
}

static void another_user_is_another_user(void) {
        auto_message call = NULL;
        auto_bus nobody = NULL;
        uid_t uid;

        setup();
        nobody = test_bus_open_as_nobody(event);
        if (nobody) {
                call = test_call(event, nobody, server, NULL, NULL);
                g_assert_true(peer_uid(peers, call, &uid, NULL));
                g_assert_cmpuint(uid, !=, geteuid());
        } else
                g_test_skip("needs root");
        teardown();
}

static void a_caller_who_left_has_no_user(void) {
        auto_message call = NULL;
        g_autoptr(GError) error = NULL;
        uid_t uid = 4711;

        setup();
        call = test_call(event, client, server, NULL, NULL);
        leave();
        g_assert_false(peer_uid(peers, call, &uid, &error));
        assert_error(error, ACCESS_DENIED);
        g_assert_cmpuint(uid, ==, 4711);
        g_assert_null(peer_watch_new(peers, call, on_gone, NULL));
        teardown();
}

static void a_watch_tells_once_that_the_caller_left(void) {
        auto_message call = NULL;
        PeerWatch *first, *second;

        setup();
        call = test_call(event, client, server, NULL, NULL);
        first = peer_watch_new(peers, call, on_gone, NULL);
        second = peer_watch_new(peers, call, on_gone, NULL);
        g_assert_true(first && second);
        leave();
        drive_until(event, gone == 2);
        test_drain(event);
        g_assert_cmpuint(gone, ==, 2);
        peer_watch_free(first);
        peer_watch_free(second);
        teardown();
}

static void a_watch_that_is_freed_tells_nothing(void) {
        auto_message call = NULL;
        PeerWatch *first, *second;

        setup();
        call = test_call(event, client, server, NULL, NULL);
        first = peer_watch_new(peers, call, on_gone, NULL);
        second = peer_watch_new(peers, call, on_gone, NULL);
        peer_watch_free(first);
        leave();
        drive_until(event, gone > 0);
        test_drain(event);
        g_assert_cmpuint(gone, ==, 1);
        peer_watch_free(second);
        teardown();
}

static PeerWatch *pair[2];

static void on_gone_with_the_other(void *userdata) {
        unsigned other = GPOINTER_TO_UINT(userdata);

        gone++;
        pair[other] = peer_watch_free(pair[other]);
}

static void a_watch_may_free_another_of_the_same_caller(void) {
        auto_message call = NULL;

        setup();
        call = test_call(event, client, server, NULL, NULL);
        for (unsigned i = 0; i < 2; i++)
                pair[i] = peer_watch_new(
                                peers, call, on_gone_with_the_other, GUINT_TO_POINTER(1 - i));
        leave();
        drive_until(event, gone > 0);
        test_drain(event);
        g_assert_cmpuint(gone, ==, 1);
        pair[0] = peer_watch_free(pair[0]);
        pair[1] = peer_watch_free(pair[1]);
        teardown();
}

static void a_watch_may_outlive_the_list(void) {
        auto_message call = NULL;
        PeerWatch *watch;

        setup();
        call = test_call(event, client, server, NULL, NULL);
        watch = peer_watch_new(peers, call, on_gone, NULL);
        peers = peer_list_free(peers);
        g_assert_null(peer_watch_free(watch));
        g_assert_null(peer_watch_free(NULL));
        teardown();
}

static void a_connection_is_asked_for_once(void) {
        auto_message first = NULL;
        auto_message second = NULL;
        uid_t uid;

        setup();
        first = test_call(event, client, server, NULL, NULL);
        second = test_call(event, client, server, NULL, NULL);
        g_assert_true(peer_uid(peers, first, &uid, NULL));
        leave();
        /* Its leaving is not read yet, so only memory can answer. */
        g_assert_true(peer_uid(peers, second, &uid, NULL));
        teardown();
}

static void who_left_is_not_there(void) {
        auto_message call = NULL;
        g_autoptr(GError) error = NULL;
        uid_t uid;

        setup();
        call = test_call(event, client, server, NULL, NULL);
        g_assert_true(peer_uid(peers, call, &uid, NULL));
        g_assert_true(peer_is_there(peers, call, NULL));
        leave();
        g_assert_false(peer_is_there(peers, call, &error));
        assert_error(error, ACCESS_DENIED);
        teardown();
}

/* A bus allows a connection 512 matches, and each peer needs one. */
static void many_callers_are_known_and_the_watched_ones_stay(void) {
        auto_message watched = NULL;
        PeerWatch *watch;

        setup();
        watched = test_call(event, client, server, NULL, NULL);
        watch = peer_watch_new(peers, watched, on_gone, NULL);
        for (int i = 0; i < 600; i++) {
                auto_bus other = test_bus_open(event);
                auto_message call = test_call(event, other, server, NULL, NULL);
                uid_t uid;

                g_assert_true(peer_uid(peers, call, &uid, NULL));
                g_assert_cmpuint(uid, ==, geteuid());
        }
        leave();
        drive_until(event, gone == 1);
        peer_watch_free(watch);
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(a_caller_is_who_the_bus_says);
        ADD(another_user_is_another_user);
        ADD(a_caller_who_left_has_no_user);
        ADD(a_watch_tells_once_that_the_caller_left);
        ADD(a_watch_that_is_freed_tells_nothing);
        ADD(a_watch_may_free_another_of_the_same_caller);
        ADD(a_watch_may_outlive_the_list);
        ADD(a_connection_is_asked_for_once);
        ADD(who_left_is_not_there);
        ADD(many_callers_are_known_and_the_watched_ones_stay);
        return g_test_run();
}
