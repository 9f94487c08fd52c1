/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A polkit of our own answers as each test says; the caller is another user, so all but the first
 * tests need root. */

#define MODULE "authorizer"

#include <string.h>

#include "bus/authorizer.h"
#include "bus/bus-error.h"
#include "support.h"

#define ACTION    "test.action"
#define PER_USER  2
#define CALLS_MAX 3

static sd_event *event;
static sd_bus *server;
static sd_bus *client;
static sd_bus *polkit;
static PeerList *peers;
static Authorizer *authorizer;
static const char *machine_name;

static unsigned passes;                  /* of the handler */
static GPtrArray *replies;               /* error name or "ok", to the client */
static sd_bus_message *asked[CALLS_MAX]; /* CheckAuthorization */
static unsigned questions, cancellations;

static int on_service_call(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        const char *details[] = {"vm", machine_name, NULL};
        GError *error = NULL;

        passes++;
        switch (authorizer_check(authorizer, call, ACTION, details, &error)) {
        case VERDICT_PENDING:
                return 1;
        case VERDICT_DENIED:
                return bus_error_take(ret_error, error);
        case VERDICT_ALLOWED:
                break;
        }
        return sd_bus_reply_method_return(call, NULL);
}

static int on_polkit_call(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_call(call, NULL, "CancelCheckAuthorization")) {
                cancellations++;
                return sd_bus_reply_method_return(call, NULL);
        }
        g_assert_true(sd_bus_message_is_method_call(call, NULL, "CheckAuthorization"));
        g_assert_cmpuint(questions, <, CALLS_MAX);
        asked[questions++] = sd_bus_message_ref(call);
        return 1;
}

static void setup_service(AuthorizerKind kind) {
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        server = test_bus_open(event);
        polkit = test_bus_open(event);
        peers = peer_list_new(server);
        authorizer = authorizer_new(server, kind, peers, PER_USER, PER_USER);
        replies = g_ptr_array_new_with_free_func(g_free);
        passes = questions = cancellations = 0;
        machine_name = "web";
        g_assert_cmpint(sd_bus_add_object(server, NULL, "/service", on_service_call, NULL), >=, 0);
        g_assert_cmpint(sd_bus_add_object(polkit, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                        on_polkit_call, NULL),
                        >=, 0);
        g_assert_cmpint(sd_bus_request_name(polkit, "org.freedesktop.PolicyKit1", 0), >=, 0);
}

static void teardown(void) {
        for (unsigned i = 0; i < questions; i++)
                asked[i] = sd_bus_message_unref(asked[i]);
        authorizer = authorizer_free(authorizer);
        peers = peer_list_free(peers);
        client = sd_bus_flush_close_unref(client);
        polkit = sd_bus_flush_close_unref(polkit);
        server = sd_bus_flush_close_unref(server);
        event = sd_event_unref(event);
        g_ptr_array_unref(replies);
}

/* False, and the test is skipped, if nobody else can be made to call. */
static bool setup_with_nobody(AuthorizerKind kind) {
        setup_service(kind);
        client = test_bus_open_as_nobody(event);
        if (client)
                return true;
        g_test_skip("needs root");
        teardown();
        return false;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        g_ptr_array_add(replies, g_strdup(error ? error->name : "ok"));
        return 1;
}

static void call_service(bool interactive) {
        auto_message call = NULL;
        const char *name;

        g_assert_cmpint(sd_bus_get_unique_name(server, &name), >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(
                                        client, &call, name, "/service", "test.Service", "Do"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(call, interactive), >=,
                        0);
        g_assert_cmpint(sd_bus_call_async(client, NULL, call, on_reply, NULL, 0), >=, 0);
}

static const char *reply_number(unsigned n) {
        drive_until(event, replies->len > n);
        return replies->pdata[n];
}

static void answer(unsigned n, bool allowed, bool challenge, const char *detail) {
        drive_until(event, questions > n);
        g_assert_cmpint(sd_bus_reply_method_return(asked[n], "(bba{ss})", allowed, challenge,
                                        detail ? 1 : 0, detail, "true"),
                        >=, 0);
}

static void the_own_user_needs_nobody(void) {
        setup_service(AUTHORIZER_POLKIT);
        client = test_bus_open(event);
        call_service(false);
        g_assert_cmpstr(reply_number(0), ==, "ok");
        g_assert_cmpuint(passes, ==, 1);
        g_assert_cmpuint(questions, ==, 0);
        teardown();
}

static void the_own_user_is_the_owner(void) {
        setup_service(AUTHORIZER_OWNER);
        client = test_bus_open(event);
        call_service(false);
        g_assert_cmpstr(reply_number(0), ==, "ok");
        teardown();
}

static void another_user_is_not_the_owner(void) {
        if (!setup_with_nobody(AUTHORIZER_OWNER))
                return;
        call_service(true);
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_ACCESS_DENIED);
        g_assert_cmpuint(questions, ==, 0);
        teardown();
}

static void a_yes_lets_the_same_call_pass(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(false);
        answer(0, true, false, NULL);
        g_assert_cmpstr(reply_number(0), ==, "ok");
        g_assert_cmpuint(passes, ==, 2);
        g_assert_cmpuint(questions, ==, 1);
        teardown();
}

static void a_yes_is_for_one_call_only(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(false);
        answer(0, true, false, NULL);
        g_assert_cmpstr(reply_number(0), ==, "ok");
        call_service(false);
        answer(1, false, false, NULL);
        g_assert_cmpstr(reply_number(1), ==, SD_BUS_ERROR_ACCESS_DENIED);
        teardown();
}

static void a_no_is_access_denied(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(false);
        answer(0, false, false, NULL);
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_ACCESS_DENIED);
        teardown();
}

static void a_challenge_asks_for_a_person(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(false);
        answer(0, false, true, NULL);
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);
        teardown();
}

static void a_dismissed_dialog_is_access_denied(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(true);
        answer(0, false, true, "polkit.dismissed");
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_ACCESS_DENIED);
        teardown();
}

static void a_polkit_that_is_not_there_is_a_no(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        g_assert_cmpint(sd_bus_release_name(polkit, "org.freedesktop.PolicyKit1"), >=, 0);
        call_service(true);
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_ACCESS_DENIED);
        teardown();
}

static void an_error_of_polkit_is_a_no(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(true);
        drive_until(event, questions > 0);
        g_assert_cmpint(sd_bus_reply_method_errorf(asked[0],
                                        "org.freedesktop.PolicyKit1.Error.Failed", "broken"),
                        >=, 0);
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_ACCESS_DENIED);
        teardown();
}

static void an_answer_of_another_form_is_a_no(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(true);
        drive_until(event, questions > 0);
        g_assert_cmpint(sd_bus_reply_method_return(asked[0], "bb", 1, 1), >=, 0);
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_ACCESS_DENIED);
        teardown();
}

static void polkit_is_told_who_asks_for_what(void) {
        const char *kind, *key, *name, *action, *detail, *value, *id;
        uint32_t flags;

        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(true);
        drive_until(event, questions > 0);
        g_assert_cmpint(sd_bus_message_read(asked[0], "(sa{sv})sa{ss}us", &kind, 1, &key, "s",
                                        &name, &action, 1, &detail, &value, &flags, &id),
                        >, 0);
        g_assert_cmpstr(kind, ==, "system-bus-name");
        g_assert_cmpstr(key, ==, "name");
        g_assert_cmpstr(action, ==, ACTION);
        g_assert_cmpstr(detail, ==, "vm");
        g_assert_cmpstr(value, ==, "web");
        g_assert_cmpuint(flags, ==, 1);
        g_assert_true(*id);
        sd_bus_get_unique_name(client, &value);
        g_assert_cmpstr(name, ==, value);
        teardown();
}

static void without_the_flag_of_the_message_nobody_is_bothered(void) {
        uint32_t flags;

        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(false);
        drive_until(event, questions > 0);
        g_assert_cmpint(sd_bus_message_skip(asked[0], "(sa{sv})sa{ss}"), >, 0);
        g_assert_cmpint(sd_bus_message_read(asked[0], "u", &flags), >, 0);
        g_assert_cmpuint(flags, ==, 0);
        teardown();
}

static void the_dialog_of_a_caller_who_leaves_is_cancelled(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(true);
        drive_until(event, questions > 0);
        client = sd_bus_flush_close_unref(client);
        drive_until(event, cancellations > 0);
        answer(0, true, false, NULL);
        test_drain(event);
        g_assert_cmpuint(passes, ==, 1);
        teardown();
}

static void an_answer_counts_for_what_was_asked(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        call_service(true);
        drive_until(event, questions > 0);
        machine_name = "renamed";
        answer(0, true, false, NULL);
        answer(1, false, false, NULL);
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_ACCESS_DENIED);
        g_assert_cmpuint(passes, ==, 3);
        teardown();
}

static void more_dialogs_than_allowed_are_refused(void) {
        if (!setup_with_nobody(AUTHORIZER_POLKIT))
                return;
        for (unsigned i = 0; i < PER_USER + 1; i++)
                call_service(true);
        g_assert_cmpstr(reply_number(0), ==, SD_BUS_ERROR_LIMITS_EXCEEDED);
        g_assert_cmpuint(passes, ==, PER_USER + 1);
        answer(0, true, false, NULL);
        g_assert_cmpstr(reply_number(1), ==, "ok");
        call_service(true);
        answer(2, true, false, NULL);
        g_assert_cmpstr(reply_number(2), ==, "ok");
        teardown();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(the_own_user_needs_nobody);
        ADD(the_own_user_is_the_owner);
        ADD(another_user_is_not_the_owner);
        ADD(a_yes_lets_the_same_call_pass);
        ADD(a_yes_is_for_one_call_only);
        ADD(a_no_is_access_denied);
        ADD(a_challenge_asks_for_a_person);
        ADD(a_dismissed_dialog_is_access_denied);
        ADD(a_polkit_that_is_not_there_is_a_no);
        ADD(an_error_of_polkit_is_a_no);
        ADD(an_answer_of_another_form_is_a_no);
        ADD(polkit_is_told_who_asks_for_what);
        ADD(without_the_flag_of_the_message_nobody_is_bothered);
        ADD(the_dialog_of_a_caller_who_leaves_is_cancelled);
        ADD(an_answer_counts_for_what_was_asked);
        ADD(more_dialogs_than_allowed_are_refused);
        return g_test_run();
}
