/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "house.h"

#include <unistd.h>

House house;

/* Gates */

void gate_open(Gate *gate) {
        pthread_mutex_lock(&gate->lock);
        gate->open = true;
        pthread_cond_broadcast(&gate->changed);
        pthread_mutex_unlock(&gate->lock);
}

unsigned gate_cancels(Gate *gate) {
        unsigned cancels;

        pthread_mutex_lock(&gate->lock);
        cancels = gate->cancels;
        pthread_mutex_unlock(&gate->lock);
        return cancels;
}

void gate_wait_reached(Gate *gate) {
        pthread_mutex_lock(&gate->lock);
        while (!gate->reached)
                pthread_cond_wait(&gate->changed, &gate->lock);
        pthread_mutex_unlock(&gate->lock);
}

/* False if the job was cancelled first. */
static bool gate_wait(Gate *gate, Job *job) {
        bool open;

        pthread_mutex_lock(&gate->lock);
        gate->reached = true;
        pthread_cond_broadcast(&gate->changed);
        while (!gate->open && (gate->stubborn || !job_is_cancelled(job)))
                pthread_cond_wait(&gate->changed, &gate->lock);
        open = gate->open;
        pthread_mutex_unlock(&gate->lock);
        return open;
}

/* Operations */

static bool test_run(Job *job, GError **error) {
        const TestRequest *request = job->request;

        if (request->commit && !job_commit(job))
                return false;
        job_status(job, "at the gate");
        if (request->gate && !gate_wait(request->gate, job))
                return false;
        if (request->error) {
                g_set_error(error, VIRTASK_ERROR, (int) request->error, "failed as told");
                return false;
        }
        job_result(job, "Answer", "42");
        return true;
}

static void test_cancel(Job *job) {
        const TestRequest *request = job->request;

        if (!request->gate)
                return;
        pthread_mutex_lock(&request->gate->lock);
        request->gate->cancels++;
        pthread_cond_broadcast(&request->gate->changed);
        pthread_mutex_unlock(&request->gate->lock);
}

static void test_store(const void *request, GKeyFile *file) {
        g_key_file_set_uint64(file, "Request", "Number", ((const TestRequest *) request)->number);
}

static void test_load(void *request, GKeyFile *file) {
        ((TestRequest *) request)->number =
                        (unsigned) g_key_file_get_uint64(file, "Request", "Number", NULL);
}

static bool test_settle(Job *job, GError **error) {
        g_autofree char *number =
                        g_strdup_printf("%u", ((const TestRequest *) job->request)->number);

        job_result(job, "Number", number);
        return true;
}

/* The parts, one after the other, then what any test operation does. */
static bool do_parts(Job *job, GError **error) {
        for (unsigned i = 0; job->parts && i < job->parts->len; i++)
                if (!job_run_part(job->parts->pdata[i], error))
                        return false;
        return true;
}

static bool whole_run(Job *job, GError **error) {
        return do_parts(job, error) && test_run(job, error);
}

static bool whole_settle(Job *job, GError **error) {
        return do_parts(job, error) && test_settle(job, error);
}

/* clang-format off */
#define TEST_COMMON \
                .interface = "VirtualMachine", \
                .member = "Test", \
                .signature = "a{sv}", \
                .argument_names = "options\0task\0", \
                .action = "org.virtask1.control", \
                .gerund = "Testing", \
                .gerund_saved = "Waking", \
                .job_type = 14, \
                .job_type_saved = 15, \
                .during = MACHINE_SAVING, \
                .during_saved = MACHINE_RESTORING, \
                .lane = LANE_LONG, \
                .request_size = sizeof(TestRequest), \
                .request_store = test_store, \
                .request_load = test_load
/* clang-format on */

const Operation test_operation = {
                .name = "test",
                .run = test_run,
                .flags = OPERATION_CANCELLABLE,
                .cancel = test_cancel,
                TEST_COMMON,
};

const Operation test_stiff_operation = {
                .name = "test-stiff",
                .run = test_run,
                TEST_COMMON,
};

const Operation test_settled_operation = {
                .name = "test-settled",
                .run = test_run,
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE,
                .cancel = test_cancel,
                .settle = test_settle,
                TEST_COMMON,
};

const Operation test_immediate_operation = {
                .name = "test-immediate",
                .run = test_run,
                .flags = OPERATION_IMMEDIATE,
                TEST_COMMON,
};

const Operation test_shared_operation = {
                .name = "test-shared",
                .run = test_run,
                .flags = OPERATION_CANCELLABLE | OPERATION_SHARED,
                .cancel = test_cancel,
                TEST_COMMON,
};

const Operation test_whole_operation = {
                .name = "test-whole",
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE,
                .cancel = test_cancel,
                .run = whole_run,
                .settle = whole_settle,
                .part = &test_settled_operation,
                TEST_COMMON,
};

const Operation *const test_operations[] = {
                &test_whole_operation,
                &test_operation,
                &test_stiff_operation,
                &test_settled_operation,
                &test_immediate_operation,
                &test_shared_operation,
                NULL,
};

/* Hooks */

static bool on_admit(Task *task, void *userdata, GError **error) {
        if (house.refuse)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_RUNNING, "refused as told");
        return !house.refuse;
}

static void on_reserved(const char *object, void *userdata) {
        g_string_append(house.log, "reserved ");
}

static void on_settled(Task *task, void *userdata) {
        g_string_append_printf(house.log, "settled %u ", task->id);
}

static void on_completed(Task *task, void *userdata) {
        g_string_append_printf(house.log, "completed %u ", task->id);
}

static void on_list_changed(void *userdata) {
        g_string_append(house.log, "changed ");
}

static void on_backend_event(BackendEventKind kind, const char *uuid, void *userdata) {
}

static void on_backend_lost(void *userdata) {
}

/* Building */

void house_build(void) {
        static const BackendHooks hooks = {on_backend_event, on_backend_lost};
        const unsigned threads[LANE_COUNT] = {
                        [LANE_LONG] = LONG_THREADS,
                        [LANE_DISK] = 2,
                        [LANE_SHORT] = 2,
                        [LANE_URGENT] = 2,
                        [LANE_GUEST] = 2,
                        [LANE_QUERY] = 4,
        };
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(sd_event_new(&house.event), >=, 0);
        house.mailbox = mailbox_new(house.event);
        house.pool = pool_new(house.mailbox, threads);
        house.backend = backend_new("test:///default", house.mailbox, &hooks, NULL);
        g_ptr_array_unref(backend_connect(house.backend, &error));
        g_assert_no_error(error);
}

void house_open(const char *state_directory, const TaskLimits *limits) {
        static const TaskHooks hooks = {
                        .admit = on_admit,
                        .reserved = on_reserved,
                        .settled = on_settled,
                        .completed = on_completed,
                        .list_changed = on_list_changed,
        };
        TaskListContext context = {
                        .mailbox = house.mailbox,
                        .pool = house.pool,
                        .backend = house.backend,
                        .hooks = &hooks,
                        .limits = {1000, 1000, 1000, 600 * G_USEC_PER_SEC, 16, 1000},
        };
        g_autoptr(GError) error = NULL;

        context.bus = house.bus = test_bus_open(house.event);
        context.publisher = house.publisher = publisher_new(house.bus);
        context.peers = house.peers = peer_list_new(house.bus);
        context.authorizer = house.authorizer =
                        authorizer_new(house.bus, AUTHORIZER_OWNER, house.peers, 4, 4);
        if (limits)
                context.limits = *limits;
        house.log = g_string_new(NULL);
        house.refuse = false;
        house.tasks = task_list_new(&context, state_directory, &error);
        g_assert_no_error(error);
        g_assert_cmpint(sd_bus_add_object_manager(house.bus, NULL, "/org/virtask1"), >=, 0);
        g_assert_cmpint(task_list_publish(house.tasks), >=, 0);
}

/* What is still on its way to the list has to arrive before it is gone. */
void house_close(void) {
        drive_until(house.event, task_list_unfinished(house.tasks) == 0);
        drive_until(house.event, !pool_is_busy(house.pool));
        house.tasks = task_list_free(house.tasks);
        house.authorizer = authorizer_free(house.authorizer);
        house.peers = peer_list_free(house.peers);
        house.publisher = publisher_free(house.publisher);
        house.bus = sd_bus_flush_close_unref(house.bus);
        g_string_free(house.log, TRUE);
}

Task *
house_start(const Operation *operation, const char *object, TestRequest request, GError **error) {
        const TaskSpec spec = {
                        .operation = operation,
                        .object = object,
                        .owner = getuid(),
                        .request = g_memdup2(&request, sizeof(request)),
        };
        Task *task = task_list_add(house.tasks, &spec, error);

        if (task)
                task_list_launch(house.tasks, task);
        return task;
}

Task *house_start_whole(TestRequest request,
                const char *const *objects,
                const TestRequest *parts,
                GError **error) {
        g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func(g_free);
        const TaskSpec spec = {
                        .operation = &test_whole_operation,
                        .object = WHOLE_OBJECT,
                        .owner = getuid(),
                        .request = g_memdup2(&request, sizeof(request)),
                        .parts = specs,
        };
        Task *task;

        for (unsigned i = 0; objects[i]; i++) {
                TaskSpec *part = g_new0(TaskSpec, 1);

                *part = (TaskSpec){.operation = &test_settled_operation,
                                .object = objects[i],
                                .owner = getuid(),
                                .request = g_memdup2(&parts[i], sizeof(parts[i]))};
                g_ptr_array_add(specs, part);
        }
        task = task_list_add(house.tasks, &spec, error);
        if (task)
                task_list_launch(house.tasks, task);
        return task;
}

void house_finish(const Task *task) {
        drive_until(house.event, task_is_complete(task));
}
