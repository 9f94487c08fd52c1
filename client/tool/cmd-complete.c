/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Completion. The script that the shell loads asks "virtask __complete INDEX WORDS..." and this
 * answers with one candidate on each line, made of the command table, the option table and the live
 * service. A key press must never hang or print: everything is quiet and ends after two seconds.
 * The words are as typed, so quotes and backslashes of the word to complete are taken off here; the
 * script puts them on again. */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collection-ref.h"
#include "export-setting.h"
#include "machine-ref.h"
#include "snapshot-ref.h"
#include "task-info.h"
#include "text.h"
#include "verbs.h"

#define LIMIT_SECONDS 2

static const char bash_script[] =
                "# SPDX-License-Identifier: LGPL-2.1-or-later\n"
                "# bash completion for virtask(1)\n"
                "\n"
                "_virtask() {\n"
                "    local line=$COMP_LINE i piece current prefix index=0 candidate\n"
                "    local -a words=() candidates=()\n"
                "\n"
                "    # bash splits words at \"=\" and \":\"; put the pieces together that have no "
                "blank between them.\n"
                "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
                "        piece=${COMP_WORDS[i]}\n"
                "        if ((i > 0)) && [[ -n $piece && $line != [[:blank:]]* ]]; then\n"
                "            words[-1]+=$piece\n"
                "        else\n"
                "            words+=(\"$piece\")\n"
                "        fi\n"
                "        line=${line#\"${line%%[![:blank:]]*}\"}\n"
                "        line=${line#\"$piece\"}\n"
                "    done\n"
                "    index=$((${#words[@]} - 1))\n"
                "    current=${words[index]}\n"
                "    piece=${COMP_WORDS[COMP_CWORD]}\n"
                "    [[ $piece == [=:] ]] && piece=\n"
                "    prefix=${current%\"$piece\"}\n"
                "\n"
                "    mapfile -t candidates < <(command virtask __complete \"$index\" "
                "\"${words[@]}\" 2>/dev/null)\n"
                "    COMPREPLY=()\n"
                "    for candidate in \"${candidates[@]}\"; do\n"
                "        if [[ $candidate == *= ]]; then\n"
                "            compopt -o nospace\n"
                "        elif [[ $current != [\\\"\\']* ]]; then\n"
                "            printf -v candidate %q \"$candidate\"\n"
                "        fi\n"
                "        COMPREPLY+=(\"${candidate#\"$prefix\"}\")\n"
                "    done\n"
                "    # No candidate: a file name (register), which readline completes itself.\n"
                "}\n"
                "complete -o bashdefault -o default -F _virtask virtask\n";

ExitCode cmd_completion(Session *s, const char *verb, char **arguments) {
        if (strcmp(arguments[0], "bash") != 0) {
                (void) fprintf(stderr, "virtask: there is completion for bash only\n");
                return EXIT_CODE_USAGE;
        }
        (void) fputs(bash_script, stdout);
        return EXIT_CODE_OK;
}

static void on_alarm(int number) {
        _exit(EXIT_CODE_OK);
}

/* The word without the quotes and backslashes of the shell, as far as it has been typed. */
static char *unquote(const char *word) {
        _cleanup_buffer_ Buffer b = {0};
        char quote = '\0';

        for (; *word; word++) {
                if (*word == quote)
                        quote = '\0';
                else if (quote == '\0' && (*word == '"' || *word == '\''))
                        quote = *word;
                else {
                        if (*word == '\\' && quote != '\'' && word[1])
                                word++;
                        buffer_add_bytes(&b, word, 1);
                }
        }
        return buffer_steal(&b);
}

/* A name that could steer the terminal is left out: the shell would show it as it is. */
static void offer(const char *prefix, const char *candidate) {
        _cleanup_free_ char *safe = text_escape(candidate);

        if (strncmp(candidate, prefix, strlen(prefix)) == 0 && strcmp(candidate, safe) == 0)
                (void) printf("%s\n", candidate);
}

static void offer_words(const char *prefix, const char *option, const char *const words[]) {
        for (; words && *words; words++) {
                _cleanup_free_ char *candidate = xasprintf("%s%s", option, *words);

                offer(prefix, candidate);
        }
}

static void offer_verbs(const char *prefix) {
        for (const Verb *verb = verbs; verb->name; verb++)
                offer(prefix, verb->name);
}

/* Options that all commands take and those of @verb; one with an argument is offered with its "=".
 */
static void offer_options(const char *prefix, const Verb *verb) {
        unsigned allowed = verb ? verb->options : 0, command_option = 0;
        bool argument = false;
        const char *name;

        for (unsigned i = 0; (name = options_long_name(i, &argument, &command_option)); i++) {
                _cleanup_free_ char *candidate = xasprintf("--%s%s", name, argument ? "=" : "");

                if ((command_option & ~allowed) == 0)
                        offer(prefix, candidate);
        }
}

/* @option stands before each name ("--vm="). */
static void offer_machines(Session *s, const char *prefix, const char *option) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = bus_client_new_call(
                        s, MANAGER_PATH, MANAGER_INTERFACE, "ListVirtualMachines");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *name = NULL;

        if (bus_client_try(s, m, LIMIT_SECONDS * USEC_PER_SEC, &error, &reply) < 0 ||
                        sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(ssuso)") < 0)
                return;
        while (sd_bus_message_read(reply, "(ssuso)", &name, NULL, NULL, NULL, NULL) > 0) {
                _cleanup_free_ char *candidate = xasprintf("%s%s", option, name);

                offer(prefix, candidate);
        }
}

static void offer_tasks(Session *s, const char *prefix, bool unfinished) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        bus_client_new_call(s, MANAGER_PATH, MANAGER_INTERFACE, "ListTasks");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path = NULL;
        int r = unfinished ? sd_bus_message_append(m, "a{sv}", 1, "Unfinished", "b", 1)
                           : sd_bus_message_append(m, "a{sv}", 0);

        if (r < 0 || bus_client_try(s, m, LIMIT_SECONDS * USEC_PER_SEC, &error, &reply) < 0 ||
                        sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(usosuubo)") < 0)
                return;
        while (sd_bus_message_read(reply, "(usosuubo)", NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                               &path) > 0)
                offer(prefix, task_info_number(path));
}

/* The machine names of the bus that the line names. Another host is not asked: ssh may want a
 * password. */
static bool connect_quietly(Session *s) {
        return s->options.bus != BUS_KIND_HOST && bus_client_connect(s) == EXIT_CODE_OK;
}

/* What the live service has of the machine that the line names, snapshots or reference points;
 * @option stands before each. */
static void offer_snapshots(Session *s,
                const char *prefix,
                const char *option,
                const char *machine,
                bool points) {
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_free_ SnapshotInfo **list = NULL;
        size_t count = 0;

        if (machine_ref_resolve(&ref, s, machine) != EXIT_CODE_OK ||
                        inventory_load(&inventory, s) != EXIT_CODE_OK)
                return;
        list = points ? inventory_points_of(&inventory, ref.path, &count)
                      : inventory_snapshots_of(&inventory, ref.path, &count);
        for (size_t i = 0; i < count; i++) {
                const char *words[] = {snapshot_ref_candidate(list, count, list[i],
                                                       prefix + strlen(option)),
                                NULL};

                offer_words(prefix, option, words);
        }
}

/* Words that mean one of @list alone. */
static void offer_candidates(const char *prefix, const CandidateList *list) {
        for (size_t i = 0; i < list->count; i++) {
                const char *word = candidate_list_word(list, list->items + i, prefix);

                if (word)
                        offer(prefix, word);
        }
}

static void offer_all(Session *s,
                const char *prefix,
                void (*add)(CandidateList *list, const Inventory *inventory)) {
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_(candidate_list_clear) CandidateList list = {0};

        if (inventory_load(&inventory, s) != EXIT_CODE_OK)
                return;
        add(&list, &inventory);
        offer_candidates(prefix, &list);
}

static void offer_possible_members(Session *s, const char *prefix, bool of_collections) {
        if (of_collections)
                offer_all(s, prefix, candidate_list_add_collections);
        else
                offer_machines(s, prefix, "");
}

/* What the collection that the line names has, or what it may have. */
static void offer_members(Session *s, const char *prefix, const char *argument, bool existing) {
        _cleanup_(object_ref_clear) ObjectRef ref = {0};
        _cleanup_(inventory_clear) Inventory inventory = {0};
        _cleanup_(candidate_list_clear) CandidateList list = {0};
        const CollectionInfo *collection;

        if (collection_ref_resolve(&ref, s, argument) != EXIT_CODE_OK ||
                        inventory_load(&inventory, s) != EXIT_CODE_OK)
                return;
        collection = inventory_find_collection(&inventory, ref.path);
        if (!collection)
                return;
        if (!existing) {
                offer_possible_members(s, prefix, collection_info_is_of_collections(collection));
                return;
        }
        candidate_list_add_members(&list, &inventory, collection);
        offer_candidates(prefix, &list);
}

static void offer_collection_words(
                Session *s, const Verb *verb, const char *prefix, char **before, int count) {
        if (!connect_quietly(s))
                return;
        if (verb->argument == VERB_ARGUMENT_NEW_COLLECTION) {
                if (count > 0)
                        offer_possible_members(
                                        s, prefix, options_has(&s->options, OPTION_OF_COLLECTIONS));
        } else if (verb->argument == VERB_ARGUMENT_COLLECTION_SNAPSHOT) {
                if (count == 0)
                        offer_all(s, prefix, candidate_list_add_snapshots);
        } else if (count == 0)
                offer_all(s, prefix, candidate_list_add_collections);
        else if (verb->argument != VERB_ARGUMENT_COLLECTION)
                offer_members(s, prefix, before[0], verb->argument == VERB_ARGUMENT_MEMBER);
}

/* @before are the @count words between the command and the one to complete. */
static void offer_arguments(
                Session *s, const Verb *verb, const char *prefix, char **before, int count) {
        static const char *const shells[] = {"bash", NULL};

        switch (verb->argument) {
        case VERB_ARGUMENT_MACHINE:
                if (connect_quietly(s))
                        offer_machines(s, prefix, "");
                break;
        case VERB_ARGUMENT_ONE_MACHINE:
                if (count == 0 && connect_quietly(s))
                        offer_machines(s, prefix, "");
                break;
        case VERB_ARGUMENT_SNAPSHOT:
        case VERB_ARGUMENT_POINT:
                if (count > 1 || !connect_quietly(s))
                        break;
                if (count == 0)
                        offer_machines(s, prefix, "");
                else
                        offer_snapshots(s, prefix, "", before[0],
                                        verb->argument == VERB_ARGUMENT_POINT);
                break;
        case VERB_ARGUMENT_COLLECTION:
        case VERB_ARGUMENT_NEW_COLLECTION:
        case VERB_ARGUMENT_NEW_MEMBER:
        case VERB_ARGUMENT_MEMBER:
        case VERB_ARGUMENT_COLLECTION_SNAPSHOT:
                offer_collection_words(s, verb, prefix, before, count);
                break;
        case VERB_ARGUMENT_TASK:
                if (connect_quietly(s))
                        offer_tasks(s, prefix, strcmp(verb->name, "task") != 0);
                break;
        case VERB_ARGUMENT_SHELL:
                offer_words(prefix, "", shells);
                break;
        case VERB_ARGUMENT_FILE:
        case VERB_ARGUMENT_NONE:
                break;
        }
}

/* "KEY=", and where a key stands already its values. */
static void offer_settings(const char *prefix, const char *option) {
        static const char *const yes_no[] = {"yes", "no", NULL};

        for (size_t i = 0; i < EXPORT_SETTINGS; i++) {
                const ExportSettingRow *row = export_settings + i;
                _cleanup_free_ char *key = xasprintf("%s%s=", option, row->key);

                if (strncmp(prefix, key, strlen(key)) != 0)
                        offer(prefix, key);
                else
                        offer_words(prefix, key,
                                        row->kind == EXPORT_SETTING_BOOLEAN ? yes_no : row->words);
        }
}

/* The line so far: options are those of "verb", which has the @count words @before behind it. */
typedef struct Line {
        const Verb *verb;
        char **before;
        int count;
} Line;

/* The values of the option @name; @option stands before each. */
static void offer_values(Session *s,
                const Line *line,
                const char *prefix,
                const char *option,
                const char *name) {
        offer_words(prefix, option, options_words(name));
        if (strcmp(name, "setting") == 0)
                offer_settings(prefix, option);
        else if (strcmp(name, "vm") == 0 && connect_quietly(s))
                offer_machines(s, prefix, option);
        else if ((strcmp(name, "snapshot") == 0 || strcmp(name, "since") == 0) && line->count > 0 &&
                        connect_quietly(s))
                offer_snapshots(s, prefix, option, line->before[0],
                                line->verb->argument == VERB_ARGUMENT_POINT);
}

/* The name of an option whose value is the word behind it; NULL if @word is not one. */
static const char *awaits_value(const char *word) {
        bool argument = false;
        unsigned command_option = 0;
        const char *name;

        if (strcmp(word, "-p") == 0 || strcmp(word, "-H") == 0)
                return "";
        if (strncmp(word, "--", 2) != 0)
                return NULL;
        for (unsigned i = 0; (name = options_long_name(i, &argument, &command_option)); i++)
                if (argument && strcmp(name, word + 2) == 0)
                        return name;
        return NULL;
}

/* "--vm=al": the option with its "=", and the name of it. */
static void offer_values_of_word(Session *s, const Line *line, const char *word) {
        size_t length = strcspn(word, "=");
        _cleanup_free_ char *option = xstrndup(word, length + 1);
        _cleanup_free_ char *name = xstrndup(word + 2, length - 2);

        offer_values(s, line, word, option, name);
}

/* @words are those before the one to complete, which is @word. */
static void complete(Session *s, int count, char **words, const char *word) {
        const char *name = count > 1 ? awaits_value(words[count - 1]) : NULL;
        bool is_option = strncmp(word, "--", 2) == 0;
        Line line = {0};
        int first = 0;

        if (name)
                count--;
        if (options_parse(&s->options, count, words, &first) != EXIT_CODE_OK)
                return;
        if (first < count)
                line = (Line){verb_find(words[first]), words + first + 1, count - first - 1};
        if (name)
                offer_values(s, &line, word, "", name);
        else if (is_option && strchr(word, '='))
                offer_values_of_word(s, &line, word);
        else if (*word == '-')
                offer_options(word, line.verb);
        else if (first >= count)
                offer_verbs(word);
        else if (line.verb &&
                        (line.verb->max_arguments < 0 || line.count < line.verb->max_arguments))
                offer_arguments(s, line.verb, word, line.before, line.count);
}

ExitCode cmd_complete(Session *s, int argc, char **argv) {
        char **words = xcalloc((size_t) argc + 1, sizeof(*words));
        _cleanup_free_ char *word = NULL;
        long index = argc > 0 ? strtol(argv[0], NULL, 10) : -1;

        (void) signal(SIGALRM, on_alarm);
        (void) alarm(LIMIT_SECONDS);
        if (index >= 1 && index < argc && freopen("/dev/null", "w", stderr)) {
                for (long i = 0; i < index; i++)
                        words[i] = unquote(argv[i + 1]);
                word = unquote(index + 1 < argc ? argv[index + 1] : "");
                complete(s, (int) index, words, word);
        }
        for (long i = 0; i < index && i < argc; i++)
                free(words[i]);
        free(words);
        sd_bus_flush_close_unref(s->bus);
        return EXIT_CODE_OK;
}
