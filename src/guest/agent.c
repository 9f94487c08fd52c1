/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt waits for an agent for ever unless it is told otherwise, and what it is told belongs to
 * the machine and not to the call. So who sets it has to be alone with the agent until he has
 * asked; afterwards it is again as libvirt has it. Only threads of this process wait for each other
 * here. libvirt lets one command at a time through as well, but gives up after half a minute.
 * Commands that libvirt has no function for go through virDomainQemuAgentCommand(), which has a
 * patience of its own and marks the domain as tainted; it is used where there is no other way. */

#include "guest/agent.h"

#include <json-glib/json-glib.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend-error.h"
#include "backend/guest-facts.h"

#define ANSWER_SECONDS 5
#define RUN_USEC       (30 * G_USEC_PER_SEC)
#define LOOK_USEC      (50 * 1000)
#define CONNECT_USEC   (2 * G_USEC_PER_SEC)
#define TEXT_MAX       256
#define OUTPUT_MAX     65536
#define USERS_MAX      256

static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        GHashTable *taken; /* UUIDs of machines whose agent a thread has */
} agents = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL};

static void take(const char *uuid) {
        pthread_mutex_lock(&agents.lock);
        if (!agents.taken)
                agents.taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        while (g_hash_table_contains(agents.taken, uuid))
                pthread_cond_wait(&agents.changed, &agents.lock);
        g_hash_table_add(agents.taken, g_strdup(uuid));
        pthread_mutex_unlock(&agents.lock);
}

static void give_back(const char *uuid) {
        pthread_mutex_lock(&agents.lock);
        g_hash_table_remove(agents.taken, uuid);
        pthread_cond_broadcast(&agents.changed);
        pthread_mutex_unlock(&agents.lock);
}

/* After a restart of libvirt the definition tells of a channel that is open before libvirt has
 * connected to it, and no event tells when it has. */
static bool is_connecting(virDomainPtr domain, const virError *cause) {
        return cause && cause->code == VIR_ERR_AGENT_UNRESPONSIVE && cause->message &&
               strstr(cause->message, "not connected") &&
               guest_facts_read(domain).agent == AGENT_CONNECTED;
}

/* The call, with some patience for libvirt. */
static int call_connected(virDomainPtr domain, AgentCall call, void *data, virErrorPtr *ret_cause) {
        gint64 limit = g_get_monotonic_time() + CONNECT_USEC;

        for (;;) {
                int r = call(domain, data);

                *ret_cause = r < 0 ? virSaveLastError() : NULL;
                if (r >= 0 || g_get_monotonic_time() > limit || !is_connecting(domain, *ret_cause))
                        return r;
                virFreeError(*ret_cause);
                g_usleep(LOOK_USEC);
        }
}

/* What the patience was before can't be read. */
int agent_call(virDomainPtr domain,
                int seconds,
                AgentCall call,
                void *data,
                virErrorPtr *ret_cause) {
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        int r;

        (void) virDomainGetUUIDString(domain, uuid);
        take(uuid);
        r = virDomainAgentSetResponseTimeout(domain, seconds, 0);
        if (r == 0)
                r = call_connected(domain, call, data, ret_cause);
        else
                *ret_cause = virSaveLastError();
        (void) virDomainAgentSetResponseTimeout(domain, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
        give_back(uuid);
        return r;
}

static int ask_time(virDomainPtr domain, void *data) {
        long long seconds;
        unsigned nanoseconds;

        if (virDomainGetTime(domain, &seconds, &nanoseconds, 0) == 0 ||
                        virGetLastErrorCode() == VIR_ERR_INTERNAL_ERROR)
                return 0;
        return -1;
}

bool agent_answers(virDomainPtr domain, GError **error) {
        virErrorPtr cause;

        if (agent_call(domain, ANSWER_SECONDS, ask_time, NULL, &cause) == 0)
                return true;
        backend_error_take(error, cause, "Failed to reach the agent in '%s'",
                        virDomainGetName(domain));
        return false;
}

char *agent_clean_text(const char *text, size_t limit, bool lines) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        GString *clean = g_string_new(NULL);

        for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
                size_t size = (size_t) (g_utf8_next_char(c) - c);

                if (clean->len + size > limit)
                        break;
                if (!g_unichar_iscntrl(g_utf8_get_char(c)) || (lines && *c == '\n'))
                        g_string_append_len(clean, c, (gssize) size);
        }
        return g_string_free(clean, FALSE);
}

/* Errors */

/* QEMU's agent has one class for nearly all of its errors, so it is the text. */
static VirtaskError classify(const char *text, VirtaskError refusal) {
        static const struct {
                const char *part;
                VirtaskError error;
        } rows[] = {
                        {"frozen", VIRTASK_ERROR_GUEST_NOT_READY},
                        {"has been disabled", VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE},
                        {"has not been found", VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE},
                        {"shutdown is in progress", VIRTASK_ERROR_GUEST_SHUTDOWN_IN_PROGRESS},
                        {"Failed to execute child process", VIRTASK_ERROR_NOT_SUPPORTED},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                if (strstr(text, rows[i].part))
                        return rows[i].error;
        return refusal;
}

static const char *meaning(VirtaskError error) {
        switch ((int) error) {
        case VIRTASK_ERROR_GUEST_NOT_READY:
                return "the agent is frozen or busy";
        case VIRTASK_ERROR_GUEST_AGENT_NOT_AVAILABLE:
                return "the agent does not offer it";
        case VIRTASK_ERROR_GUEST_SHUTDOWN_IN_PROGRESS:
                return "the guest is shutting down already";
        case VIRTASK_ERROR_NOT_SUPPORTED:
                return "the guest has no program for it";
        default:
                return "the guest has refused";
        }
}

/* Somebody else has the agent for longer than libvirt waits; if it is for a shutdown, that is on
 * its way. */
static VirtaskError classify_busy(const char *text) {
        return strstr(text, "DomainShutdown") || strstr(text, "DomainReboot")
                               ? VIRTASK_ERROR_GUEST_SHUTDOWN_IN_PROGRESS
                               : VIRTASK_ERROR_GUEST_NOT_READY;
}

void agent_error_take(GError **error,
                virErrorPtr cause,
                VirtaskError refusal,
                const char *name,
                char **ret_told) {
        const char *text = cause && cause->message ? cause->message : "";
        VirtaskError row;

        *ret_told = NULL;
        if (cause && cause->code == VIR_ERR_INTERNAL_ERROR)
                row = classify(text, refusal);
        else if (cause && cause->code == VIR_ERR_OPERATION_TIMEOUT)
                row = classify_busy(text);
        else {
                backend_error_take(error, cause, "Failed to ask the guest of '%s'", name);
                return;
        }
        *ret_told = agent_clean_text(text, TEXT_MAX, false);
        g_set_error(error, VIRTASK_ERROR, (int) row, "Failed to ask the guest of '%s': %s", name,
                        meaning(row));
        virFreeError(cause);
}

/* What it knows */

typedef struct Info {
        unsigned types; /* VIR_DOMAIN_GUEST_INFO_... */
        virTypedParameterPtr params;
        int n;
} Info;

static void info_clear(Info *info) {
        virTypedParamsFree(info->params, info->n);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Info, info_clear)

static int ask_info(virDomainPtr domain, void *data) {
        Info *info = data;

        return virDomainGetGuestInfo(domain, info->types, &info->params, &info->n, 0);
}

static bool read_info(virDomainPtr domain, Info *info, GError **error) {
        g_autofree char *told = NULL;
        virErrorPtr cause;

        if (agent_call(domain, ANSWER_SECONDS, ask_info, info, &cause) == 0)
                return true;
        agent_error_take(error, cause, VIRTASK_ERROR_FAILED, virDomainGetName(domain), &told);
        return false;
}

/* A name that is not what it was would be somebody else's. */
static bool is_clean(const char *name) {
        g_autofree char *clean = agent_clean_text(name, TEXT_MAX, false);

        return *name && g_str_equal(clean, name);
}

char **agent_users(virDomainPtr domain, GError **error) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, NULL);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_auto(Info) info = {.types = VIR_DOMAIN_GUEST_INFO_USERS};

        if (!read_info(domain, &info, error))
                return NULL;
        for (int i = 0; i < info.n && names->len < USERS_MAX; i++) {
                const virTypedParameter *param = info.params + i;

                if (param->type != VIR_TYPED_PARAM_STRING ||
                                !g_str_has_prefix(param->field, "user.") ||
                                !g_str_has_suffix(param->field, ".name") ||
                                !is_clean(param->value.s) ||
                                g_hash_table_contains(seen, param->value.s))
                        continue;
                g_ptr_array_add(names, g_strdup(param->value.s));
                g_hash_table_add(seen, names->pdata[names->len - 1]);
        }
        g_ptr_array_add(names, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

/* The first of the two that the agent has told. */
static char *text_of(const Info *info, const char *field, const char *otherwise) {
        const char *value = NULL;

        if (virTypedParamsGetString(info->params, info->n, field, &value) != 1)
                (void) virTypedParamsGetString(info->params, info->n, otherwise, &value);
        return agent_clean_text(value ?: "", TEXT_MAX, false);
}

bool agent_system(virDomainPtr domain, AgentSystem *ret, GError **error) {
        g_auto(Info) info = {.types = VIR_DOMAIN_GUEST_INFO_OS};

        if (!read_info(domain, &info, error))
                return false;
        *ret = (AgentSystem){
                        .id = text_of(&info, "os.id", "os.id"),
                        .name = text_of(&info, "os.pretty-name", "os.name"),
                        .version = text_of(&info, "os.version-id", "os.version"),
        };
        return true;
}

void agent_system_clear(AgentSystem *system) {
        g_clear_pointer(&system->id, g_free);
        g_clear_pointer(&system->name, g_free);
        g_clear_pointer(&system->version, g_free);
}

/* Programs */

static JsonNode *parse_answer(const char *text) {
        g_autoptr(JsonNode) root = json_from_string(text, NULL);
        JsonObject *object =
                        root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
        JsonNode *answer = object ? json_object_get_member(object, "return") : NULL;

        return answer && JSON_NODE_HOLDS_OBJECT(answer) ? json_node_copy(answer) : NULL;
}

static void set_strange(GError **error, virDomainPtr domain) {
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                        "The agent of '%s' has answered something else than what it was asked",
                        virDomainGetName(domain));
}

/* "command" is taken. */
static JsonNode *ask(virDomainPtr domain, JsonBuilder *command, GError **error) {
        g_autoptr(JsonNode) root = json_builder_get_root(command);
        g_autofree char *text = json_to_string(root, false), *told = NULL;
        char *reply = virDomainQemuAgentCommand(domain, text, ANSWER_SECONDS, 0);
        virErrorPtr cause = reply ? NULL : virSaveLastError();
        JsonNode *answer;

        g_object_unref(command);
        if (!reply) {
                agent_error_take(error, cause, VIRTASK_ERROR_FAILED, virDomainGetName(domain),
                                &told);
                return NULL;
        }
        answer = parse_answer(reply);
        free(reply);
        if (!answer)
                set_strange(error, domain);
        return answer;
}

/* A command with its "arguments" begun. */
static JsonBuilder *begin(const char *name) {
        JsonBuilder *builder = json_builder_new();

        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "execute");
        json_builder_add_string_value(builder, name);
        json_builder_set_member_name(builder, "arguments");
        json_builder_begin_object(builder);
        return builder;
}

static JsonBuilder *end(JsonBuilder *builder) {
        json_builder_end_object(builder);
        json_builder_end_object(builder);
        return builder;
}

static bool get_number(JsonNode *answer, const char *name, gint64 *ret) {
        JsonNode *node = json_object_get_member(json_node_get_object(answer), name);

        if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
                return false;
        *ret = json_node_get_int(node);
        return true;
}

static char *get_output(JsonNode *answer) {
        JsonNode *node = json_object_get_member(json_node_get_object(answer), "out-data");
        const char *text = node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
        g_autofree char *bytes = NULL;
        g_autofree guchar *decoded = NULL;
        gsize size = 0;

        if (!text)
                return g_strdup("");
        decoded = g_base64_decode(text, &size);
        bytes = g_strndup((const char *) decoded, size);
        return agent_clean_text(bytes, OUTPUT_MAX, true);
}

static bool
start(virDomainPtr domain, const char *const *arguments, gint64 *ret_pid, GError **error) {
        g_autoptr(JsonNode) answer = NULL;
        JsonBuilder *builder = begin("guest-exec");

        json_builder_set_member_name(builder, "path");
        json_builder_add_string_value(builder, arguments[0]);
        json_builder_set_member_name(builder, "arg");
        json_builder_begin_array(builder);
        for (size_t i = 1; arguments[i]; i++)
                json_builder_add_string_value(builder, arguments[i]);
        json_builder_end_array(builder);
        json_builder_set_member_name(builder, "capture-output");
        json_builder_add_boolean_value(builder, TRUE);
        answer = ask(domain, end(builder), error);
        if (!answer)
                return false;
        if (get_number(answer, "pid", ret_pid))
                return true;
        set_strange(error, domain);
        return false;
}

static JsonNode *ask_status(virDomainPtr domain, gint64 pid, GError **error) {
        JsonBuilder *builder = begin("guest-exec-status");

        json_builder_set_member_name(builder, "pid");
        json_builder_add_int_value(builder, pid);
        return ask(domain, end(builder), error);
}

static bool has_exited(JsonNode *answer) {
        JsonNode *node = json_object_get_member(json_node_get_object(answer), "exited");

        return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_boolean(node);
}

bool agent_run(virDomainPtr domain, const char *const *arguments, AgentRun *ret, GError **error) {
        gint64 limit = g_get_monotonic_time() + RUN_USEC, pid, status;

        if (!start(domain, arguments, &pid, error))
                return false;
        for (;;) {
                g_autoptr(JsonNode) answer = ask_status(domain, pid, error);

                if (!answer)
                        return false;
                if (has_exited(answer)) {
                        ret->status = get_number(answer, "exitcode", &status) ? (int) status : -1;
                        ret->output = get_output(answer);
                        return true;
                }
                if (g_get_monotonic_time() > limit) {
                        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_TIMED_OUT,
                                        "A program in the guest of '%s' does not end",
                                        virDomainGetName(domain));
                        return false;
                }
                g_usleep(LOOK_USEC);
        }
}

void agent_run_clear(AgentRun *run) {
        g_clear_pointer(&run->output, g_free);
}
