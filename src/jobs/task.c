/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A task goes through its states in one direction:
 *
 *     waiting ─> queued ─> running ─> cancelling
 *        │         │          │           │
 *        └─────────┴──────────┴───────────┴──> succeeded, failed or cancelled
 *
 * Everything that the documents show twice (JobState and IsComplete, Result and ReturnValue, ...)
 * is computed here from the state and the error. The percent never falls and is 100 only after
 * success. */

#include "jobs/task.h"

#include <syslog.h>

#include "bus/bus-path.h"
#include "jobs/task-list.h"
#include "util/log.h"

#define IFACE_TASK "org.virtask1.Task"
#define IFACE_JOB  "org.virtask1.ConcreteJob"

#define LOG_LINES              200
#define BYTES_SIGNAL_USEC      G_USEC_PER_SEC /* between signals for bytes alone */
#define PERCENT_UNFINISHED_MAX 99
#define RATE_MEMORY_USEC       (3.0 * G_USEC_PER_SEC) /* what is older counts less than half */
#define RATE_FIRST_USEC        (0.3 * G_USEC_PER_SEC) /* before that it says little */

#define RETURN_VALUE_STARTED 4096

const PublishedProperty task_properties[] = {
                {IFACE_TASK, "IsComplete"},
                {IFACE_TASK, "IsCancelable"},
                {IFACE_TASK, "PercentCompleted"},
                {IFACE_TASK, "Result"},
                {IFACE_TASK, "ResultName"},
                {IFACE_TASK, "Error"},
                {IFACE_TASK, "ErrorName"},
                {IFACE_TASK, "ErrorDescription"},
                {IFACE_TASK, "ReturnValue"},
                {IFACE_TASK, "Objects"},
                {IFACE_TASK, "ResultObject"},
                {IFACE_TASK, "ProgressValid"},
                {IFACE_TASK, "StatusText"},
                {IFACE_TASK, "BytesTotal"},
                {IFACE_TASK, "BytesDone"},
                {IFACE_TASK, "Rate"},
                {IFACE_TASK, "StartTime"},
                {IFACE_TASK, "EndTime"},
                {IFACE_TASK, "ExpectedEndTime"},
                {IFACE_JOB, "JobState"},
                {IFACE_JOB, "DeleteOnCompletion"},
                {NULL, NULL},
};

static const char *const result_names[] = {
                "success",
                "cancelled",
                "unexpected-error",
                "out-of-memory",
                "disk-error",
                "incompatible-saved-state",
                "timeout",
                "illegal-value",
                "thread-crash",
                "shutdown-abort",
};

Task *task_alloc(TaskList *list, uint32_t id, const Operation *operation, uid_t owner) {
        Task *task = g_new0(Task, 1);

        task->list = list;
        task->id = id;
        task->path = bus_path_task(id);
        task->operation = operation;
        task->operational_status = operation->operational_status;
        task->owner = owner;
        task->status = g_strdup("");
        publication_init(
                        &task->publication, task_list_publisher(list), task->path, task_properties);
        return task;
}

static char *describe(const Operation *operation, bool from_saved, const char *name) {
        const char *gerund = from_saved && operation->gerund_saved ? operation->gerund_saved
                                                                   : operation->gerund;

        return name ? g_strdup_printf("%s %s", gerund, name) : g_strdup(gerund);
}

Task *task_new(TaskList *list, uint32_t id, const TaskSpec *spec) {
        Task *task = task_alloc(list, id, spec->operation, spec->owner);

        task->object = g_strdup(spec->object);
        if (spec->facts) {
                task->machine_name = g_strdup(spec->facts->name);
                task->from_saved = machine_state_from_facts(spec->facts) == MACHINE_SAVED;
                task->restores = task->from_saved;
        }
        task->owner_name = id ? g_strdup(task_list_user_name(list, spec->owner)) : NULL;
        if (spec->name)
                task->machine_name = g_strdup(spec->name);
        task->submitted = task->state_changed = g_get_real_time();
        task->description = describe(spec->operation, task->from_saved, task->machine_name);
        task->state = TASK_WAITING;
        task->call = sd_bus_message_ref(spec->call);
        task->reply = spec->reply;
        task->job = task_list_make_job(list, task, JOB_RUN, spec->facts ? spec->facts->uuid : "",
                        spec->facts, spec->request);
        return task;
}

static void log_line_free(void *data) {
        TaskLogLine *line = data;

        g_free(line->text);
        g_free(line);
}

Task *task_free(Task *task) {
        if (!task)
                return NULL;
        publication_clear(&task->publication);
        sd_event_source_disable_unref(task->expiry);
        sd_bus_message_unref(task->call);
        job_unref(task->job);
        g_clear_pointer(&task->part_ids, g_array_unref);
        g_clear_pointer(&task->parts, g_ptr_array_unref);
        g_clear_pointer(&task->results, g_hash_table_unref);
        g_clear_error(&task->error);
        g_queue_clear_full(&task->log, log_line_free);
        g_free(task->result_object);
        g_free(task->status);
        g_free(task->description);
        g_free(task->owner_name);
        g_free(task->machine_name);
        g_free(task->object);
        g_free(task->path);
        g_free(task);
        return NULL;
}

bool task_is_complete(const Task *task) {
        return task->state >= TASK_SUCCEEDED;
}

bool task_is_cancelable(const Task *task) {
        if (task_is_complete(task) || task->committed || task->whole_id)
                return false;
        if (task->state < TASK_RUNNING) /* what began in an earlier daemon has to be settled */
                return !task->started;
        return task->operation->flags & OPERATION_CANCELLABLE;
}

MachineState task_machine_state(const Task *task) {
        const Operation *operation = task->operation;

        if (task->restores && operation->during_saved)
                return operation->during_saved;
        return operation->during;
}

unsigned task_job_state(const Task *task) {
        switch (task->state) {
        case TASK_WAITING:
        case TASK_QUEUED:
                return 3;
        case TASK_RUNNING:
                return 4;
        case TASK_CANCELLING:
                return 6;
        case TASK_SUCCEEDED:
                return 7;
        case TASK_CANCELLED:
                return task->killed ? 9 : 8;
        case TASK_FAILED:
                return 10;
        }
        g_assert_not_reached();
}

TaskState task_end_state(const GError *error) {
        if (!error)
                return TASK_SUCCEEDED;
        return g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED) ? TASK_CANCELLED
                                                                              : TASK_FAILED;
}

unsigned task_job_type(const Task *task) {
        const Operation *operation = task->operation;

        return task->from_saved && operation->job_type_saved ? operation->job_type_saved
                                                             : operation->job_type;
}

unsigned task_result(const Task *task) {
        return task->error ? error_info_of(task->error)->result : 0;
}

const char *task_result_name(const Task *task) {
        return task_is_complete(task) ? result_names[task_result(task)] : "running";
}

unsigned task_return_value(const Task *task) {
        if (!task_is_complete(task))
                return RETURN_VALUE_STARTED;
        if (!task->error)
                return 0;
        return task->operation->flags & OPERATION_FAMILY_A ? error_info_of(task->error)->cim_a
                                                           : error_info_of(task->error)->cim_b;
}

const char *task_status_text(const Task *task) {
        if (task->state < TASK_RUNNING)
                return "queued";
        return task->state == TASK_CANCELLING ? "cancelling" : task->status;
}

void task_set_state(Task *task, TaskState state) {
        task->state = state;
        task->state_changed = g_get_real_time();
        if (state == TASK_RUNNING && !task->started) /* one that is taken over began before */
                task->started = task->state_changed;
        if (task->id)
                publication_touch(&task->publication,
                                TASK_JOB_STATE | TASK_STATUS_TEXT | TASK_IS_CANCELABLE |
                                                (state == TASK_RUNNING ? TASK_START_TIME : 0));
}

void task_set_status(Task *task, const char *text) {
        g_free(task->status);
        task->status = g_strdup(text);
        if (task->id)
                publication_touch(&task->publication, TASK_STATUS_TEXT);
}

void task_set_committed(Task *task) {
        task->committed = true;
        if (task->id)
                publication_touch(&task->publication, TASK_IS_CANCELABLE);
}

/* Bytes and time are forgotten at the same pace: what two samples close together, or a hole that is
 * passed in no time, say of the rate counts as little as the time between them. */
static void update_rate(Task *task, uint64_t done, gint64 now) {
        if (task->last_sample) {
                double elapsed = (double) (now - task->last_sample);
                double kept = RATE_MEMORY_USEC / (RATE_MEMORY_USEC + elapsed);

                task->recent_bytes = task->recent_bytes * kept + (double) (done - task->bytes_done);
                task->recent_usec = task->recent_usec * kept + elapsed;
        }
        if (task->recent_usec >= RATE_FIRST_USEC)
                task->rate = (uint64_t) (task->recent_bytes / task->recent_usec * G_USEC_PER_SEC);
        task->last_sample = now;
}

/* The signals for bytes ride on those for the percent; on their own they come once a second. */
static void announce_progress(Task *task, bool percent_changed, bool validity_changed, gint64 now) {
        uint64_t mask = TASK_BYTES_TOTAL | TASK_BYTES_DONE | TASK_RATE | TASK_EXPECTED_END_TIME;

        if (percent_changed)
                mask |= TASK_PERCENT;
        if (validity_changed)
                mask |= TASK_PROGRESS_VALID;
        if (!percent_changed && !validity_changed &&
                        now - task->last_bytes_signal < BYTES_SIGNAL_USEC)
                return;
        task->last_bytes_signal = now;
        publication_touch(&task->publication, mask);
}

/* It never falls, and is 100 only after success. */
static void show_percent(Task *task, unsigned percent) {
        bool was_valid = task->progress_valid;

        percent = CLAMP(percent, task->percent, PERCENT_UNFINISHED_MAX);
        task->progress_valid = true;
        announce_progress(task, percent != task->percent, !was_valid, g_get_monotonic_time());
        task->percent = percent;
}

void task_measured(Task *task, const Progress *progress) {
        gint64 now = g_get_monotonic_time();
        uint64_t done = MAX(MIN(progress->done, progress->total), task->bytes_done);
        unsigned percent;

        if (task->state != TASK_RUNNING || progress->total == 0)
                return;

        update_rate(task, done, now);
        task->bytes_done = done;
        task->bytes_total = MAX(progress->total, done);
        percent = (unsigned) ((double) done * 100 / (double) task->bytes_total);
        task->expected_end = 0;
        if (task->rate > 0)
                task->expected_end = g_get_real_time() +
                                     (gint64) ((double) (task->bytes_total - done) /
                                                     (double) task->rate * G_USEC_PER_SEC);

        show_percent(task, percent);
}

/* By bytes where all know theirs, otherwise each counts the same. */
void task_parts_measured(Task *task) {
        Progress sum = {0, 0};
        bool known = true;
        unsigned percent = 0;

        for (unsigned i = 0; i < task->parts->len; i++) {
                const Task *part = task->parts->pdata[i];

                known = known && (part->bytes_total > 0 || task_is_complete(part));
                percent += part->percent;
                sum.done += part->bytes_done;
                sum.total += part->bytes_total;
        }
        if (known && sum.total > 0)
                task_measured(task, &sum);
        else if (task->state == TASK_RUNNING && task->parts->len > 0)
                show_percent(task, percent / task->parts->len);
}

static void log_end(const Task *task) {
        const LogFields fields = {
                        .task = task->id,
                        .operation = task->operation->name,
                        .machine = task->machine_name,
                        .result = task_result_name(task),
                        .message_id = "6f0f3c3ab7a14a5d9d7e0c1f3ab0e7c2",
        };

        if (task->id)
                log_line(LOG_INFO, &fields, "%s: %s%s%s", task->description, task_result_name(task),
                                task->error ? ": " : "", task->error ? task->error->message : "");
}

void task_finish(Task *task) {
        Job *job = task->job;

        task->error = g_steal_pointer(&job->error);
        task->results = g_hash_table_ref(job->results);
        task->expected_end = 0;
        task_set_state(task, task_end_state(task->error));
        task->finished = task->state_changed;
        if (!task->error) {
                task->percent = 100;
                /* Nobody asked one that was quick how far it is. */
                task->bytes_total = MAX(task->bytes_total, atomic_load(&job->total));
                task->bytes_done = task->bytes_total;
        }
        if (!task->error && job->result_object) {
                g_free(task->result_object);
                task->result_object = g_steal_pointer(&job->result_object);
        }
        g_free(task->status);
        task->status = g_strdup("");
        task_log(task, task->error ? LOG_ERR : LOG_INFO,
                        task->error ? task->error->message : "done");
        log_end(task);
        if (!task->id)
                return;

        /* The log is for the owner and root, the description of the error for everybody: libvirt
         * and QEMU like to name files of the definition. */
        error_hide_paths(task->error);
        publication_touch(&task->publication,
                        TASK_IS_COMPLETE | TASK_RESULT | TASK_RESULT_NAME | TASK_RETURN_VALUE |
                                        TASK_OBJECTS | TASK_STATUS_TEXT | TASK_END_TIME |
                                        TASK_EXPECTED_END_TIME | TASK_BYTES_DONE |
                                        TASK_BYTES_TOTAL |
                                        (task->error ? TASK_ERROR | TASK_ERROR_NAME | TASK_ERROR_DESCRIPTION
                                                     : TASK_PERCENT) |
                                        (task->result_object ? TASK_RESULT_OBJECT : 0));
}

void task_log(Task *task, int priority, const char *text) {
        TaskLogLine *line = g_new(TaskLogLine, 1);

        *line = (TaskLogLine){g_get_real_time(), priority, g_strdup(text)};
        g_queue_push_tail(&task->log, line);
        if (task->log.length > LOG_LINES)
                log_line_free(g_queue_pop_head(&task->log));
}
