/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The life of a task, as clients see it. No bus code, no threads. Loop. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "bus/publisher.h"
#include "jobs/job.h"

typedef struct Task Task;
typedef struct TaskList TaskList;

typedef enum TaskState {
        TASK_WAITING, /* for its machine (option Queue) */
        TASK_QUEUED,  /* for a thread */
        TASK_RUNNING,
        TASK_CANCELLING, /* until the worker has come home */
        TASK_SUCCEEDED,
        TASK_FAILED,
        TASK_CANCELLED,
} TaskState;

/* How the call of an immediate operation is answered. */
typedef enum TaskReply {
        TASK_REPLY_NOTHING,
        TASK_REPLY_OBJECT,
        TASK_REPLY_STATE_CHANGE, /* return value 0 and no task */
} TaskReply;

/* Entries of task_properties, in its order. */
enum {
        TASK_IS_COMPLETE = 1 << 0,
        TASK_IS_CANCELABLE = 1 << 1,
        TASK_PERCENT = 1 << 2,
        TASK_RESULT = 1 << 3,
        TASK_RESULT_NAME = 1 << 4,
        TASK_ERROR = 1 << 5,
        TASK_ERROR_NAME = 1 << 6,
        TASK_ERROR_DESCRIPTION = 1 << 7,
        TASK_RETURN_VALUE = 1 << 8,
        TASK_OBJECTS = 1 << 9,
        TASK_RESULT_OBJECT = 1 << 10,
        TASK_PROGRESS_VALID = 1 << 11,
        TASK_STATUS_TEXT = 1 << 12,
        TASK_BYTES_TOTAL = 1 << 13,
        TASK_BYTES_DONE = 1 << 14,
        TASK_RATE = 1 << 15,
        TASK_START_TIME = 1 << 16,
        TASK_END_TIME = 1 << 17,
        TASK_EXPECTED_END_TIME = 1 << 18,
        TASK_JOB_STATE = 1 << 19,
        TASK_DELETE_ON_COMPLETION = 1 << 20,
};

extern const PublishedProperty task_properties[];

typedef struct TaskLogLine {
        gint64 time; /* microseconds of CLOCK_REALTIME */
        int priority;
        char *text;
} TaskLogLine;

struct Task {
        TaskList *list;
        uint32_t id; /* 0: immediate, not on the bus and not in the ledger */
        char *path;
        const Operation *operation;
        char *object; /* path of the machine or manager it was called on */
        char *machine_name;
        bool from_saved; /* the machine was saved when the task was made: what Description says */
        bool restores;   /* the same when it began, which may be later */
        char *description;
        uid_t owner;
        char *owner_name;

        TaskState state;
        uint16_t operational_status; /* what its machine shows as OperationalStatus[1], or 0 */
        bool committed;              /* can't be cancelled any more */
        bool killed;                 /* cancelled by Kill instead of Terminate */
        unsigned percent;
        bool progress_valid;
        uint64_t bytes_total, bytes_done, rate;
        double recent_bytes, recent_usec; /* of which "rate" is the quotient */
        gint64 submitted, started, finished, expected_end,
                        state_changed;         /* CLOCK_REALTIME, 0: not yet */
        gint64 last_sample, last_bytes_signal; /* CLOCK_MONOTONIC */
        char *status;
        GError *error;
        char *result_object; /* NULL: none */
        GHashTable *results; /* key -> text; NULL before the end */
        GQueue log;          /* of TaskLogLine */
        bool keep;           /* DeleteOnCompletion is false */

        uint32_t whole_id; /* ID of the task that this one is a part of; 0: none */
        GArray *part_ids;  /* uint32_t, of its parts; NULL without */
        Task *whole;       /* while that is unfinished */
        GPtrArray *parts;  /* of Task, not owned, while it is unfinished; NULL without */
        bool home;         /* its job has ended; it waits for its parts */

        Job *job;             /* NULL once finished */
        sd_bus_message *call; /* an immediate operation's, to be answered at the end */
        TaskReply reply;
        struct Retention *retention; /* once finished */
        sd_event_source *expiry;     /* its */
        GQueue waiters;              /* of Waiter, see waiter.h */
        Publication publication;
};

/* What a new task is made of. "request" is taken; the rest is copied. */
typedef struct TaskSpec TaskSpec;

struct TaskSpec {
        const Operation *operation;
        const char *object;
        const MachineFacts *facts; /* of the machine; NULL for the Manager */
        uid_t owner;
        Request *request;
        sd_bus_message *call; /* only for an immediate operation */
        TaskReply reply;
        const char *name;       /* of the object, where it is no machine; or NULL */
        const GPtrArray *parts; /* of TaskSpec, for the sub-tasks; NULL without */
};

/* An empty task in TASK_WAITING, for task_new() and task_load(). */
Task *task_alloc(TaskList *list, uint32_t id, const Operation *operation, uid_t owner);

Task *task_new(TaskList *list, uint32_t id, const TaskSpec *spec);

/* For the list only, which knows where else the task is. */
Task *task_free(Task *task);

bool task_is_complete(const Task *task);
bool task_is_cancelable(const Task *task);

/* The state that the task's machine shows, MACHINE_INVALID for none of its own. */
MachineState task_machine_state(const Task *task);

/* The numbers and words of the documents. */
unsigned task_job_state(const Task *task);
unsigned task_job_type(const Task *task);
unsigned task_result(const Task *task);
TaskState task_end_state(const GError *error); /* NULL: success */
const char *task_result_name(const Task *task);
unsigned task_return_value(const Task *task);
const char *task_status_text(const Task *task);

/* Changes; each touches the publication. */
void task_set_state(Task *task, TaskState state);
void task_set_status(Task *task, const char *text);
void task_set_committed(Task *task);
void task_measured(Task *task, const Progress *progress);
void task_parts_measured(Task *task); /* takes the progress from its parts */
void task_finish(Task *task);         /* takes the outcome from the job */
void task_log(Task *task, int priority, const char *text);

/* To and from the ledger. task_load() gives NULL for a record of something that this version does
 * not know; an unfinished task comes back with a job that settles it. */
GKeyFile *task_store(const Task *task);
Task *task_load(TaskList *list, uint32_t id, GKeyFile *record, const Operation *const *operations);
