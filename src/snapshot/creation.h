/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One machine's share in the taking of a snapshot, in steps that several machines can take
 * together:
 *
 *     prepare ── freeze ── stop ── take ── go on ── thaw ── conclude
 *
 * All worker; different creations on different threads. */

#include "jobs/job.h"

#define SNAPSHOT_TYPE_FULL     2
#define SNAPSHOT_TYPE_DISKS    3
#define SNAPSHOT_TYPE_RECOVERY 32768

#define CONSISTENCY_APPLICATION 1
#define CONSISTENCY_CRASH       2

/* The request of CreateSnapshot, of a machine's and of a collection's; of CreateReferencePoint too,
 * with the type SNAPSHOT_TYPE_REFERENCE_POINT. */
typedef struct SnapshotRequest {
        Request common;
        uint32_t type, consistency, guest_backup_type;
        bool ignore_others; /* IgnoreNonSnapshottableDisks */
        char *name;
        char *notes;
} SnapshotRequest;

/* Reads the settings, and checks them: all but the type. Loop. */
bool snapshot_request_read(sd_bus_message *call, SnapshotRequest *request, GError **error);
void snapshot_request_clear(void *request);

/* For the ledger. */
void snapshot_request_store(const void *request, GKeyFile *file);
void snapshot_request_load(void *request, GKeyFile *file);

typedef struct Creation Creation;

typedef enum CreationFlags {
        CREATION_TOGETHER = 1 << 0,  /* creation_stop() will follow in any case */
        CREATION_TEMPORARY = 1 << 1, /* the job destroys it again: that it is made is neither its
                                        result nor too late for a cancel */
} CreationFlags;

/* Chooses names, writes down what settle has to know, and copies what lies in files (the saved
 * state, which is where it can be cancelled). The request is borrowed. */
Creation *creation_prepare(
                Job *job, const SnapshotRequest *request, unsigned flags, GError **error);
Creation *creation_free(Creation *creation);

/* Whether the guest runs, and so can be stopped. */
bool creation_is_running(const Creation *creation);
const char *creation_id(const Creation *creation);
virDomainPtr creation_domain(const Creation *creation);

/* Freezes the guest's file systems where that is asked for; see snapshot/freeze.h. */
bool creation_freeze(Creation *creation, GError **error);

/* Stops the guest, if it runs. Alone it need not be, but where creation_must_stop() says so. */
bool creation_stop(Creation *creation, GError **error);
bool creation_must_stop(const Creation *creation);

bool creation_take(Creation *creation, GError **error);

/* Lets the guest go on and thaws it, if the steps above have stopped and frozen it. */
bool creation_go_on(Creation *creation, GError **error);
bool creation_thaw(Creation *creation, GError **error);

/* Writes down what was made, and tells the job its result. */
bool creation_conclude(Creation *creation, GError **error);

/* After a step that failed with "error": the guest goes on, and nothing is left of what was made; a
 * snapshot that was taken stays. If the connection is lost the error says so (and nothing else),
 * and creation_settle() has to do it. */
void creation_undo(Creation *creation, GError **error);

/* All these steps for a machine alone. */
bool creation_run(Creation *creation, GError **error);

/* The end of one that was interrupted, from what the job remembers: true if the snapshot was taken
 * and is concluded; SERVICE_RESTARTED if there is none, and nothing is left of it. */
bool creation_settle(Job *job, const SnapshotRequest *request, unsigned flags, GError **error);

/* The snapshot that the job has begun to take, by its memory; NULL: none. */
const char *creation_recall(const Job *job);

/* Only lets the guest go on, if it was stopped. */
void creation_wake(Job *job);

/* The run() and settle() of operations that take a snapshot of one machine and do nothing else. The
 * job's request is a SnapshotRequest. */
bool creation_whole_run(Job *job, GError **error);
bool creation_whole_settle(Job *job, GError **error);

/* Ends the taking of memory; the cancel() of operations. */
void creation_cancel(Job *job);

/* Whether libvirt is taking a snapshot of the machine. */
bool creation_is_under_way(virDomainPtr domain);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Creation, creation_free)
