/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A small house for the tests of src/jobs: loop, mailbox, pool and a connection to libvirt's test
 * driver live as long as the program, because threads do; bus and task list are new in each test.
 */

#include <pthread.h>

#include "jobs/task-list.h"
#include "support.h"

#define MACHINE_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f" /* of the test driver */
#define OBJECT       "/org/virtask1/vm/_00000000_0000_0000_0000_000000000001"
#define OTHER_OBJECT "/org/virtask1/vm/_00000000_0000_0000_0000_000000000002"
#define WHOLE_OBJECT "/org/virtask1/collection/_00000000_0000_0000_0000_000000000001"

#define LONG_THREADS 2

/* Holds a worker until the test opens it. */
typedef struct Gate {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool open;
        bool stubborn;    /* a cancel does not open it */
        bool reached;     /* a worker has come to it */
        unsigned cancels; /* calls of cancel() */
} Gate;

#define GATE_INIT                                                                                  \
        { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false, false, 0 }

void gate_open(Gate *gate);
unsigned gate_cancels(Gate *gate);
void gate_wait_reached(Gate *gate); /* until a worker waits at it */

typedef struct TestRequest {
        Request common;
        Gate *gate;      /* to wait at; NULL: none */
        bool commit;     /* before the gate */
        unsigned error;  /* VirtaskError to fail with; NONE: success */
        unsigned number; /* survives the ledger */
} TestRequest;

extern const Operation test_operation;           /* "test", cancellable */
extern const Operation test_stiff_operation;     /* "test-stiff", not cancellable */
extern const Operation test_settled_operation;   /* "test-settled", with settle() */
extern const Operation test_immediate_operation; /* "test-immediate" */
extern const Operation test_shared_operation;    /* "test-shared", works beside others */
extern const Operation test_whole_operation;     /* "test-whole", parts are "test-settled" */
extern const Operation *const test_operations[];

typedef struct House {
        sd_event *event;
        Mailbox *mailbox;
        Pool *pool;
        Backend *backend;

        sd_bus *bus;
        Publisher *publisher;
        PeerList *peers;
        Authorizer *authorizer;
        TaskList *tasks;
        bool refuse;  /* what the hook "admit" says */
        GString *log; /* of the hooks: "reserved settled 1 completed 1" */
} House;

extern House house;

/* Once a program. */
void house_build(void);

/* For each test; "limits" may be NULL for generous ones. */
void house_open(const char *state_directory, const TaskLimits *limits);
void house_close(void);

/* A task of the request, started. NULL and "error" if it is refused. */
Task *
house_start(const Operation *operation, const char *object, TestRequest request, GError **error);

/* A task of WHOLE_OBJECT with a part for each object (NULL ends them) and its request, started. Its
 * worker does the parts in their order, then what "request" says. */
Task *house_start_whole(TestRequest request,
                const char *const *objects,
                const TestRequest *parts,
                GError **error);

/* Waits until the task has ended. */
void house_finish(const Task *task);
