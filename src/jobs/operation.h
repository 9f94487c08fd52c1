/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The contract of an operation: one constant of this type at the end of the operation's file, and
 * one row in the table of src/service/operations.c. docs/ADDING-AN-OPERATION.md shows it step by
 * step. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "backend/facts.h"
#include "backend/machine-state.h"
#include "bus/bus-options.h"
#include "util/error.h"

typedef struct Job Job;
typedef struct Operation Operation;

typedef enum OperationFlags {
        OPERATION_CANCELLABLE = 1 << 0,    /* until job_commit() */
        OPERATION_IMMEDIATE = 1 << 1,      /* finishes before the reply: no Task object */
        OPERATION_ANSWERS_OBJECT = 1 << 2, /* an immediate one replies with what it made */
        OPERATION_ANY_STATE =
                        1 << 4, /* also while the machine passes through a state that is not ours */
        OPERATION_ENDS_WITH_US = 1 << 5,  /* a libvirtd does not finish it without us */
        OPERATION_FAMILY_A = 1 << 6,      /* ReturnValue is of the snapshot services' family */
        OPERATION_SKIPS_MISSING = 1 << 7, /* a part whose object is gone is no failure */
        OPERATION_SHARED = 1 << 8,        /* holds nothing: works beside all others of its object */
        OPERATION_INHIBITS = 1 << 9,      /* changes disks, images or files for a while: the
                                             computer shall not sleep or go down meanwhile */
        OPERATION_CHANGES_CHAINS = 1 << 10, /* lays images on others, or merges them: not while the
                                               machine has undo disks */
        OPERATION_DURABLE = 1 << 3, /* what it changes has to be settled after a crash: synced to
                                       the ledger first */
} OperationFlags;

/* Where run() works. Lanes do not wait for each other. */
typedef enum Lane {
        LANE_LONG,   /* minutes */
        LANE_DISK,   /* minutes, and few at a time because all of them read and write disks */
        LANE_SHORT,  /* a moment */
        LANE_URGENT, /* must work when nothing else does */
        LANE_GUEST,  /* minutes, and all of them only wait for guests */
        LANE_QUERY,  /* questions: facts, progress, cancel */
        LANE_COUNT
} Lane;

/* The first member of every request. */
typedef struct Request {
        bool queue; /* wait for a busy machine */
        bool force; /* cancel what holds the machine, do not wait for it, and use LANE_URGENT */
        /* Not for parse(), request_store() and so on: they come and go by themselves. */
        char *snapshot;   /* id of the snapshot or reference point that it is of; NULL: none */
        char *collection; /* the same of a collection, also one of snapshots */
        char *file;       /* the same of a hard disk: its image, and the format of that */
        char *file_format;
} Request;

/* Measured by progress(). */
typedef struct Progress {
        uint64_t done, total; /* bytes */
} Progress;

struct Operation {
        const char *name;            /* "vm-save": Task.Operation, ledger, logs */
        const char *interface;       /* of the object that it is called on: "VirtualMachine" */
        const char *member;          /* "Save" */
        const char *signature;       /* of the arguments: "a{sv}" */
        const char *argument_names;  /* in, then out: "options\0task\0" */
        const char *action;          /* polkit action */
        const char *gerund;          /* "Saving": Description is this and the machine's name */
        const char *gerund_saved;    /* the same if it starts from a saved state, else NULL */
        uint16_t requested_state;    /* the RequestedState of CIM that means this operation, or 0 */
        uint16_t job_type;           /* JobType of the documents */
        uint16_t job_type_saved;     /* the same if it starts from a saved state, else 0 */
        MachineState during;         /* state shown meanwhile; MACHINE_INVALID: as the facts say */
        MachineState during_saved;   /* the same if it starts from a saved state */
        uint16_t operational_status; /* OperationalStatus[1] of the machine meanwhile, or 0; see
                                        also job_operational_status() */
        VirtaskError refuse[MACHINE_STATE_COUNT]; /* by state; NONE: may start */
        unsigned flags;                           /* OperationFlags */
        Lane lane;

        /* The request: "request_size" bytes that begin with a Request, filled by parse() on the
         * loop (twice, if polkit is asked), released by request_clear(). parse() may be NULL where
         * there are only the common options. The pair store/load carries it through the ledger. All
         * but parse() may be NULL. */
        size_t request_size;
        bool (*parse)(sd_bus_message *call, void *request, GError **error);
        void (*request_store)(const void *request, GKeyFile *file);
        void (*request_load)(void *request, GKeyFile *file);
        void (*request_clear)(void *request);

        /* What "refuse" can't say because it depends on the request; called on the loop when the
         * state allows the operation, with the machine's facts. NULL: nothing. */
        bool (*admit)(const void *request, const MachineFacts *facts, GError **error);

        /* Does the work on the operation's lane; plain blocking code. */
        bool (*run)(Job *job, GError **error);

        /* Called instead of run() when the daemon or the connection was lost in mid-run: find out
         * what became of it, wait for its end if it still goes on, clean up what is half, and tell
         * the truth. Relies on the request, on what is there and on job_recall(), never on
         * variables of run(); may run twice. NULL: it ends as SERVICE_RESTARTED. */
        bool (*settle)(Job *job, GError **error);

        /* Asked ten times a second on LANE_QUERY, never twice at once. False: not known at the
         * moment. */
        bool (*progress)(Job *job, Progress *ret);

        /* Makes run() return, if it does not look at job_is_cancelled() often enough; called on
         * LANE_QUERY again and again until it has, never twice at once. */
        void (*cancel)(Job *job);

        /* Of a collection: the operation that each of its machines (or snapshots) has a sub-task
         * of; NULL: no sub-tasks. part_request() fills their requests, on the loop; NULL: nothing
         * is asked. The jobs of the sub-tasks are in job->parts, and run() and settle() have them
         * done: see job_run_part(). */
        const Operation *part;
        void (*part_request)(const void *request, const MachineFacts *facts, void *ret);
};

/* The options that every operation with a task has, for bus_options_read(). */
extern const OptionSpec operation_common_options[];

/* A parse() for an a{sv} with nothing but the common options. */
bool operation_parse_common(sd_bus_message *call, void *request, GError **error);

/* Releases a request and its memory, with what is common to all; accepts NULL. */
void operation_request_free(const Operation *operation, Request *request);
