/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What happens around an operation's run(), on its worker:
 *
 *     run() or settle() ── connection lost? ── wait until it is back ── settle() ── read the facts
 * ── hand back
 *
 * A lost connection is not the end of an operation: libvirtd may have carried it out, or may be
 * doing so, and the task shall end with the truth. settle() finds it out; it is the same code that
 * takes a task over from a daemon that was killed. */

#include "jobs/job.h"

#include <syslog.h>
#include <time.h>

#include "util/log.h"

/* How long a task waits for a hypervisor that went away. After that nobody can tell what became of
 * it. */
#define RECONNECT_USEC (300 * G_USEC_PER_SEC)
#define FOREVER_USEC                                                                               \
        (INT64_C(365 * 24 * 60 * 60) * G_USEC_PER_SEC) /* for what an earlier daemon left */
#define SETTLE_ROUNDS 100 /* lost connections that one task lives through */
#define SETTLE_MSEC   200 /* between them */

Job *job_new(const Operation *operation,
                JobMode mode,
                Backend *backend,
                Mailbox *mailbox,
                const char *uuid,
                const MachineFacts *before,
                Request *request) {
        Job *job = g_new0(Job, 1);

        job->references = 1;
        job->operation = operation;
        job->mode = mode;
        job->backend = backend;
        job->mailbox = mailbox;
        job->request = request;
        job->before = before ? facts_copy(before) : NULL;
        job->memory = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        job->results = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_strlcpy(job->uuid, uuid, sizeof(job->uuid));
        return job;
}

Job *job_ref(Job *job) {
        job->references++;
        return job;
}

Job *job_unref(Job *job) {
        if (!job || --job->references > 0)
                return NULL;
        operation_request_free(job->operation, job->request);
        facts_free(job->before);
        facts_free(job->after);
        g_clear_error(&job->error);
        g_hash_table_unref(job->memory);
        g_clear_pointer(&job->parts, g_ptr_array_unref);
        g_hash_table_unref(job->results);
        g_free(job->result_object);
        g_clear_pointer(&job->images, g_ptr_array_unref);
        g_free(job);
        return NULL;
}

/* One letter type for all that a worker reports on its way. It keeps no reference: the owner keeps
 * the job at least until it has come home, and the mailbox delivers in order. */
typedef struct ReportLetter {
        Job *job;
        enum {
                REPORT_COMMITTED,
                REPORT_STATUS,
                REPORT_LOG,
                REPORT_OPERATIONAL_STATUS,
                REPORT_ENDED
        } kind;
        int number; /* priority, or status */
        char *text;
} ReportLetter;

static void on_report(void *data) {
        ReportLetter *letter = data;
        Job *job = letter->job;

        switch (letter->kind) {
        case REPORT_COMMITTED:
                job->hooks->committed(job->owner);
                break;
        case REPORT_STATUS:
                job->hooks->status(job->owner, letter->text);
                break;
        case REPORT_LOG:
                job->hooks->log(job->owner, letter->number, letter->text);
                break;
        case REPORT_OPERATIONAL_STATUS:
                job->hooks->operational_status(job->owner, (unsigned) letter->number);
                break;
        case REPORT_ENDED:
                job->hooks->ended(job->owner);
                break;
        }
        g_free(letter->text);
        g_free(letter);
}

static void report(Job *job, int kind, int number, char *text) {
        ReportLetter *letter = g_new(ReportLetter, 1);

        *letter = (ReportLetter){job, kind, number, text};
        mailbox_post(job->mailbox, on_report, letter);
}

bool job_commit(Job *job) {
        int open = JOB_OPEN;

        if (!atomic_compare_exchange_strong(&job->fate, &open, JOB_COMMITTED))
                return open == JOB_COMMITTED;
        report(job, REPORT_COMMITTED, 0, NULL);
        return true;
}

bool job_is_cancelled(Job *job) {
        return atomic_load(&job->fate) == JOB_CANCELLED;
}

void job_disown(Job *job) {
        atomic_store(&job->disowned, true);
}

bool job_is_disowned(Job *job) {
        return atomic_load(&job->disowned);
}

bool job_remember(Job *job, const char *key, const char *value, GError **error) {
        g_hash_table_replace(job->memory, g_strdup(key), g_strdup(value));
        return !job->ledger || ledger_write_memory(job->ledger, job->id, job->memory, error);
}

const char *job_recall(const Job *job, const char *key) {
        return g_hash_table_lookup(job->memory, key);
}

/* As GKeyFile writes lists, so that the elements may hold whatever they like. */
#define LIST_GROUP "List"
#define LIST_KEY   "Value"

bool job_remember_list(Job *job, const char *key, const char *const *list, GError **error) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autofree char *value = NULL;

        g_key_file_set_string_list(file, LIST_GROUP, LIST_KEY, list, g_strv_length((char **) list));
        value = g_key_file_get_value(file, LIST_GROUP, LIST_KEY, NULL);
        return job_remember(job, key, value, error);
}

char **job_recall_list(const Job *job, const char *key) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        char **list;

        g_key_file_set_value(file, LIST_GROUP, LIST_KEY, job_recall(job, key) ?: "");
        list = g_key_file_get_string_list(file, LIST_GROUP, LIST_KEY, NULL, NULL);
        return list ?: g_new0(char *, 1);
}

void job_progress(Job *job, uint64_t done, uint64_t total) {
        if (job->counts_no_more)
                return;
        atomic_store(&job->done, done);
        atomic_store(&job->total, total);
}

bool job_counted(Job *job, Progress *ret) {
        *ret = (Progress){.done = atomic_load(&job->done), .total = atomic_load(&job->total)};
        return ret->total > 0;
}

void job_stop_counting(Job *job) {
        job->counts_no_more = true;
}

void job_do_not_ask(Job *job, unsigned milliseconds) {
        atomic_store(&job->ask_after, g_get_monotonic_time() + (gint64) milliseconds * 1000);
}

bool job_may_ask(Job *job) {
        return g_get_monotonic_time() >= atomic_load(&job->ask_after);
}

void job_wait(Job *job, unsigned milliseconds) {
        const struct timespec time = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};

        (void) nanosleep(&time, NULL);
}

void job_status(Job *job, const char *text) {
        report(job, REPORT_STATUS, 0, g_strdup(text));
}

void job_operational_status(Job *job, uint16_t status) {
        report(job, REPORT_OPERATIONAL_STATUS, status, NULL);
}

void job_log(Job *job, int priority, const char *format, ...) {
        va_list args;

        va_start(args, format);
        report(job, REPORT_LOG, priority, g_strdup_vprintf(format, args));
        va_end(args);
}

void job_result(Job *job, const char *key, const char *value) {
        g_hash_table_replace(job->results, g_strdup(key), g_strdup(value));
}

static bool settle(Job *job) {
        const Operation *operation = job->operation;

        g_clear_error(&job->error);
        job->mode = JOB_SETTLE;
        for (unsigned i = 0; job->parts && i < job->parts->len; i++)
                ((Job *) job->parts->pdata[i])->mode = JOB_SETTLE;
        if (job->memory_lost) {
                g_set_error(&job->error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                "The task was interrupted, and what it had noted of its steps can "
                                "not be read: nothing was finished or undone");
                return false;
        }
        if (operation->settle)
                return operation->settle(job, &job->error);
        g_set_error(&job->error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "The service was interrupted while the task ran");
        return false;
}

static bool settle_once(Job *job) {
        bool ok = settle(job);

        if (ok || !job->insists ||
                        !g_error_matches(
                                        job->error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED))
                return ok;
        g_clear_error(&job->error);
        job->mode = JOB_RUN;
        return job->operation->run(job, &job->error);
}

static bool connection_was_lost(const Job *job) {
        return g_error_matches(job->error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE);
}

static bool sync_record(Job *job, GError **error) {
        return !job->ledger || ledger_sync(job->ledger, job->id, error);
}

/* What has to be settled must be known before anything changes. */
static bool sync_records(Job *job) {
        for (unsigned i = 0; job->parts && i < job->parts->len; i++)
                if (!sync_record(job->parts->pdata[i], &job->error))
                        return false;
        return sync_record(job, &job->error);
}

/* Without a connection from the beginning nothing can have happened, so there is nothing to find
 * out. */
static bool run_and_settle(Job *job) {
        bool settling = job->mode == JOB_SETTLE;
        bool ok;

        if (!settling && !backend_is_connected(job->backend)) {
                g_set_error(&job->error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE,
                                "There is no connection to the hypervisor");
                return false;
        }
        if (!settling && job_is_cancelled(job))
                return false;
        if (!sync_records(job))
                return false;
        ok = settling ? settle_once(job) : job->operation->run(job, &job->error);

        /* A cancel does not end the wait: what the hypervisor does is not known before it is back.
         */
        for (int round = 0; !ok && connection_was_lost(job) && round < SETTLE_ROUNDS; round++) {
                job_status(job, "waiting for the hypervisor");
                job_log(job, LOG_WARNING, "The connection to the hypervisor is lost");
                job_wait(job, SETTLE_MSEC); /* a dead connection may look alive for a moment */
                if (!backend_wait_connected(job->backend, settling ? FOREVER_USEC : RECONNECT_USEC))
                        return false;
                job_status(job, "");
                ok = settle_once(job);
        }
        return ok;
}

static void read_after(Job *job) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GError) error = NULL;

        job->read_at = g_get_monotonic_time();
        if (backend_open_domain(job->backend, BACKEND_QUERY, job->uuid, &loan, &error))
                job->after = facts_read(loan.domain, &error);
        if (error)
                log_debug("The facts after the task can not be read: %s", error->message);
        job->gone = g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_VIRTUAL_MACHINE);
}

static void conclude(Job *job) {
        if (job->succeeded)
                g_clear_error(&job->error);
        else if (job_is_cancelled(job) && !connection_was_lost(job)) {
                g_clear_error(&job->error);
                g_set_error(&job->error, VIRTASK_ERROR, VIRTASK_ERROR_CANCELLED,
                                "The task was cancelled");
        } else if (!job->error)
                g_set_error(&job->error, VIRTASK_ERROR, VIRTASK_ERROR_FAILED,
                                "The operation failed");
        if (*job->uuid)
                read_after(job);
}

static void end_parts(Job *job) {
        for (unsigned i = 0; job->parts && i < job->parts->len; i++) {
                Job *part = job->parts->pdata[i];

                if (!part->ended)
                        job_end_part(part, job->error ? g_error_copy(job->error) : NULL);
        }
}

void job_execute(Job *job) {
        job->succeeded = run_and_settle(job);
        conclude(job);
        end_parts(job);
}

static void report_ended(Job *part) {
        part->ended = true;
        report(part, REPORT_ENDED, 0, NULL);
}

/* The part is the loop's once that has been reported, so its error is copied before. */
bool job_run_part(Job *part, GError **error) {
        bool ok = run_and_settle(part);

        part->succeeded = ok;
        conclude(part);
        if (!ok)
                g_propagate_error(error, g_error_copy(part->error));
        report_ended(part);
        return ok;
}

void job_end_part(Job *part, GError *error) {
        g_clear_error(&part->error);
        part->error = error;
        part->succeeded = !error;
        conclude(part);
        report_ended(part);
}
