/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fake-operations.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "bus/bus-path.h"
#include "jobs/job.h"

#define LOOK_MSEC 5

typedef struct FakeRequest {
        Request common;
        uint32_t total;
        uint32_t milliseconds;
        uint32_t error;
        uint32_t gate;
        uint32_t second;
        _Atomic uint64_t done; /* written by run(), read by progress() */
} FakeRequest;

static bool fake_parse(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"Force", OPTION_BOOLEAN, offsetof(Request, force), NO_SEEN},
                        {"Total", OPTION_UINT32, offsetof(FakeRequest, total), NO_SEEN},
                        {"Milliseconds", OPTION_UINT32, offsetof(FakeRequest, milliseconds),
                                        NO_SEEN},
                        {"Error", OPTION_UINT32, offsetof(FakeRequest, error), NO_SEEN},
                        {"Gate", OPTION_UINT32, offsetof(FakeRequest, gate), NO_SEEN},
                        {"Second", OPTION_UINT32, offsetof(FakeRequest, second), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };

        return bus_options_read(call, operation_common_options, own, request, error);
}

static void fake_store(const void *request, GKeyFile *file) {
        const FakeRequest *own = request;

        g_key_file_set_uint64(file, "Request", "Gate", own->gate);
        g_key_file_set_uint64(file, "Request", "Error", own->error);
}

static void fake_load(void *request, GKeyFile *file) {
        FakeRequest *own = request;

        own->gate = (uint32_t) g_key_file_get_uint64(file, "Request", "Gate", NULL);
        own->error = (uint32_t) g_key_file_get_uint64(file, "Request", "Error", NULL);
}

/* Gates */

static int open_gate(unsigned number) {
        g_autofree char *name = g_strdup_printf("gate.%u", number);
        const char *directory = g_getenv("VIRTASK_FAKE_DIRECTORY");
        g_autofree char *path = g_build_filename(directory ? directory : "/", name, NULL);

        return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/* False if "job" was cancelled first (NULL: wait in any case), or if there is no such gate. */
static bool pass(unsigned number, Job *job) {
        struct pollfd fd = {.fd = number ? open_gate(number) : -1, .events = POLLIN};
        bool passed = number == 0;
        char byte;

        while (fd.fd >= 0 && !passed && !(job && job_is_cancelled(job)))
                if (poll(&fd, 1, job ? LOOK_MSEC : -1) > 0)
                        passed = read(fd.fd, &byte, 1) >= 0 || errno != EAGAIN;
        if (fd.fd >= 0)
                (void) close(fd.fd);
        return passed;
}

/* The same, and tells clients where the task is. */
static bool wait_at(Job *job, unsigned number, bool cancellable) {
        g_autofree char *text = g_strdup_printf("at gate %u", number);

        if (number)
                job_status(job, text);
        return pass(number, cancellable ? job : NULL);
}

/* The end that was ordered. */
static bool conclude(Job *job, GError **error) {
        const FakeRequest *request = job->request;
        g_autofree char *counted =
                        g_strdup_printf("%" G_GUINT64_FORMAT, atomic_load(&request->done));

        job_log(job, LOG_NOTICE, "counted to %s", counted);
        if (request->error) {
                g_set_error(error, VIRTASK_ERROR, (int) request->error, "failed as ordered");
                return false;
        }
        job_result(job, "Counted", counted);
        return true;
}

/* Counts up to a part of the total in the same part of the time. */
static bool count(Job *job, double part) {
        FakeRequest *request = job->request;
        gint64 begin = g_get_monotonic_time();
        double time = part * request->milliseconds * 1000, elapsed = 0;

        while (elapsed < time) {
                elapsed = (double) (g_get_monotonic_time() - begin);
                atomic_store(&request->done, (uint64_t) (MIN(time > 0 ? elapsed / time : 1, 1) *
                                                             part * request->total));
                if (job_is_cancelled(job))
                        return false;
                job_wait(job, 1);
        }
        atomic_store(&request->done, (uint64_t) (part * request->total));
        return true;
}

/* Operations */

static bool slow_run(Job *job, GError **error) {
        const FakeRequest *request = job->request;

        return count(job, 1) && wait_at(job, request->gate, true) && conclude(job, error);
}

static bool fail_run(Job *job, GError **error) {
        return count(job, 0.5) && conclude(job, error);
}

static bool stuck_run(Job *job, GError **error) {
        const FakeRequest *request = job->request;

        (void) wait_at(job, request->gate, false);
        return !job_is_cancelled(job) && conclude(job, error);
}

static bool commit_run(Job *job, GError **error) {
        const FakeRequest *request = job->request;

        return count(job, 1) && wait_at(job, request->gate, true) && job_commit(job) &&
               wait_at(job, request->second, false) && conclude(job, error);
}

static bool on_snapshot_run(Job *job, GError **error) {
        const FakeRequest *request = job->request;

        (void) wait_at(job, request->gate, true);
        job_result(job, "Snapshot", request->common.snapshot);
        job->result_object = bus_path_snapshot(job->uuid, request->common.snapshot);
        return !job_is_cancelled(job) && conclude(job, error);
}

/* The machines of a collection, one after the other. */
static bool together_run(Job *job, GError **error) {
        for (unsigned i = 0; i < job->parts->len; i++)
                if (!job_run_part(job->parts->pdata[i], error))
                        return false;
        return conclude(job, error);
}

static void together_part_request(const void *request, const MachineFacts *facts, void *ret) {
        const FakeRequest *whole = request;
        FakeRequest *part = ret;

        part->gate = whole->gate;
        part->total = whole->total;
        part->milliseconds = whole->milliseconds;
}

static bool fake_progress(Job *job, Progress *ret) {
        const FakeRequest *request = job->request;

        *ret = (Progress){atomic_load(&request->done), request->total};
        return request->total > 0;
}

static bool block_progress(Job *job, Progress *ret) {
        const FakeRequest *request = job->request;

        return pass(request->second, NULL) && fake_progress(job, ret);
}

/* run() looks by itself whether it is cancelled. */
static void fake_cancel(Job *job) {
}

/* clang-format off */
#define FAKE(...) FAKE_OF("VirtualMachine", 0, __VA_ARGS__)

#define FAKE_OF(interface_, status_, member_, name_, flags_, lane_, run_, progress_, settle_) \
        { \
                .name = name_, \
                .interface = interface_, \
                .operational_status = status_, \
                .member = member_, \
                .signature = "a{sv}", \
                .argument_names = (flags_) & OPERATION_IMMEDIATE ? "options\0" : "options\0task\0", \
                .action = "org.virtask1.control", \
                .gerund = "Faking", \
                .job_type = 1, \
                .during = MACHINE_SAVING, \
                .flags = flags_, \
                .lane = lane_, \
                .request_size = sizeof(FakeRequest), \
                .parse = fake_parse, \
                .request_store = fake_store, \
                .request_load = fake_load, \
                .run = run_, \
                .progress = progress_, \
                .settle = settle_, \
                .cancel = fake_cancel, \
        }
/* clang-format on */

static const Operation slow = FAKE("FakeSlow",
                "fake-slow",
                OPERATION_CANCELLABLE,
                LANE_LONG,
                slow_run,
                fake_progress,
                NULL);
static const Operation failing = FAKE("FakeFail",
                "fake-fail",
                OPERATION_CANCELLABLE,
                LANE_LONG,
                fail_run,
                fake_progress,
                NULL);
static const Operation stuck = FAKE(
                "FakeStuck", "fake-stuck", OPERATION_CANCELLABLE, LANE_LONG, stuck_run, NULL, NULL);
static const Operation short_stuck = FAKE("FakeShortStuck",
                "fake-short-stuck",
                OPERATION_CANCELLABLE,
                LANE_SHORT,
                stuck_run,
                NULL,
                NULL);
static const Operation uncancellable = FAKE(
                "FakeUncancellable", "fake-uncancellable", 0, LANE_LONG, stuck_run, NULL, NULL);
static const Operation committing = FAKE("FakeCommit",
                "fake-commit",
                OPERATION_CANCELLABLE,
                LANE_LONG,
                commit_run,
                NULL,
                NULL);
static const Operation block_query = FAKE("FakeBlockQuery",
                "fake-block-query",
                OPERATION_CANCELLABLE,
                LANE_LONG,
                slow_run,
                block_progress,
                NULL);
static const Operation immediate = FAKE("FakeImmediate",
                "fake-immediate",
                OPERATION_IMMEDIATE,
                LANE_SHORT,
                stuck_run,
                NULL,
                NULL);
static const Operation settled = FAKE("FakeSettle",
                "fake-settle",
                OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_INHIBITS,
                LANE_LONG,
                stuck_run,
                NULL,
                stuck_run);

static const Operation on_snapshot = FAKE_OF("Snapshot",
                32769,
                "FakeOnSnapshot",
                "fake-on-snapshot",
                OPERATION_CANCELLABLE | OPERATION_DURABLE,
                LANE_LONG,
                on_snapshot_run,
                NULL,
                on_snapshot_run);
static const Operation of_service = FAKE_OF("SnapshotService",
                32768,
                "FakeOfService",
                "fake-of-service",
                OPERATION_CANCELLABLE,
                LANE_LONG,
                slow_run,
                fake_progress,
                NULL);

static const Operation together = {
                .name = "fake-together",
                .interface = "Collection",
                .member = "FakeTogether",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.control",
                .gerund = "Faking",
                .job_type = 1,
                .flags = OPERATION_CANCELLABLE,
                .lane = LANE_LONG,
                .request_size = sizeof(FakeRequest),
                .parse = fake_parse,
                .run = together_run,
                .cancel = fake_cancel,
                .part = &slow,
                .part_request = together_part_request,
};

const Operation *const fake_operations[] = {
                &slow,
                &failing,
                &stuck,
                &short_stuck,
                &uncancellable,
                &committing,
                &block_query,
                &immediate,
                &settled,
                &on_snapshot,
                &of_service,
                &together,
                NULL,
};
