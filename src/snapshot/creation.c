/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The disks get overlays, so the images below them stay as they are from now on; the memory of a
 * guest that runs goes into a file while it runs on (type 2). Firmware variables are copied, and a
 * saved machine's state as well.
 *
 *     choose names ── remember them ── our metadata ── copy state ── libvirt: overlays (and memory)
 *
 * For an application consistent one the guest's agent freezes the file systems before the last step
 * and thaws them after it (snapshot/freeze.c).
 *
 * libvirt lets the guest run on and removes what it began when a snapshot with memory is cancelled.
 * Everything else takes a moment and is not cancelled. */

#include "snapshot/creation.h"

#include <string.h>
#include <syslog.h>

#include "backend/backend-error.h"
#include "backend/guest-disks.h"
#include "backend/saved-image.h"
#include "backend/snapshot-metadata.h"
#include "bus/bus-path.h"
#include "disk/image-file.h"
#include "disk/image.h"
#include "snapshot/creation-internal.h"
#include "snapshot/freeze.h"
#include "snapshot/host-state.h"
#include "snapshot/image-notes.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/names.h"
#include "snapshot/overlays.h"
#include "snapshot/state-file.h"
#include "snapshot/tree.h"

/* Before libvirt has begun with the memory, a question about the job waits until the end of it. */
#define SILENCE_MSEC 300

#define ATTEMPTS 16 /* to find names that QEMU does not know */

struct Creation {
        Job *job;
        const SnapshotRequest *request;
        unsigned flags; /* CreationFlags */
        BackendDomain loan;
        virDomainPtr domain; /* of the loan */
        bool active, running, saved;
        bool stopped, frozen; /* by us */
        SnapshotTree *tree;
        char uuid[VIR_UUID_STRING_BUFLEN];
        char *id;
        GPtrArray *targets;   /* all disks */
        GHashTable *overlays; /* target -> path, of those that take part */
        char *memory;         /* file; NULL: not part of it */
        bool host_state;      /* see snapshot/host-state.h */
};

Creation *creation_free(Creation *creation) {
        if (!creation)
                return NULL;
        snapshot_tree_free(creation->tree);
        g_free(creation->id);
        g_clear_pointer(&creation->targets, g_ptr_array_unref);
        g_clear_pointer(&creation->overlays, g_hash_table_unref);
        g_free(creation->memory);
        backend_domain_clear(&creation->loan);
        g_free(creation);
        return NULL;
}

bool creation_is_running(const Creation *creation) {
        return creation->running;
}

const char *creation_id(const Creation *creation) {
        return creation->id;
}

virDomainPtr creation_domain(const Creation *creation) {
        return creation->domain;
}

/* What is made */

/* A CD that lies in its drive is no part of the machine's state; a disk that the guest writes to
 * and that can't take part is. */
static bool plan_disk(Creation *c, const Disk *disk, GError **error) {
        g_ptr_array_add(c->targets, g_strdup(disk->target));
        if (disk_is_snapshottable(disk)) {
                g_hash_table_insert(c->overlays, g_strdup(disk->target),
                                snapshot_overlay_path(
                                                c->tree, disk->path, c->id, c->uuid, disk->target));
                return true;
        }
        if (disk->readonly || !disk->is_disk || c->request->ignore_others)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "Disk %s can not be part of a snapshot; IgnoreNonSnapshottableDisks leaves "
                        "it out",
                        disk->target);
        return false;
}

static bool plan_disks(Creation *c, GError **error) {
        const GPtrArray *disks = c->tree->disks->disks;

        c->targets = g_ptr_array_new_with_free_func(g_free);
        c->overlays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        for (unsigned i = 0; i < disks->len; i++)
                if (!plan_disk(c, disks->pdata[i], error))
                        return false;
        return true;
}

static bool plan_files(Creation *c, GError **error) {
        bool memory = c->request->type == SNAPSHOT_TYPE_FULL && (c->active || c->saved);

        c->host_state = host_state_exists(c->tree->disks);
        if (!memory)
                return true;
        c->memory = saved_image_path_of_snapshot(c->domain, c->id, "memory");
        if (c->memory)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "The files of this hypervisor are out of reach");
        return false;
}

static bool plan_machine(Creation *c, GError **error) {
        int state, reason;

        if (virDomainGetUUIDString(c->domain, c->uuid) < 0 ||
                        virDomainGetState(c->domain, &state, &reason, 0) < 0) {
                backend_error_set(error, "Failed to look at '%s'", virDomainGetName(c->domain));
                return false;
        }
        if (virDomainIsPersistent(c->domain) != 1) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "'%s' is gone when it is turned off, and its snapshots would be",
                                virDomainGetName(c->domain));
                return false;
        }
        c->tree = snapshot_tree_read(c->domain, error);
        if (!c->tree || !guest_disks_check(c->domain, error))
                return false;
        c->active = c->tree->active;
        c->running = state == VIR_DOMAIN_RUNNING;
        c->saved = !c->active && saved_image_exists(c->domain) == 1;
        return true;
}

static bool plan(Creation *c, GError **error) {
        if (!plan_machine(c, error) || !snapshot_check_room(c->tree, error))
                return false;
        c->id = snapshot_new_id(c->tree, c->request->name,
                        c->request->type == SNAPSHOT_TYPE_REFERENCE_POINT ? "reference-point"
                                                                          : "snapshot");
        return plan_disks(c, error) && plan_files(c, error);
}

/* The guest writes its firmware variables, and what its TPM keeps, without asking us; while it is
 * stopped they fit its disks. With memory libvirt stops it, and would note that it was stopped if
 * we did. */
bool creation_must_stop(const Creation *c) {
        return c->running && c->host_state && !c->memory;
}

static bool remember(const Creation *c, GError **error) {
        bool stops = c->running && (c->flags & CREATION_TOGETHER || creation_must_stop(c));

        g_autoptr(GPtrArray) paths = g_ptr_array_new();
        g_autofree char *text = NULL;
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, c->overlays);
        while (g_hash_table_iter_next(&iter, NULL, &path))
                g_ptr_array_add(paths, path);
        g_ptr_array_add(paths, NULL);
        text = g_strjoinv("\n", (char **) paths->pdata);
        return job_remember(c->job, MEMORY_OVERLAYS, text, error) &&
               (!c->running || job_remember(c->job, MEMORY_WAS_RUNNING, "true", error)) &&
               (!stops || job_remember(c->job, MEMORY_STOPS, "true", error)) &&
               job_remember(c->job, MEMORY_ID, c->id, error);
}

/* What there would be beside libvirt's snapshot. */
void creation_forget(virDomainPtr domain, const char *id) {
        g_autofree char *memory = saved_image_path_of_snapshot(domain, id, "memory");

        if (memory)
                (void) image_remove(memory, NULL);
        (void) host_state_remove(domain, id, NULL);
        (void) snapshot_metadata_remove(domain, id, NULL);
}

/* Before there is a snapshot: what clients see of it does not change afterwards. */
static bool describe(const SnapshotRequest *request,
                virDomainPtr domain,
                const char *id,
                bool held,
                GError **error) {
        bool application = held && request->consistency == CONSISTENCY_APPLICATION;
        const SnapshotMetadata entry = {.id = (char *) id,
                        .name = request->name,
                        .notes = request->notes,
                        .type = request->type,
                        .consistency = application ? CONSISTENCY_APPLICATION : CONSISTENCY_CRASH};

        return snapshot_metadata_set(domain, &entry, error);
}

/* The steps */

static void on_copied(uint64_t done, uint64_t total, void *userdata) {
        job_progress(userdata, done, total);
}

static bool on_stop(void *userdata) {
        return job_is_cancelled(userdata);
}

static bool copy_host_state(const Creation *c, GError **error) {
        return host_state_copy(c->domain, c->tree->disks, c->id, error);
}

static bool copy_state(const Creation *c, GError **error) {
        const StateFileHooks hooks = {on_copied, on_stop, c->job};
        g_autofree char *image = c->saved && c->memory ? saved_image_path(c->domain) : NULL;

        if (!copy_host_state(c, error))
                return false;
        if (!c->saved || !c->memory)
                return true;
        if (image)
                return state_file_copy(image, c->memory, &hooks, error);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "The saved state is out of reach");
        return false;
}

Creation *creation_prepare(
                Job *job, const SnapshotRequest *request, unsigned flags, GError **error) {
        g_autoptr(Creation) c = g_new0(Creation, 1);

        c->job = job;
        c->request = request;
        c->flags = flags;
        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &c->loan, error))
                return NULL;
        c->domain = c->loan.domain;
        if (!plan(c, error) || !remember(c, error))
                return NULL;
        creation_forget(c->domain, c->id); /* of one that had this name before */
        if (describe(request, c->domain, c->id, true, error) && copy_state(c, error))
                return g_steal_pointer(&c);
        creation_forget(c->domain, c->id);
        return NULL;
}

static bool must_freeze(const Creation *c) {
        return c->active && c->request->consistency == CONSISTENCY_APPLICATION;
}

bool creation_freeze(Creation *c, GError **error) {
        if (!must_freeze(c))
                return true;
        c->frozen = true; /* perhaps: also if it fails */
        return freeze_begin(c->job, c->domain, error);
}

bool creation_stop(Creation *c, GError **error) {
        if (!c->running)
                return true;
        if (virDomainSuspend(c->domain) == 0) {
                c->stopped = true;
                return true;
        }
        backend_error_set(error, "Failed to pause '%s'", virDomainGetName(c->domain));
        return false;
}

/* The guest has to run for its agent to answer. */
bool creation_go_on(Creation *c, GError **error) {
        if (!c->stopped)
                return true;
        c->stopped = false;
        if (virDomainResume(c->domain) == 0)
                return true;
        backend_error_set(error, "Failed to let '%s' go on", virDomainGetName(c->domain));
        return false;
}

bool creation_exists(virDomainPtr domain, const char *id) {
        g_autoptr(virDomainSnapshot) snapshot = virDomainSnapshotLookupByName(domain, id, 0);

        return snapshot;
}

/* If the guest had thawed before, the snapshot says what it is. */
bool creation_thaw_guest(Job *job,
                const SnapshotRequest *request,
                virDomainPtr domain,
                const char *id,
                GError **error) {
        bool held;

        if (!freeze_end(job, &domain, 1, &held, error))
                return false;
        if (held || !creation_exists(domain, id))
                return true;
        job_log(job, LOG_WARNING, "The guest was thawed before the end of the snapshot");
        return describe(request, domain, id, false, error);
}

bool creation_thaw(Creation *c, GError **error) {
        if (!c->frozen)
                return true;
        c->frozen = false;
        return creation_thaw_guest(c->job, c->request, c->domain, c->id, error);
}

/* What is destroyed again in any case can be cancelled later. */
static bool may_go_on(const Creation *c) {
        return c->flags & CREATION_TEMPORARY || job_commit(c->job);
}

/* A libvirt that died has left QEMU a node that the next one does not know. It takes the next name
 * each time, and changes nothing before it has one. */
static bool is_name_taken(void) {
        return strstr(virGetLastErrorMessage(), "Duplicate nodes with node-name");
}

static bool call_libvirt(const Creation *c, GError **error) {
        bool memory = c->memory && c->active;
        unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
        g_autofree char *text = definition_of_new_snapshot(
                        c->id, NULL, memory ? c->memory : NULL, c->targets, c->overlays);
        g_autoptr(virDomainSnapshot) snapshot = NULL;

        if (!memory)
                flags |= VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY;
        else if (c->running && !c->host_state)
                flags |= VIR_DOMAIN_SNAPSHOT_CREATE_LIVE;
        if (!memory && !may_go_on(c))
                return false;
        job_do_not_ask(c->job, SILENCE_MSEC);
        for (unsigned i = 0; !snapshot && i < ATTEMPTS; i++) {
                snapshot = virDomainSnapshotCreateXML(c->domain, text, flags);
                if (!snapshot && !is_name_taken())
                        break;
        }
        if (!snapshot)
                backend_error_set(error, "Failed to take a snapshot of '%s'",
                                virDomainGetName(c->domain));
        return snapshot;
}

/* A saved state has a definition of its own, which names the disks that it goes on with. It is
 * changed first: while the overlays are not there, a start fails and harms nothing. */
static bool point_saved_state(const Creation *c, bool to_overlays, GError **error) {
        char *text = virDomainManagedSaveGetXMLDesc(c->domain, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
        g_autofree char *old = g_strdup(text), *new = NULL;
        GHashTableIter iter;
        void *target, *overlay;
        bool ok;

        free(text);
        g_hash_table_iter_init(&iter, c->overlays);
        while (old && g_hash_table_iter_next(&iter, &target, &overlay)) {
                const Disk *disk = disk_set_find(c->tree->disks, target);

                new = to_overlays ? definition_replace_image(
                                                    old, disk->path, overlay, "qcow2", NULL)
                                  : definition_replace_image(
                                                    old, overlay, disk->path, disk->format, NULL);
                if (!new)
                        continue;
                g_free(old);
                old = g_steal_pointer(&new);
        }
        ok = old && virDomainManagedSaveDefineXML(c->domain, old, 0) == 0;
        if (!ok)
                backend_error_set(error, "Failed to change the saved state of '%s'",
                                virDomainGetName(c->domain));
        return ok;
}

static bool take_saved(const Creation *c, GError **error) {
        if (!may_go_on(c) || !point_saved_state(c, true, error))
                return false;
        if (call_libvirt(c, error))
                return true;
        (void) point_saved_state(c, false, NULL);
        return false;
}

bool creation_take(Creation *c, GError **error) {
        if (c->saved)
                return take_saved(c, error);
        return (!creation_must_stop(c) || copy_host_state(c, error)) && call_libvirt(c, error);
}

static bool sync_memory(virDomainPtr domain, const char *id, GError **error) {
        g_autofree char *memory = saved_image_path_of_snapshot(domain, id, "memory");

        return !memory || !g_file_test(memory, G_FILE_TEST_EXISTS) ||
               image_file_sync(memory, error);
}

static void set_result(Job *job, const SnapshotRequest *request, const char *id) {
        bool point = request->type == SNAPSHOT_TYPE_REFERENCE_POINT;

        job->result_object = point ? bus_path_reference_point(job->uuid, id)
                                   : bus_path_snapshot(job->uuid, id);
        job_result(job, point ? "ReferencePointId" : "SnapshotID", id);
}

bool creation_conclude_taken(Job *job,
                const SnapshotRequest *request,
                virDomainPtr domain,
                const char *id,
                unsigned flags,
                GError **error) {
        g_autoptr(GHashTable) overlays = g_hash_table_new(g_str_hash, g_str_equal);
        g_auto(GStrv) paths = g_strsplit(job_recall(job, MEMORY_OVERLAYS) ?: "", "\n", -1);

        for (unsigned i = 0; paths[i]; i++)
                if (*paths[i])
                        g_hash_table_add(overlays, paths[i]);
        if (!(flags & CREATION_TEMPORARY))
                set_result(job, request, id);
        return image_notes_add(domain, IMAGE_MADE, overlays, error) &&
               sync_memory(domain, id, error) && libvirt_files_sync(domain, error);
}

bool creation_conclude(Creation *c, GError **error) {
        return creation_conclude_taken(c->job, c->request, c->domain, c->id, c->flags, error);
}

/* After a failure, and after an interruption */

bool creation_is_under_way(virDomainPtr domain) {
        virTypedParameterPtr params = NULL;
        int type = VIR_DOMAIN_JOB_NONE, operation = 0, n = 0;

        if (virDomainGetJobStats(domain, &type, &params, &n, 0) < 0)
                return false;
        (void) virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation);
        virTypedParamsFree(params, n);
        return type != VIR_DOMAIN_JOB_NONE && operation == VIR_DOMAIN_JOB_OPERATION_SNAPSHOT;
}

void creation_cancel(Job *job) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (job_may_ask(job) &&
                        backend_open_domain(job->backend, BACKEND_ABORT, job->uuid, &loan, NULL) &&
                        creation_is_under_way(loan.domain))
                (void) virDomainAbortJob(loan.domain);
}

bool creation_remove_overlays(Job *job, virDomainPtr domain, GError **error) {
        g_auto(GStrv) overlays = g_strsplit(job_recall(job, MEMORY_OVERLAYS) ?: "", "\n", -1);

        return overlays_remove(job, domain, overlays, error);
}

static bool is_lost(const GError *error) {
        return g_error_matches(error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE);
}

/* libvirt may have failed after it had changed the disks. */
static bool undo(Creation *c, GError **error) {
        bool goes_on = creation_go_on(c, error);
        bool thawed = creation_thaw(c, goes_on ? error : NULL);

        if (creation_exists(c->domain, c->id))
                return creation_conclude(c, goes_on && thawed ? error : NULL);
        creation_forget(c->domain, c->id);
        return creation_remove_overlays(c->job, c->domain, goes_on && thawed ? error : NULL) &&
               goes_on && thawed;
}

void creation_undo(Creation *c, GError **error) {
        g_autoptr(GError) cause = NULL;

        if (is_lost(*error) || undo(c, &cause))
                return;
        job_log(c->job, LOG_ERR, "%s", cause->message);
        if (!is_lost(cause))
                return;
        g_clear_error(error);
        g_propagate_error(error, g_steal_pointer(&cause));
}

static bool run(Creation *c, GError **error) {
        return creation_freeze(c, error) && (!creation_must_stop(c) || creation_stop(c, error)) &&
               creation_take(c, error) && creation_go_on(c, error) && creation_thaw(c, error);
}

bool creation_run(Creation *c, GError **error) {
        if (run(c, error))
                return creation_conclude(c, error);
        creation_undo(c, error);
        return false;
}

bool creation_whole_run(Job *job, GError **error) {
        g_autoptr(Creation) c = creation_prepare(job, job->request, 0, error);

        return c && creation_run(c, error);
}
