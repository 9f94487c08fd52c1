/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The worker's half of a task. An operation sees its Job and nothing else of the daemon; what it
 * learns goes back when it returns. */

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "backend/backend.h"
#include "jobs/ledger.h"
#include "jobs/operation.h"
#include "jobs/pool.h"

typedef struct CollectionStore CollectionStore;

typedef enum JobFate {
        JOB_OPEN,
        JOB_CANCELLED, /* a client was first */
        JOB_COMMITTED, /* the worker was first: too late to cancel */
} JobFate;

typedef enum JobMode {
        JOB_RUN,
        JOB_SETTLE, /* taken over from a daemon that is no more, or the connection was lost */
} JobMode;

/* Called on the loop, in the order of the worker's calls; "text" is freed afterwards. */
typedef struct JobHooks {
        void (*committed)(void *owner);
        void (*status)(void *owner, const char *text);
        void (*log)(void *owner, int priority, const char *text);
        void (*operational_status)(void *owner, unsigned status);
        void (*ended)(void *owner); /* a part, see job_end_part() */
} JobHooks;

struct Job {
        unsigned references; /* loop only: the task, and each question that is under way */
        const Operation *operation;
        JobMode mode;
        Backend *backend;
        CollectionStore *collections;
        Mailbox *mailbox;
        const JobHooks *hooks;
        void *owner;    /* of the hooks; not for the worker */
        Ledger *ledger; /* of the record "id" to be synced first; NULL: none */
        uint32_t id;
        uid_t caller;                      /* whose rights open what he has named */
        char uuid[VIR_UUID_STRING_BUFLEN]; /* of the machine, "" for an operation of the Manager */
        MachineFacts *before;              /* what was known when the job was made; may be NULL */
        void *request;                     /* begins with a Request */
        _Atomic int fate;                  /* JobFate */
        _Atomic bool disowned;
        _Atomic uint64_t done, total; /* of job_progress() */
        bool counts_no_more;          /* see job_stop_counting() */
        _Atomic int64_t ask_after;    /* of job_do_not_ask(), g_get_monotonic_time() */
        GHashTable *memory;           /* key -> text, of job_remember(); worker */
        GPtrArray *parts;             /* of Job, referenced: of sub-tasks; NULL without */
        bool insists;     /* a part: if an interruption left nothing of it, it is run again */
        bool memory_lost; /* it can't be read any more */

        /* Written by run() and settle(), read on the loop after they have returned. */
        bool succeeded;
        GError *error;
        gint64 read_at;      /* when the last look at the machine began, as MachineFacts.read_at */
        bool gone;           /* the machine is no more */
        MachineFacts *after; /* NULL if they can't be read */
        GHashTable *results; /* key -> text, for GetResults */
        char *result_object; /* path of what was made, for ResultObject; NULL: nothing */
        GPtrArray *images; /* what is known of it if it is a hard disk, with all that it rests on */
        bool ended;        /* a part: it has been reported */

        PoolWork work;
};

/* For the task: "request" is taken, "before" is copied. Loop. */
Job *job_new(const Operation *operation,
                JobMode mode,
                Backend *backend,
                Mailbox *mailbox,
                const char *uuid,
                const MachineFacts *before,
                Request *request);
Job *job_ref(Job *job);
Job *job_unref(Job *job);

/* Runs or settles the operation, waits for a connection that was lost on the way, and reads the
 * facts once more. The work of the pool. Worker. */
void job_execute(Job *job);

/* The point of no return: true if nobody has cancelled; from then on nobody can. Worker. */
bool job_commit(Job *job);

/* Worker. */
bool job_is_cancelled(Job *job);

/* The machine is another task's: nothing may be undone on it, or stopped, any more. Disown: loop;
 * is: any thread. */
void job_disown(Job *job);
bool job_is_disowned(Job *job);

/* What settle() has to know and can't see, not even after a power cut: a text under a
 * key of letters. Takes milliseconds. Worker. */
bool job_remember(Job *job, const char *key, const char *value, GError **error);

/* What run() remembered, or NULL. Worker. */
const char *job_recall(const Job *job, const char *key);

/* The same for a list of texts, which may hold newlines; what was not remembered is an empty one.
 */
bool job_remember_list(Job *job, const char *key, const char *const *list, GError **error);
char **job_recall_list(const Job *job, const char *key);

/* How far run() is, where nobody else can be asked: job_counted() is the operation's progress()
 * then. Worker; job_counted(): any. */
void job_progress(Job *job, uint64_t done, uint64_t total);
bool job_counted(Job *job, Progress *ret);

/* What follows does not count: job_progress() does nothing any more. Worker. */
void job_stop_counting(Job *job);

/* For the next milliseconds a question about the job would wait for what it asks about; progress()
 * and cancel() look at job_may_ask(). Any thread. */
void job_do_not_ask(Job *job, unsigned milliseconds);
bool job_may_ask(Job *job);

/* The part of a sub-task, on the worker of the whole. job_run_part() does what the pool does with
 * other jobs: runs the operation, or settles it; "error" is a copy of the part's. job_end_part() is
 * for a part that was not run but worked on: "error" (taken) is its outcome, NULL success. Parts
 * that have not ended when run() or settle() of the whole returns end with its error. Worker; any
 * thread for different parts. */
bool job_run_part(Job *part, GError **error);
void job_end_part(Job *part, GError *error);

/* Waits; for settle(), which has to look again and again. Worker. */
void job_wait(Job *job, unsigned milliseconds);

/* What the job is doing, for Task.StatusText. Worker. */
void job_status(Job *job, const char *text);

/* What the machine shows as OperationalStatus[1] from now on. Worker. */
void job_operational_status(Job *job, uint16_t status);

/* A line of the task's log, which only its owner and root may read. Worker. */
void job_log(Job *job, int priority, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* An entry of Task.GetResults. Worker. */
void job_result(Job *job, const char *key, const char *value);
