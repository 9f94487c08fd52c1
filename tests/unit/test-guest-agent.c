/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What comes from a guest: its texts, its refusals, its tables. */

#define MODULE "guest-agent"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "guest/agent.h"
#include "guest/sessions.h"
#include "support.h"

static void assert_clean(const char *text, size_t limit, bool lines, const char *expected) {
        g_autofree char *clean = agent_clean_text(text, limit, lines);

        g_assert_cmpstr(clean, ==, expected);
        g_assert_true(g_utf8_validate(clean, -1, NULL));
}

static void texts_are_made_clean(void) {
        assert_clean("Debian GNU/Linux 12 (bookworm)", 256, false,
                        "Debian GNU/Linux 12 (bookworm)");
        assert_clean("a\033[2J\tb\r\nc\x7f", 256, false, "a[2Jbc");
        assert_clean("one\ntwo\t", 256, true, "one\ntwo");
        assert_clean("\xc2\x85x", 256, false, "x"); /* a control character of two bytes */
        assert_clean("a\xff"
                     "b",
                        256, false,
                        "a\xef\xbf\xbd"
                        "b");
        assert_clean("", 256, false, "");
}

static void texts_are_cut_between_characters(void) {
        assert_clean("\xc3\xbc\xc3\xbc\xc3\xbc", 5, false, "\xc3\xbc\xc3\xbc");
        assert_clean("abcdef", 3, false, "abc");
        assert_clean("abc", 0, false, "");
}

/* An error as virSaveLastError() gives it. */
static virErrorPtr make_error(int code, const char *message) {
        virErrorPtr error = calloc(1, sizeof(*error));

        g_assert_nonnull(error);
        error->code = code;
        error->message = strdup(message);
        error->level = VIR_ERR_ERROR;
        return error;
}

static void errors_have_a_row_and_keep_what_the_guest_said(void) {
        static const struct {
                int code;
                const char *message;
                VirtaskError expected;
        } rows[] = {
                        {VIR_ERR_INTERNAL_ERROR,
                                        "unable to execute QEMU agent command 'guest-shutdown': "
                                        "child process has failed to shutdown",
                                        VIRTASK_ERROR_SHUTDOWN_ABORTED},
                        {VIR_ERR_INTERNAL_ERROR,
                                        "Command guest-exec has been disabled: the agent is in "
                                        "frozen state",
                                        VIRTASK_ERROR_GUEST_NOT_READY},
                        {VIR_ERR_INTERNAL_ERROR,
                                        "Command guest-exec has been disabled: the command is not "
                                        "allowed",
                                        VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE},
                        {VIR_ERR_INTERNAL_ERROR, "The command guest-exec has not been found",
                                        VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE},
                        {VIR_ERR_INTERNAL_ERROR, "A system shutdown is in progress.",
                                        VIRTASK_ERROR_GUEST_SHUTDOWN_IN_PROGRESS},
                        {VIR_ERR_INTERNAL_ERROR,
                                        "Failed to execute child process \"loginctl\" (No such "
                                        "file or directory)",
                                        VIRTASK_ERROR_NOT_SUPPORTED},
                        {VIR_ERR_OPERATION_TIMEOUT,
                                        "cannot acquire state change lock (held by "
                                        "agent=remoteDispatchDomainShutdownFlags)",
                                        VIRTASK_ERROR_GUEST_SHUTDOWN_IN_PROGRESS},
                        {VIR_ERR_OPERATION_TIMEOUT,
                                        "cannot acquire state change lock (held by "
                                        "agent=remoteDispatchDomainFSFreeze)",
                                        VIRTASK_ERROR_GUEST_NOT_READY},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *told = NULL;

                agent_error_take(&error, make_error(rows[i].code, rows[i].message),
                                VIRTASK_ERROR_SHUTDOWN_ABORTED, "web1", &told);
                g_assert_error(error, VIRTASK_ERROR, (int) rows[i].expected);
                g_assert_cmpstr(told, ==, rows[i].message);
                g_assert_null(strstr(error->message, rows[i].message));
        }
}

static void an_agent_that_does_not_answer_has_said_nothing(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *told = NULL;

        agent_error_take(&error,
                        make_error(VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent not available for now"),
                        VIRTASK_ERROR_SHUTDOWN_ABORTED, "web1", &told);
        g_assert_error(error, VIRTASK_ERROR, VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE);
        g_assert_null(told);
}

static void assert_numbers(const char *output, const char *expected) {
        g_auto(GStrv) numbers = sessions_parse_numbers(output);
        g_autofree char *joined = g_strjoinv(" ", numbers);

        g_assert_cmpstr(joined, ==, expected);
}

static void sessions_of_windows_have_numbers(void) {
        assert_numbers("", "");
        assert_numbers(" USERNAME              SESSIONNAME        ID  STATE   IDLE TIME  LOGON "
                       "TIME\r\n",
                        "");
        assert_numbers(" BENUTZERNAME          SITZUNGSNAME       ID  STATUS  LEERLAUF   "
                       "ANMELDEZEIT\r\n"
                       ">administrator         console             1  Aktiv       ohne   1.1.2026 "
                       "9:00\r\n"
                       " john doe                                  3  Getr.         12   1.1.2026 "
                       "8:00\r\n",
                        "1 3");
        assert_numbers("head\n 7\n", ""); /* a name that is a number, and nothing else */
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD(texts_are_made_clean);
        ADD(texts_are_cut_between_characters);
        ADD(errors_have_a_row_and_keep_what_the_guest_said);
        ADD(an_agent_that_does_not_answer_has_said_nothing);
        ADD(sessions_of_windows_have_numbers);
        return g_test_run();
}
