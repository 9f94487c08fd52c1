/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* polkit is asked without waiting: a person may type a password for minutes, and the loop has other
 * callers.
 *
 *     handler(call) ── authorizer_check() ── no answer yet: ask polkit, VERDICT_PENDING
 *                                                  │
 *     on_answer(): note the verdict, rewind the call, put it back into the bus's read queue
 *                                                  │
 *     handler(call) ── authorizer_check() ── same call, same action, same details: the verdict
 *
 * So the second pass looks the object up anew, reads the arguments anew and sees the state of then.
 * The scheme is that of systemd's bus-polkit.c. Only a well-formed answer that says yes allows
 * anything: every error, a timeout and a polkit that is not there are a no. */

#include "bus/authorizer.h"

#include <string.h>
#include <unistd.h>

#include "util/error.h"
#include "util/log.h"

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define INTERACTIVE_TIMEOUT_USEC                                                                   \
        (120 * G_USEC_PER_SEC) /* for someone who types a password slowly */
#define PLAIN_TIMEOUT_USEC (10 * G_USEC_PER_SEC)

typedef struct Query {
        Authorizer *authorizer;
        sd_bus_message *call;
        uid_t uid;
        char *action;
        char **details;
        char *cancellation_id;
        PeerWatch *watch;
        sd_bus_slot *slot; /* the question; NULL once answered */
        sd_event_source *
                        expiry; /* frees an answered query that the handler did not come back for */
        Verdict verdict;
        VirtaskError refusal; /* with VERDICT_DENIED */
} Query;

struct Authorizer {
        sd_bus *bus;
        AuthorizerKind kind;
        PeerList *peers;
        unsigned per_user, total;
        uint64_t last_cancellation;
        GHashTable *queries; /* sd_bus_message * -> Query, owned */
};

static void query_free(void *data) {
        Query *query = data;

        peer_watch_free(query->watch);
        sd_event_source_disable_unref(query->expiry);
        sd_bus_slot_unref(query->slot);
        sd_bus_message_unref(query->call);
        g_strfreev(query->details);
        g_free(query->action);
        g_free(query->cancellation_id);
        g_free(query);
}

Authorizer *authorizer_new(sd_bus *bus,
                AuthorizerKind kind,
                PeerList *peers,
                unsigned per_user,
                unsigned total) {
        Authorizer *authorizer = g_new0(Authorizer, 1);

        authorizer->bus = sd_bus_ref(bus);
        authorizer->kind = kind;
        authorizer->peers = peers;
        authorizer->per_user = per_user;
        authorizer->total = total;
        authorizer->queries = g_hash_table_new_full(NULL, NULL, NULL, query_free);
        return authorizer;
}

Authorizer *authorizer_free(Authorizer *authorizer) {
        if (!authorizer)
                return NULL;
        g_hash_table_destroy(authorizer->queries);
        sd_bus_unref(authorizer->bus);
        g_free(authorizer);
        return NULL;
}

static Verdict deny(VirtaskError refusal, GError **error) {
        g_set_error(error, VIRTASK_ERROR, (int) refusal, "%s", error_info(refusal)->meaning);
        return VERDICT_DENIED;
}

/* Takes a dialog that nobody needs any more from the screen. */
static void query_cancel(Query *query) {
        (void) sd_bus_call_method_async(query->authorizer->bus, NULL, POLKIT_NAME, POLKIT_PATH,
                        POLKIT_INTERFACE, "CancelCheckAuthorization", NULL, NULL, "s",
                        query->cancellation_id);
}

static void on_caller_gone(void *userdata) {
        Query *query = userdata;

        log_debug("A caller left while polkit was asked for %s", query->action);
        if (query->slot)
                query_cancel(query);
        g_hash_table_remove(query->authorizer->queries, query->call);
}

static int on_expiry(sd_event_source *source, void *userdata) {
        Query *query = userdata;

        g_hash_table_remove(query->authorizer->queries, query->call);
        return 0;
}

/* What the reply (bba{ss}) of CheckAuthorization says; everything unusual says no. */
static VirtaskError refusal_from_reply(sd_bus_message *reply) {
        const char *dismissed = NULL, *key, *value;
        int allowed, challenge;

        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_LIMITS_EXCEEDED))
                return VIRTASK_ERROR_LIMITS_EXCEEDED;
        if (sd_bus_message_is_method_error(reply, NULL) ||
                        !sd_bus_message_has_signature(reply, "(bba{ss})") ||
                        sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
                        sd_bus_message_read(reply, "bb", &allowed, &challenge) < 0 ||
                        sd_bus_message_enter_container(reply, 'a', "{ss}") < 0)
                return VIRTASK_ERROR_ACCESS_DENIED;
        while (sd_bus_message_read(reply, "{ss}", &key, &value) > 0)
                if (g_str_equal(key, "polkit.dismissed"))
                        dismissed = value;

        if (allowed)
                return VIRTASK_ERROR_NONE;
        return challenge && !dismissed ? VIRTASK_ERROR_INTERACTION_REQUIRED
                                       : VIRTASK_ERROR_ACCESS_DENIED;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Query *query = userdata;
        int r;

        query->slot = sd_bus_slot_unref(query->slot);
        query->refusal = refusal_from_reply(reply);
        query->verdict = query->refusal == VIRTASK_ERROR_NONE ? VERDICT_ALLOWED : VERDICT_DENIED;
        if (sd_bus_message_is_method_error(reply, NULL)) {
                log_debug("polkit did not answer: %s", sd_bus_message_get_error(reply)->message);
                query_cancel(query);
        }

        /* The bus has priority over an idle source, so the handler has had its second pass by then.
         */
        r = sd_event_add_defer(
                        sd_bus_get_event(query->authorizer->bus), &query->expiry, on_expiry, query);
        if (r >= 0)
                r = sd_event_source_set_priority(query->expiry, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_bus_message_rewind(query->call, true);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(query->authorizer->bus, query->call);
        if (r < 0) {
                log_warning("Failed to take up a call again: %s", g_strerror(-r));
                (void) sd_bus_reply_method_errno(query->call, r, NULL);
                g_hash_table_remove(query->authorizer->queries, query->call);
        }
        return 1;
}

static int append_question(sd_bus_message *question, const Query *query, bool interactive) {
        const char *sender = sd_bus_message_get_sender(query->call);
        int r;

        r = sd_bus_message_append(question, "(sa{sv})s", "system-bus-name", 1, "name", "s", sender,
                        query->action);
        if (r >= 0)
                r = sd_bus_message_open_container(question, 'a', "{ss}");
        for (char **detail = query->details; r >= 0 && detail[0]; detail += 2)
                r = sd_bus_message_append(question, "{ss}", detail[0], detail[1]);
        if (r >= 0)
                r = sd_bus_message_close_container(question);
        if (r >= 0)
                r = sd_bus_message_append(
                                question, "us", interactive ? 1U : 0U, query->cancellation_id);
        return r;
}

static int query_send(Query *query) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *question = NULL;
        bool interactive = sd_bus_message_get_allow_interactive_authorization(query->call) > 0;
        sd_bus *bus = query->authorizer->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &question, POLKIT_NAME, POLKIT_PATH,
                        POLKIT_INTERFACE, "CheckAuthorization");
        if (r >= 0)
                r = append_question(question, query, interactive);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, &query->slot, question, on_answer, query,
                        interactive ? INTERACTIVE_TIMEOUT_USEC : PLAIN_TIMEOUT_USEC);
}

static bool within_limits(Authorizer *authorizer, uid_t uid) {
        GHashTableIter iter;
        unsigned total = 0, own = 0;
        void *value;

        g_hash_table_iter_init(&iter, authorizer->queries);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Query *query = value;

                total += query->slot != NULL;
                own += query->slot && query->uid == uid;
        }
        return total < authorizer->total && own < authorizer->per_user;
}

static Verdict ask_polkit(Authorizer *authorizer,
                sd_bus_message *call,
                uid_t uid,
                const char *action,
                const char *const *details,
                GError **error) {
        Query *query;

        if (!within_limits(authorizer, uid))
                return deny(VIRTASK_ERROR_LIMITS_EXCEEDED, error);

        query = g_new0(Query, 1);
        query->authorizer = authorizer;
        query->call = sd_bus_message_ref(call);
        query->uid = uid;
        query->action = g_strdup(action);
        query->details = g_strdupv((char **) details);
        query->cancellation_id = g_strdup_printf(
                        "virtask-%" G_GUINT64_FORMAT, ++authorizer->last_cancellation);
        query->verdict = VERDICT_PENDING;
        query->watch = peer_watch_new(authorizer->peers, call, on_caller_gone, query);
        if (!query->watch || query_send(query) < 0) {
                query_free(query);
                return deny(VIRTASK_ERROR_ACCESS_DENIED, error);
        }
        g_hash_table_insert(authorizer->queries, call, query);
        return VERDICT_PENDING;
}

Verdict authorizer_check(Authorizer *authorizer,
                sd_bus_message *call,
                const char *action,
                const char *const *details,
                GError **error) {
        Query *query = g_hash_table_lookup(authorizer->queries, call);
        uid_t uid;

        if (!peer_uid(authorizer->peers, call, &uid, error))
                return VERDICT_DENIED;
        if (uid == 0 || uid == geteuid())
                return VERDICT_ALLOWED;
        if (authorizer->kind == AUTHORIZER_OWNER)
                return deny(VIRTASK_ERROR_ACCESS_DENIED, error);

        /* An answer counts for what was asked: if the machine has another name by now, that is
         * another question. */
        if (query && (!g_str_equal(query->action, action) ||
                                     !g_strv_equal((const char *const *) query->details,
                                                     details))) {
                g_hash_table_remove(authorizer->queries, call);
                query = NULL;
        }
        if (!query)
                return ask_polkit(authorizer, call, uid, action, details, error);
        if (query->verdict == VERDICT_DENIED)
                return deny(query->refusal, error);
        /* Polkit may have thought for minutes. */
        if (query->verdict == VERDICT_ALLOWED && !peer_is_there(authorizer->peers, call, error))
                return VERDICT_DENIED;
        return query->verdict;
}
