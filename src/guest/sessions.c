/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The agent tells who is logged on, and has no command to change that or to ask for more: what is
 * there in the guest is run through it. On Linux that is logind's loginctl; on Windows quser.exe
 * and logoff.exe. Everything that comes back is the guest's word. */

#include "guest/sessions.h"

#include <string.h>

#include "guest/agent.h"

#define SESSIONS_MAX 256

static bool is_number(const char *word) {
        return *word && strspn(word, "0123456789") == strlen(word);
}

/* "words" is NULL at its end; "n" more arguments follow. */
static char **with_arguments(const char *const *words, char **more) {
        GPtrArray *all = g_ptr_array_new();

        for (; *words; words++)
                g_ptr_array_add(all, g_strdup(*words));
        for (unsigned i = 0; more[i] && i < SESSIONS_MAX; i++)
                g_ptr_array_add(all, g_strdup(more[i]));
        g_ptr_array_add(all, NULL);
        return (char **) g_ptr_array_free(all, FALSE);
}

/* The first word of each line. */
static char **first_words(const char *output) {
        g_auto(GStrv) lines = g_strsplit(output, "\n", 0);
        GPtrArray *words = g_ptr_array_new();

        for (char **line = lines; *line; line++) {
                char *begin = *line + strspn(*line, " ");
                size_t length = strcspn(begin, " ");

                if (length > 0)
                        g_ptr_array_add(words, g_strndup(begin, length));
        }
        g_ptr_array_add(words, NULL);
        return (char **) g_ptr_array_free(words, FALSE);
}

static bool is_locked(virDomainPtr domain) {
        static const char *const list[] = {"loginctl", "list-sessions", "--no-legend", NULL};
        static const char *const show[] = {
                        "loginctl", "show-session", "--property=LockedHint", "--", NULL};
        g_auto(AgentRun) listed = {0, NULL}, shown = {0, NULL};
        g_auto(GStrv) ids = NULL, arguments = NULL;

        if (!agent_run(domain, list, &listed, NULL) || listed.status != 0)
                return false;
        ids = first_words(listed.output);
        arguments = with_arguments(show, ids);
        return *ids && agent_run(domain, (const char *const *) arguments, &shown, NULL) &&
               strstr(shown.output, "LockedHint=yes");
}

bool sessions_check_unlocked(virDomainPtr domain, GError **error) {
        g_auto(GStrv) users = agent_users(domain, NULL);

        return !users || !*users || !is_locked(domain) ||
               error_fail(VIRTASK_ERROR_GUEST_LOCKED, error,
                               "Somebody is logged on in '%s' and has locked the screen",
                               virDomainGetName(domain));
}

/* Each line but the first is a user, which may be marked and hold blanks, a name of the session,
 * which may be missing, and its number. */
char **sessions_parse_numbers(const char *output) {
        g_auto(GStrv) lines = g_strsplit(output, "\n", 0);
        GPtrArray *numbers = g_ptr_array_new();

        for (char **line = *lines ? lines + 1 : lines; *line; line++) {
                g_auto(GStrv) words = g_strsplit_set(*line, " \t\r", 0);
                bool named = false;

                for (char **word = words; *word; word++) {
                        if (named && is_number(*word)) {
                                g_ptr_array_add(numbers, g_strdup(*word));
                                break;
                        }
                        named = named || **word;
                }
        }
        g_ptr_array_add(numbers, NULL);
        return (char **) g_ptr_array_free(numbers, FALSE);
}

static bool fail_refused(
                virDomainPtr domain, const AgentRun *run, char **ret_told, GError **error) {
        *ret_told = agent_clean_text(run->output, strlen(run->output), false);
        return error_fail(VIRTASK_ERROR_FAILED, error, "'%s' does not log its users off",
                        virDomainGetName(domain));
}

static bool end_of_linux(virDomainPtr domain, char **users, char **ret_told, GError **error) {
        static const char *const terminate[] = {"loginctl", "terminate-user", "--", NULL};
        g_auto(GStrv) arguments = with_arguments(terminate, users);
        g_auto(AgentRun) run = {0, NULL};

        return agent_run(domain, (const char *const *) arguments, &run, error) &&
               (run.status == 0 || fail_refused(domain, &run, ret_told, error));
}

static bool end_of_windows(virDomainPtr domain, char **ret_told, GError **error) {
        static const char *const query[] = {"quser.exe", NULL};
        g_auto(AgentRun) listed = {0, NULL};
        g_auto(GStrv) numbers = NULL;

        /* It also fails if there is nobody. */
        if (!agent_run(domain, query, &listed, error))
                return false;
        numbers = sessions_parse_numbers(listed.output);
        for (unsigned i = 0; numbers[i] && i < SESSIONS_MAX; i++) {
                const char *const logoff[] = {"logoff.exe", numbers[i], NULL};
                g_auto(AgentRun) run = {0, NULL};

                if (!agent_run(domain, logoff, &run, error))
                        return false;
                if (run.status != 0)
                        return fail_refused(domain, &run, ret_told, error);
        }
        return true;
}

bool sessions_end(virDomainPtr domain, char **users, char **ret_told, GError **error) {
        g_auto(AgentSystem) system = {NULL, NULL, NULL};
        bool is_windows =
                        agent_system(domain, &system, NULL) && g_str_equal(system.id, "mswindows");

        return is_windows ? end_of_windows(domain, ret_told, error)
                          : end_of_linux(domain, users, ret_told, error);
}
