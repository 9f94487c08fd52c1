/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Task and ConcreteJob on the bus: two views of one object. Getters read memory and never fail, or
 * GetManagedObjects would fail for everybody. Waiters are parked messages: each has a timer and
 * leaves with its sender. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus-error.h"
#include "bus/bus-object.h"
#include "bus/bus-path.h"
#include "bus/bus-property.h"
#include "jobs/task-list.h"
#include "jobs/waiter.h"

#define IFACE_TASK "org.virtask1.Task"
#define IFACE_JOB  "org.virtask1.ConcreteJob"

#define ELEMENT_EXCLUSIVE_USE 2 /* ElementEffects */

/* Return values of ConcreteJob.RequestStateChange */
enum {
        CHANGE_NOT_SUPPORTED = 1,
        CHANGE_INVALID_PARAMETER = 5,
        CHANGE_STARTED = 4096,
        CHANGE_INVALID_TRANSITION = 4097,
        CHANGE_NO_TIMEOUT = 4098,
};

/* RequestedState of a job */
enum {
        JOB_REQUEST_START = 2,
        JOB_REQUEST_SUSPEND = 3,
        JOB_REQUEST_TERMINATE = 4,
        JOB_REQUEST_KILL = 5,
        JOB_REQUEST_SERVICE = 6,
};

/* Permissions */

/* Whoever started a task may do with it what he likes; others need org.virtask1.cancel-others. */
static Verdict check_owner_or_action(Task *task, sd_bus_message *call, GError **error) {
        const TaskListContext *context = task_list_context(task->list);
        g_autofree char *id = g_strdup_printf("%u", task->id);
        char machine[UUID_STRING_SIZE] = "";
        const char *details[] = {"operation", task->operation->name, "task", id, "task-owner",
                        task->owner_name, "uuid", machine, "vm", task->machine_name ?: "", NULL};
        uid_t uid;

        (void) bus_path_to_machine(task->object, machine);
        if (!peer_uid(context->peers, call, &uid, error))
                return VERDICT_DENIED;
        if (uid == task->owner)
                return VERDICT_ALLOWED;
        return authorizer_check(
                        context->authorizer, call, "org.virtask1.cancel-others", details, error);
}

static bool check_owner_or_root(Task *task, sd_bus_message *call, GError **error) {
        uid_t uid;

        if (!peer_uid(task_list_context(task->list)->peers, call, &uid, error))
                return false;
        if (uid == task->owner || uid == 0)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_ACCESS_DENIED,
                        "Only its owner and root may read this of a task");
        return false;
}

/* Methods of Task */

static int method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        Task *task = userdata;
        GError *error = NULL;
        Verdict verdict = check_owner_or_action(task, call, &error);

        if (verdict == VERDICT_PENDING)
                return 1;
        if (verdict == VERDICT_DENIED || !task_list_cancel(task->list, task, false, &error))
                return bus_error_take(ret_error, error);
        return sd_bus_reply_method_return(call, NULL);
}

static int method_remove(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        Task *task = userdata;
        GError *error = NULL;
        Verdict verdict = check_owner_or_action(task, call, &error);

        if (verdict == VERDICT_PENDING)
                return 1;
        if (verdict == VERDICT_DENIED || !task_list_remove(task->list, task, &error))
                return bus_error_take(ret_error, error);
        return sd_bus_reply_method_return(call, NULL);
}

static int wait_for(sd_bus_message *call, Task *task, WaiterKind kind, sd_bus_error *ret_error) {
        GError *error = NULL;
        int32_t timeout;
        int r = sd_bus_message_read(call, "i", &timeout);

        if (r < 0)
                return r;
        if (!waiter_add(task, call, kind, timeout, &error))
                return bus_error_take(ret_error, error);
        return 1;
}

static int method_wait_for_completion(
                sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        return wait_for(call, userdata, WAITER_COMPLETION, ret_error);
}

static int method_wait_for_success(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        return wait_for(call, userdata, WAITER_SUCCESS, ret_error);
}

static int append_log(sd_bus_message *reply, const Task *task, uint32_t skip) {
        int r = sd_bus_message_open_container(reply, 'a', "(tus)");

        for (GList *link = task->log.head; r >= 0 && link; link = link->next) {
                const TaskLogLine *line = link->data;

                if (skip > 0) {
                        skip--;
                        continue;
                }
                r = sd_bus_message_append(reply, "(tus)", (uint64_t) line->time,
                                (unsigned) line->priority, line->text);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_get_log(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        Task *task = userdata;
        GError *error = NULL;
        uint32_t skip;
        int r = sd_bus_message_read(call, "u", &skip);

        if (r < 0)
                return r;
        if (!check_owner_or_root(task, call, &error))
                return bus_error_take(ret_error, error);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = append_log(reply, task, skip);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int append_results(sd_bus_message *reply, const Task *task) {
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");
        GHashTableIter iter;
        void *key, *value;

        if (task->results) {
                g_hash_table_iter_init(&iter, task->results);
                while (r >= 0 && g_hash_table_iter_next(&iter, &key, &value))
                        r = sd_bus_message_append(reply, "{sv}", key, "s", value);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_get_results(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        Task *task = userdata;
        GError *error = NULL;
        int r;

        if (!check_owner_or_root(task, call, &error))
                return bus_error_take(ret_error, error);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = append_results(reply, task);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_get_error_description(
                sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        const Task *task = userdata;
        const char *locale;
        int r = sd_bus_message_read(call, "s", &locale);

        if (r < 0)
                return r;
        return sd_bus_reply_method_return(call, "s",
                        task->error ? error_meaning((VirtaskError) task->error->code, locale) : "");
}

/* Methods of ConcreteJob */

static unsigned request_state_change(Task *task, unsigned requested) {
        switch (requested) {
        case JOB_REQUEST_TERMINATE:
        case JOB_REQUEST_KILL:
                if (task_list_cancel(task->list, task, requested == JOB_REQUEST_KILL, NULL))
                        return CHANGE_STARTED;
                return CHANGE_INVALID_TRANSITION;
        case JOB_REQUEST_START:
        case JOB_REQUEST_SUSPEND:
        case JOB_REQUEST_SERVICE:
                return CHANGE_NOT_SUPPORTED;
        default:
                return CHANGE_INVALID_PARAMETER;
        }
}

static int method_request_state_change(
                sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        Task *task = userdata;
        GError *error = NULL;
        uint16_t requested;
        uint64_t timeout;
        Verdict verdict;
        int r = sd_bus_message_read(call, "qt", &requested, &timeout);

        if (r < 0)
                return r;
        if (timeout != 0)
                return sd_bus_reply_method_return(call, "u", CHANGE_NO_TIMEOUT);
        verdict = check_owner_or_action(task, call, &error);
        if (verdict == VERDICT_PENDING)
                return 1;
        if (verdict == VERDICT_DENIED)
                return bus_error_take(ret_error, error);
        return sd_bus_reply_method_return(call, "u", request_state_change(task, requested));
}

static int method_set_delete_on_completion(
                sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        Task *task = userdata;
        GError *error = NULL;
        Verdict verdict;
        int value, r;

        r = sd_bus_message_read(call, "b", &value);
        if (r < 0)
                return r;
        verdict = check_owner_or_action(task, call, &error);
        if (verdict == VERDICT_PENDING)
                return 1;
        if (verdict == VERDICT_DENIED || !task_list_keep(task->list, task, !value, &error))
                return bus_error_take(ret_error, error);
        return sd_bus_reply_method_return(call, NULL);
}

/* CIMStatusCode of Msvm_Error */
static unsigned cim_status(const ErrorInfo *info) {
        switch (info->hresult) {
        case 0x80070005:
                return 2; /* access denied */
        case 0x80070057:
                return 4; /* invalid parameter */
        case 0xA0040207:
        case 0x80070002:
        case 0x80070490:
                return 6; /* not found */
        case 0x80070032:
                return 7; /* not supported */
        default:
                return 1; /* failed */
        }
}

static int method_get_error(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        const Task *task = userdata;
        const ErrorInfo *info;

        if (!task->error)
                return sd_bus_reply_method_return(call, "a{sv}", 0);
        info = error_info_of(task->error);
        return sd_bus_reply_method_return(call, "a{sv}", 8, "ErrorName", "s", info->name,
                        "MessageID", "s", *info->symbol ? info->symbol : info->name, "Message", "s",
                        task->error->message, "HResult", "u", info->hresult, "CIMStatusCode", "u",
                        cim_status(info), "PerceivedSeverity", "q", 4, "ErrorType", "q", 4,
                        "ProbableCause", "q", 0);
}

/* Properties */

#define TEXT_GETTER(...)   TEXT_GETTER_OF(const Task *task, __VA_ARGS__)
#define NUMBER_GETTER(...) NUMBER_GETTER_OF(const Task *task, __VA_ARGS__)

static const char *error_name(const Task *task) {
        return task->error ? error_info_of(task->error)->name : "";
}

static uint64_t elapsed(const Task *task) {
        gint64 end = task->finished ? task->finished : g_get_real_time();

        return task->started ? (uint64_t) MAX(end - task->started, 0) : 0;
}

NUMBER_GETTER(is_complete, 'b', int, task_is_complete(task))
NUMBER_GETTER(is_cancelable, 'b', int, task_is_cancelable(task))
NUMBER_GETTER(result, 'u', uint32_t, task_result(task))
TEXT_GETTER(result_name, 's', task_result_name(task))
NUMBER_GETTER(error, 'u', uint32_t, task->error ? error_info_of(task->error)->hresult : 0)
TEXT_GETTER(error_name, 's', error_name(task))
TEXT_GETTER(error_description, 's', task->error ? task->error->message : "")
TEXT_GETTER(error_summary, 's', task->error ? error_info_of(task->error)->meaning : "")
NUMBER_GETTER(error_code, 'q', uint16_t, task->error ? task_return_value(task) : 0)
NUMBER_GETTER(return_value, 'u', uint32_t, task_return_value(task))
TEXT_GETTER(operation, 's', task->operation->name)
TEXT_GETTER(result_object, 'o', task->result_object ?: "/")
NUMBER_GETTER(progress_valid, 'b', int, task->progress_valid)
TEXT_GETTER(status_text, 's', task_status_text(task))
NUMBER_GETTER(job_state, 'q', uint16_t, task_job_state(task))
NUMBER_GETTER(job_type, 'q', uint16_t, task_job_type(task))
NUMBER_GETTER(percent_complete, 'q', uint16_t, task->percent)
NUMBER_GETTER(elapsed_time, 't', uint64_t, elapsed(task))
NUMBER_GETTER(time_before_removal,
                't',
                uint64_t,
                task_list_context(task->list)->limits.retention_usec)
NUMBER_GETTER(delete_on_completion, 'b', int, !task->keep)

GETTER(affected_elements) {
        const Task *task = userdata;

        return sd_bus_message_append(reply, "a(oq)", 1, task->object, ELEMENT_EXCLUSIVE_USE);
}

GETTER(objects) {
        const Task *task = userdata;

        int r = sd_bus_message_open_container(reply, 'a', "o");

        if (r >= 0 && !task_is_complete(task))
                r = sd_bus_message_append_basic(reply, 'o', task->object);
        for (unsigned i = 0; r >= 0 && task->parts && i < task->parts->len; i++)
                r = sd_bus_message_append_basic(
                                reply, 'o', ((Task *) task->parts->pdata[i])->object);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(parent) {
        const Task *task = userdata;
        g_autofree char *whole = task->whole_id ? bus_path_task(task->whole_id) : NULL;

        return sd_bus_message_append_basic(reply, 'o', whole ?: "/");
}

GETTER(sub_tasks) {
        const Task *task = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (unsigned i = 0; r >= 0 && task->part_ids && i < task->part_ids->len; i++) {
                g_autofree char *part = bus_path_task(g_array_index(task->part_ids, uint32_t, i));

                r = sd_bus_message_append_basic(reply, 'o', part);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

GETTER(instance_id) {
        const Task *task = userdata;
        g_autofree char *text = NULL;
        sd_id128_t boot;
        char boot_text[SD_ID128_STRING_MAX];

        if (sd_id128_get_boot(&boot) < 0)
                boot = SD_ID128_NULL;
        text = g_strdup_printf("Virtask:%s:%u", sd_id128_to_string(boot, boot_text), task->id);
        return sd_bus_message_append(reply, "s", text);
}

/* clang-format off */
static const sd_bus_vtable task_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Cancel", NULL, NULL, method_cancel, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("WaitForCompletion", SD_BUS_ARGS("i", timeout_ms), SD_BUS_RESULT("b", completed), method_wait_for_completion, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("WaitForSuccess", SD_BUS_ARGS("i", timeout_ms), SD_BUS_RESULT("o", result), method_wait_for_success, UNPRIVILEGED),
        SD_BUS_METHOD("Remove", NULL, NULL, method_remove, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetLog", SD_BUS_ARGS("u", skip), SD_BUS_RESULT("a(tus)", lines), method_get_log, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetResults", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", results), method_get_results, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetErrorDescription", SD_BUS_ARGS("s", locale), SD_BUS_RESULT("s", text), method_get_error_description, UNPRIVILEGED),
        SD_BUS_PROPERTY("ID", "u", NULL, offsetof(Task, id), CONST),
        SD_BUS_PROPERTY("Description", "s", NULL, offsetof(Task, description), CONST),
        SD_BUS_PROPERTY("IsComplete", "b", property_get_is_complete, 0, EMITS),
        SD_BUS_PROPERTY("IsCancelable", "b", property_get_is_cancelable, 0, EMITS),
        SD_BUS_PROPERTY("PercentCompleted", "u", NULL, offsetof(Task, percent), EMITS),
        SD_BUS_PROPERTY("Result", "u", property_get_result, 0, EMITS),
        SD_BUS_PROPERTY("ResultName", "s", property_get_result_name, 0, EMITS),
        SD_BUS_PROPERTY("Error", "u", property_get_error, 0, EMITS),
        SD_BUS_PROPERTY("ErrorName", "s", property_get_error_name, 0, EMITS),
        SD_BUS_PROPERTY("ErrorDescription", "s", property_get_error_description, 0, EMITS),
        SD_BUS_PROPERTY("ReturnValue", "u", property_get_return_value, 0, EMITS),
        SD_BUS_PROPERTY("Operation", "s", property_get_operation, 0, CONST),
        SD_BUS_PROPERTY("Subject", "o", NULL, offsetof(Task, object), CONST),
        SD_BUS_PROPERTY("Parent", "o", property_get_parent, 0, CONST),
        SD_BUS_PROPERTY("SubTasks", "ao", property_get_sub_tasks, 0, CONST),
        SD_BUS_PROPERTY("Objects", "ao", property_get_objects, 0, EMITS),
        SD_BUS_PROPERTY("ResultObject", "o", property_get_result_object, 0, EMITS),
        SD_BUS_PROPERTY("AffectedElements", "a(oq)", property_get_affected_elements, 0, CONST),
        SD_BUS_PROPERTY("ProgressValid", "b", property_get_progress_valid, 0, EMITS),
        SD_BUS_PROPERTY("StatusText", "s", property_get_status_text, 0, EMITS),
        SD_BUS_PROPERTY("BytesTotal", "t", NULL, offsetof(Task, bytes_total), EMITS),
        SD_BUS_PROPERTY("BytesDone", "t", NULL, offsetof(Task, bytes_done), EMITS),
        SD_BUS_PROPERTY("Rate", "t", NULL, offsetof(Task, rate), EMITS),
        SD_BUS_PROPERTY("SubmitTime", "t", NULL, offsetof(Task, submitted), CONST),
        SD_BUS_PROPERTY("StartTime", "t", NULL, offsetof(Task, started), EMITS),
        SD_BUS_PROPERTY("EndTime", "t", NULL, offsetof(Task, finished), EMITS),
        SD_BUS_PROPERTY("ExpectedEndTime", "t", NULL, offsetof(Task, expected_end), EMITS),
        SD_BUS_PROPERTY("OwnerUid", "u", NULL, offsetof(Task, owner), CONST),
        SD_BUS_PROPERTY("Owner", "s", NULL, offsetof(Task, owner_name), CONST),
        SD_BUS_SIGNAL_WITH_ARGS("Completed", SD_BUS_ARGS("u", result, "u", error, "s", error_name, "s", message), 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable job_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("RequestStateChange", SD_BUS_ARGS("q", requested_state, "t", timeout_usec), SD_BUS_RESULT("u", return_value), method_request_state_change, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetError", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", error), method_get_error, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetDeleteOnCompletion", SD_BUS_ARGS("b", value), SD_BUS_NO_RESULT, method_set_delete_on_completion, UNPRIVILEGED),
        SD_BUS_PROPERTY("InstanceID", "s", property_get_instance_id, 0, CONST),
        SD_BUS_PROPERTY("JobState", "q", property_get_job_state, 0, EMITS),
        SD_BUS_PROPERTY("JobStatus", "s", property_get_status_text, 0, 0),
        SD_BUS_PROPERTY("JobType", "q", property_get_job_type, 0, CONST),
        SD_BUS_PROPERTY("PercentComplete", "q", property_get_percent_complete, 0, 0),
        SD_BUS_PROPERTY("Cancellable", "b", property_get_is_cancelable, 0, 0),
        SD_BUS_PROPERTY("ErrorCode", "q", property_get_error_code, 0, 0),
        SD_BUS_PROPERTY("ErrorDescription", "s", property_get_error_description, 0, 0),
        SD_BUS_PROPERTY("ErrorSummaryDescription", "s", property_get_error_summary, 0, 0),
        SD_BUS_PROPERTY("TimeSubmitted", "t", NULL, offsetof(Task, submitted), CONST),
        SD_BUS_PROPERTY("ElapsedTime", "t", property_get_elapsed_time, 0, 0),
        SD_BUS_PROPERTY("TimeOfLastStateChange", "t", NULL, offsetof(Task, state_changed), 0),
        SD_BUS_PROPERTY("TimeBeforeRemoval", "t", property_get_time_before_removal, 0, CONST),
        SD_BUS_PROPERTY("DeleteOnCompletion", "b", property_get_delete_on_completion, 0, EMITS),
        SD_BUS_PROPERTY("Owner", "s", NULL, offsetof(Task, owner_name), CONST),
        SD_BUS_VTABLE_END
};
/* clang-format on */

/* Objects */

static int find_task(sd_bus *bus,
                const char *path,
                const char *interface,
                void *userdata,
                void **ret_found,
                sd_bus_error *ret_error) {
        TaskList *list = userdata;
        uint32_t id;

        if (!bus_path_to_task(path, &id))
                return 0;
        *ret_found = task_list_find(list, id);
        return *ret_found != NULL;
}

static int enumerate_tasks(sd_bus *bus,
                const char *prefix,
                void *userdata,
                char ***ret_nodes,
                sd_bus_error *ret_error) {
        g_autoptr(GList) tasks = task_list_all(userdata);
        /* sd-bus frees it with free(). */
        char **nodes = calloc(g_list_length(tasks) + 1, sizeof(char *));
        unsigned n = 0;

        if (!nodes)
                return -ENOMEM;
        for (GList *link = tasks; link; link = link->next)
                nodes[n++] = strdup(((Task *) link->data)->path);
        *ret_nodes = nodes;
        return 0;
}

int task_list_publish(TaskList *list) {
        sd_bus *bus = task_list_context(list)->bus;
        int r;

        r = sd_bus_add_fallback_vtable(
                        bus, NULL, PATH_TASKS, IFACE_TASK, task_vtable, find_task, list);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(
                                bus, NULL, PATH_TASKS, IFACE_JOB, job_vtable, find_task, list);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(bus, NULL, PATH_TASKS, enumerate_tasks, list);
        return r;
}

static const BusInterface interfaces[] = {
                {IFACE_TASK, task_vtable},
                {IFACE_JOB, job_vtable},
                {NULL, NULL},
};

int task_append(Task *task, sd_bus_message *message) {
        return bus_append_object(message, task->path, interfaces, task);
}

int task_emit_added(Task *task) {
        return bus_emit_added(
                        task_list_context(task->list)->bus, BUS_ROOT, task->path, interfaces, task);
}

int task_emit_removed(Task *task) {
        return sd_bus_emit_interfaces_removed(task_list_context(task->list)->bus, task->path,
                        IFACE_TASK, IFACE_JOB, NULL);
}

int task_emit_completed(Task *task) {
        return sd_bus_emit_signal(task_list_context(task->list)->bus, task->path, IFACE_TASK,
                        "Completed", "uuss", task_result(task),
                        task->error ? error_info_of(task->error)->hresult : 0, error_name(task),
                        task->error ? task->error->message : "");
}
