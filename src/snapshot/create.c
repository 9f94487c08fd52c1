/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* CreateSnapshot: Msvm_VirtualSystemSnapshotService::CreateSnapshot. The disks get overlays, so the
 * images below them stay as they are from now on; the memory of a guest that runs goes into a file
 * while it runs on (type 2). Firmware variables are copied, and a saved machine's state as well.
 *
 *     choose names ── remember them ── our metadata ── copy state ── libvirt: overlays (and memory)
 *
 * libvirt lets the guest run on and removes what it began when a snapshot with memory is cancelled.
 * Everything else takes a moment and is not cancelled. */

#include <string.h>
#include <syslog.h>

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "backend/snapshot-metadata.h"
#include "bus/bus-path.h"
#include "disk/image-file.h"
#include "disk/image.h"
#include "jobs/job.h"
#include "snapshot/collect.h"
#include "snapshot/image-notes.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/names.h"
#include "snapshot/operations.h"
#include "snapshot/state-file.h"
#include "snapshot/tree.h"
#include "util/name.h"

#define TYPE_FULL     2
#define TYPE_DISKS    3
#define TYPE_RECOVERY 32768

#define NOTES_BYTES 1024U

#define CONSISTENCY_APPLICATION 1
#define CONSISTENCY_CRASH       2

/* Before libvirt has begun with the memory, a question about the job waits until the end of it. */
#define SILENCE_MSEC 300
#define LOOK_MSEC    100

#define IDLE_LOOKS 5 /* without a job, before a snapshot that is not there counts as not made */

/* What settle() has to know. */
#define MEMORY_ID          "Id"
#define MEMORY_OVERLAYS    "Overlays"
#define MEMORY_WAS_RUNNING "WasRunning"
#define MEMORY_FROZEN      "Frozen"

typedef struct CreateRequest {
        Request common;
        uint32_t type, consistency, guest_backup_type;
        bool ignore_others; /* IgnoreNonSnapshottableDisks */
        char *name;
        char *notes;
} CreateRequest;

static bool check_numbers(const CreateRequest *request, GError **error) {
        bool memory = request->type == TYPE_FULL;

        if (request->type != TYPE_FULL && request->type != TYPE_DISKS &&
                        request->type != TYPE_RECOVERY)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The snapshot type must be 2 (full), 3 (disks only) or 32768 "
                                "(recovery)");
        else if (request->consistency > CONSISTENCY_CRASH)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "ConsistencyLevel must be 0, 1 (application consistent) or 2 "
                                "(crash consistent)");
        else if (request->guest_backup_type > 2)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "GuestBackupType must be 0, 1 (full) or 2 (copy)");
        else if (memory && request->consistency == CONSISTENCY_APPLICATION)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "A snapshot with memory is consistent by itself; ConsistencyLevel "
                                "1 is for types 3 and 32768");
        else
                return true;
        return false;
}

/* They are part of the machine's definition, of which each snapshot has a copy. */
static bool check_notes(const char *notes, GError **error) {
        bool ok = !notes || strlen(notes) <= NOTES_BYTES;

        for (const char *p = notes; ok && p && *p; p++)
                ok = !g_ascii_iscntrl(*p) || *p == '\n' || *p == '\t';
        if (!ok)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "Notes may have %u bytes and no control characters", NOTES_BYTES);
        return ok;
}

static bool create_parse(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"ConsistencyLevel", OPTION_UINT32, offsetof(CreateRequest, consistency),
                                        NO_SEEN},
                        {"IgnoreNonSnapshottableDisks", OPTION_BOOLEAN,
                                        offsetof(CreateRequest, ignore_others), NO_SEEN},
                        {"GuestBackupType", OPTION_UINT32,
                                        offsetof(CreateRequest, guest_backup_type), NO_SEEN},
                        {"ElementName", OPTION_STRING, offsetof(CreateRequest, name), NO_SEEN},
                        {"Notes", OPTION_STRING, offsetof(CreateRequest, notes), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };
        CreateRequest *own_request = request;
        uint16_t type;

        if (sd_bus_message_read(call, "q", &type) < 0) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The snapshot type can not be read");
                return false;
        }
        own_request->type = type;
        return bus_options_read(call, operation_common_options, own, request, error) &&
               check_notes(own_request->notes, error) &&
               (!own_request->name || name_check(own_request->name, error)) &&
               check_numbers(request, error);
}

static void create_store(const void *request, GKeyFile *file) {
        const CreateRequest *own = request;

        g_key_file_set_uint64(file, "Request", "Type", own->type);
        g_key_file_set_uint64(file, "Request", "Consistency", own->consistency);
        if (own->name)
                g_key_file_set_string(file, "Request", "Name", own->name);
        if (own->notes)
                g_key_file_set_string(file, "Request", "Notes", own->notes);
}

static void create_load(void *request, GKeyFile *file) {
        CreateRequest *own = request;

        own->type = (uint32_t) g_key_file_get_uint64(file, "Request", "Type", NULL);
        own->consistency = (uint32_t) g_key_file_get_uint64(file, "Request", "Consistency", NULL);
        own->name = g_key_file_get_string(file, "Request", "Name", NULL);
        own->notes = g_key_file_get_string(file, "Request", "Notes", NULL);
}

static void create_clear(void *request) {
        CreateRequest *own = request;

        g_free(own->name);
        g_free(own->notes);
}

static bool create_admit(const void *request, const MachineFacts *facts, GError **error) {
        const CreateRequest *own = request;

        if (own->type == TYPE_FULL || machine_state_from_facts(facts) != MACHINE_SAVED)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                        "A snapshot of '%s' without its saved state would not fit it; discard the "
                        "saved state or take a full snapshot",
                        facts->name);
        return false;
}

/* What is made */

typedef struct Plan {
        virDomainPtr domain;
        const CreateRequest *request;
        bool active, running, saved;
        SnapshotTree *tree;
        char uuid[VIR_UUID_STRING_BUFLEN];
        char *id;
        GPtrArray *targets;   /* all disks */
        GHashTable *overlays; /* target -> path, of those that take part */
        char *memory, *nvram; /* files; NULL: not part of it */
} Plan;

static void plan_clear(Plan *plan) {
        snapshot_tree_free(plan->tree);
        g_free(plan->id);
        g_clear_pointer(&plan->targets, g_ptr_array_unref);
        g_clear_pointer(&plan->overlays, g_hash_table_unref);
        g_free(plan->memory);
        g_free(plan->nvram);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plan, plan_clear)

/* A CD that lies in its drive is no part of the machine's state; a disk that the guest writes to
 * and that can't take part is. */
static bool plan_disk(Plan *plan, const Disk *disk, GError **error) {
        g_ptr_array_add(plan->targets, g_strdup(disk->target));
        if (disk_is_snapshottable(disk)) {
                g_hash_table_insert(plan->overlays, g_strdup(disk->target),
                                snapshot_overlay_path(
                                                disk->path, plan->id, plan->uuid, disk->target));
                return true;
        }
        if (disk->readonly || !disk->is_disk || plan->request->ignore_others)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "Disk %s can not be part of a snapshot; IgnoreNonSnapshottableDisks leaves "
                        "it out",
                        disk->target);
        return false;
}

static bool plan_disks(Plan *plan, GError **error) {
        const GPtrArray *disks = plan->tree->disks->disks;

        plan->targets = g_ptr_array_new_with_free_func(g_free);
        plan->overlays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        for (unsigned i = 0; i < disks->len; i++)
                if (!plan_disk(plan, disks->pdata[i], error))
                        return false;
        return true;
}

/* The TPM's state is in the memory image, and nowhere else where we could take it from. */
static bool plan_files(Plan *plan, GError **error) {
        const char *path = plan->tree->disks->nvram;
        bool nvram = path && g_file_test(path, G_FILE_TEST_EXISTS);

        if (plan->request->type == TYPE_FULL && (plan->active || plan->saved))
                plan->memory = saved_image_path_of_snapshot(plan->domain, plan->id, "memory");
        if (nvram) /* it comes with the first start */
                plan->nvram = saved_image_path_of_snapshot(plan->domain, plan->id, "nvram");
        if (plan->tree->disks->has_tpm && !plan->memory) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "The state of the TPM of '%s' can only be part of a snapshot with "
                                "memory",
                                virDomainGetName(plan->domain));
                return false;
        }
        if ((plan->memory || plan->request->type != TYPE_FULL || (!plan->active && !plan->saved)) &&
                        (plan->nvram || !nvram))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "The files of this hypervisor are out of reach");
        return false;
}

static bool plan_make(Plan *plan, GError **error) {
        int state, reason;

        if (virDomainGetUUIDString(plan->domain, plan->uuid) < 0 ||
                        virDomainGetState(plan->domain, &state, &reason, 0) < 0) {
                backend_error_set(error, "Failed to look at '%s'", virDomainGetName(plan->domain));
                return false;
        }
        if (virDomainIsPersistent(plan->domain) != 1) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "'%s' is gone when it is turned off, and its snapshots would be",
                                virDomainGetName(plan->domain));
                return false;
        }
        plan->tree = snapshot_tree_read(plan->domain, error);
        if (!plan->tree)
                return false;
        plan->active = plan->tree->active;
        plan->running = state == VIR_DOMAIN_RUNNING;
        plan->saved = !plan->active && virDomainHasManagedSaveImage(plan->domain, 0) == 1;
        if (!snapshot_check_room(plan->tree, error))
                return false;
        plan->id = snapshot_new_id(plan->tree, plan->request->name);
        return plan_disks(plan, error) && plan_files(plan, error);
}

static bool remember(Job *job, const Plan *plan, GError **error) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new();
        g_autofree char *text = NULL;
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, plan->overlays);
        while (g_hash_table_iter_next(&iter, NULL, &path))
                g_ptr_array_add(paths, path);
        g_ptr_array_add(paths, NULL);
        text = g_strjoinv("\n", (char **) paths->pdata);
        return job_remember(job, MEMORY_OVERLAYS, text, error) &&
               (!plan->running || job_remember(job, MEMORY_WAS_RUNNING, "true", error)) &&
               (plan->request->consistency != CONSISTENCY_APPLICATION || !plan->active ||
                               job_remember(job, MEMORY_FROZEN, "true", error)) &&
               job_remember(job, MEMORY_ID, plan->id, error);
}

/* The steps */

static void on_copied(uint64_t done, uint64_t total, void *userdata) {
        job_progress(userdata, done, total);
}

static bool on_stop(void *userdata) {
        return job_is_cancelled(userdata);
}

static bool copy_variables(const Plan *plan, GError **error) {
        return !plan->nvram || state_file_copy(plan->tree->disks->nvram, plan->nvram, NULL, error);
}

static bool copy_state(Job *job, const Plan *plan, GError **error) {
        const StateFileHooks hooks = {on_copied, on_stop, job};
        g_autofree char *image =
                        plan->saved && plan->memory ? saved_image_path(plan->domain) : NULL;

        if (!copy_variables(plan, error))
                return false;
        if (!plan->saved || !plan->memory)
                return true;
        if (image)
                return state_file_copy(image, plan->memory, &hooks, error);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                        "The saved state is out of reach");
        return false;
}

static bool call_libvirt(Job *job, const Plan *plan, GError **error) {
        bool memory = plan->memory && plan->active;
        bool freeze = plan->request->consistency == CONSISTENCY_APPLICATION && plan->active;
        unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
        g_autofree char *text = definition_of_new_snapshot(plan->id, NULL,
                        memory ? plan->memory : NULL, plan->targets, plan->overlays);
        virDomainSnapshotPtr snapshot;

        if (!memory)
                flags |= VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY;
        else if (plan->running && !plan->nvram)
                flags |= VIR_DOMAIN_SNAPSHOT_CREATE_LIVE;
        if (freeze)
                flags |= VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE;
        if (!memory && !job_commit(job))
                return false;
        job_do_not_ask(job, SILENCE_MSEC);
        snapshot = virDomainSnapshotCreateXML(plan->domain, text, flags);
        if (!snapshot) {
                backend_error_set(error, "Failed to take a snapshot of '%s'",
                                virDomainGetName(plan->domain));
                return false;
        }
        (void) virDomainSnapshotFree(snapshot);
        return true;
}

/* A saved state has a definition of its own, which names the disks that it goes on with. It is
 * changed first: while the overlays are not there, a start fails and harms nothing. */
static bool point_saved_state(const Plan *plan, bool to_overlays, GError **error) {
        char *text = virDomainManagedSaveGetXMLDesc(plan->domain, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
        g_autofree char *old = g_strdup(text), *new = NULL;
        GHashTableIter iter;
        void *target, *overlay;
        bool ok;

        free(text);
        g_hash_table_iter_init(&iter, plan->overlays);
        while (old && g_hash_table_iter_next(&iter, &target, &overlay)) {
                const Disk *disk = disk_set_find(plan->tree->disks, target);

                new = to_overlays ? definition_replace_image(
                                                    old, disk->path, overlay, "qcow2", NULL)
                                  : definition_replace_image(
                                                    old, overlay, disk->path, disk->format, NULL);
                if (!new)
                        continue;
                g_free(old);
                old = g_steal_pointer(&new);
        }
        ok = old && virDomainManagedSaveDefineXML(plan->domain, old, 0) == 0;
        if (!ok)
                backend_error_set(error, "Failed to change the saved state of '%s'",
                                virDomainGetName(plan->domain));
        return ok;
}

/* The guest writes its firmware variables without asking us; while it is stopped they fit its
 * disks. With memory libvirt stops it, and would note that it was stopped if we did. */
static bool take_stopped(Job *job, const Plan *plan, GError **error) {
        bool ok;

        if (virDomainSuspend(plan->domain) < 0) {
                backend_error_set(error, "Failed to pause '%s'", virDomainGetName(plan->domain));
                return false;
        }
        ok = copy_variables(plan, error) && call_libvirt(job, plan, error);
        if (virDomainResume(plan->domain) == 0 || !ok)
                return ok;
        backend_error_set(error, "Failed to let '%s' go on", virDomainGetName(plan->domain));
        return false;
}

static bool take(Job *job, const Plan *plan, GError **error) {
        if (plan->running && plan->nvram && !plan->memory)
                return take_stopped(job, plan, error);
        if (!plan->saved)
                return call_libvirt(job, plan, error);
        if (!job_commit(job) || !point_saved_state(plan, true, error))
                return false;
        if (call_libvirt(job, plan, error))
                return true;
        (void) point_saved_state(plan, false, NULL);
        return false;
}

/* Before there is a snapshot: what clients see of it does not change afterwards. */
static bool describe(Job *job, virDomainPtr domain, const char *id, GError **error) {
        const CreateRequest *request = job->request;
        bool application = request->consistency == CONSISTENCY_APPLICATION;
        const SnapshotMetadata entry = {.id = (char *) id,
                        .name = request->name,
                        .notes = request->notes,
                        .type = request->type,
                        .consistency = application ? CONSISTENCY_APPLICATION : CONSISTENCY_CRASH};

        return snapshot_metadata_set(domain, &entry, error);
}

static bool sync_memory(virDomainPtr domain, const char *id, GError **error) {
        g_autofree char *memory = saved_image_path_of_snapshot(domain, id, "memory");

        return !memory || !g_file_test(memory, G_FILE_TEST_EXISTS) ||
               image_file_sync(memory, error);
}

static bool conclude(Job *job, virDomainPtr domain, const char *id, GError **error) {
        g_autoptr(GHashTable) overlays = g_hash_table_new(g_str_hash, g_str_equal);
        g_auto(GStrv) paths = g_strsplit(job_recall(job, MEMORY_OVERLAYS) ?: "", "\n", -1);

        for (unsigned i = 0; paths[i]; i++)
                if (*paths[i])
                        g_hash_table_add(overlays, paths[i]);
        job->result_object = bus_path_snapshot(job->uuid, id);
        job_result(job, "SnapshotID", id);
        return image_notes_add(domain, IMAGE_MADE, overlays, error) &&
               sync_memory(domain, id, error) && libvirt_files_sync(domain, error);
}

/* What there would be beside libvirt's snapshot. */
static void forget(virDomainPtr domain, const char *id) {
        g_autofree char *memory = saved_image_path_of_snapshot(domain, id, "memory");
        g_autofree char *nvram = saved_image_path_of_snapshot(domain, id, "nvram");

        if (memory)
                state_file_remove(memory);
        if (nvram)
                state_file_remove(nvram);
        (void) snapshot_metadata_remove(domain, id, NULL);
}

static bool exists(virDomainPtr domain, const char *id) {
        virDomainSnapshotPtr snapshot = virDomainSnapshotLookupByName(domain, id, 0);

        if (snapshot)
                (void) virDomainSnapshotFree(snapshot);
        return snapshot;
}

static bool create_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_auto(Plan) plan = {.request = job->request};

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        plan.domain = loan.domain;
        if (!plan_make(&plan, error) || !remember(job, &plan, error))
                return false;
        forget(loan.domain, plan.id); /* of one that had this name before */
        if (describe(job, loan.domain, plan.id, error) && copy_state(job, &plan, error) &&
                        take(job, &plan, error))
                return conclude(job, loan.domain, plan.id, error);
        /* Nobody knows what libvirt has done; settle() will find out. */
        if (g_error_matches(*error, VIRTASK_ERROR, VIRTASK_ERROR_HYPERVISOR_UNAVAILABLE) ||
                        exists(loan.domain, plan.id))
                return false;
        forget(loan.domain, plan.id);
        return false;
}

/* After an interruption */

static bool is_busy(virDomainPtr domain) {
        virTypedParameterPtr params = NULL;
        int type = VIR_DOMAIN_JOB_NONE, operation = 0, n = 0;

        if (virDomainGetJobStats(domain, &type, &params, &n, 0) < 0)
                return false;
        (void) virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation);
        virTypedParamsFree(params, n);
        return type != VIR_DOMAIN_JOB_NONE && operation == VIR_DOMAIN_JOB_OPERATION_SNAPSHOT;
}

/* libvirt had changed the disks, and not yet noted the snapshot: what was written since then is in
 * the overlay, and goes back into the image below. */
static bool take_back(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                char **overlays,
                GError **error) {
        g_autoptr(GHashTable) made = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) below = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; overlays[i]; i++) {
                const TreeImage *image = g_hash_table_lookup(tree->images, overlays[i]);

                if (!image || !image->backing)
                        continue;
                g_hash_table_add(made, image->path);
                g_hash_table_add(below, image->backing);
        }
        return image_notes_add(domain, IMAGE_MADE, made, error) &&
               image_notes_add(domain, IMAGE_HIDDEN, below, error) &&
               collect_images(job, domain, error);
}

static bool remove_overlays(Job *job, virDomainPtr domain, GError **error) {
        const char *text = job_recall(job, MEMORY_OVERLAYS);
        g_auto(GStrv) paths = g_strsplit(text ?: "", "\n", -1);
        g_autoptr(SnapshotTree) tree = snapshot_tree_read(domain, error);

        if (!tree)
                return false;
        for (unsigned i = 0; paths[i]; i++)
                if (*paths[i] && !g_hash_table_contains(tree->images, paths[i]) &&
                                !image_remove(paths[i], error))
                        return false;
        return take_back(job, domain, tree, paths, error);
}

static void wake(Job *job, virDomainPtr domain) {
        int state, reason;

        if (job_recall(job, MEMORY_FROZEN))
                (void) virDomainFSThaw(domain, NULL, 0, 0);
        if (job_recall(job, MEMORY_WAS_RUNNING) &&
                        virDomainGetState(domain, &state, &reason, 0) == 0 &&
                        state == VIR_DOMAIN_PAUSED && reason != VIR_DOMAIN_PAUSED_IOERROR)
                (void) virDomainResume(domain);
}

/* libvirt knows the snapshot before it is made. And it writes the definition first, but a file
 * system that does not keep the order may have lost that in a power cut, and not the snapshot. */
static bool rests_on_overlays(const Job *job, virDomainPtr domain) {
        g_auto(GStrv) paths = g_strsplit(job_recall(job, MEMORY_OVERLAYS) ?: "", "\n", -1);
        g_autofree char *definition = snapshot_tree_definition(domain, true, NULL);
        g_autoptr(DiskSet) disks = definition ? disk_set_parse(definition, NULL) : NULL;
        unsigned found = 0;

        for (unsigned i = 0; disks && i < disks->disks->len; i++) {
                const Disk *disk = disks->disks->pdata[i];

                found += disk->path && g_strv_contains((const char *const *) paths, disk->path);
        }
        return !disks || found == g_strv_length(paths);
}

/* libvirt does not sync it before it describes the snapshot. */
static bool is_memory_lost(virDomainPtr domain, const char *id) {
        g_autofree char *memory = saved_image_path_of_snapshot(domain, id, "memory");
        bool was_running;

        return memory && saved_image_inspect(memory, &was_running) == SAVED_IMAGE_PARTIAL;
}

/* Whether libvirt has made the snapshot, or still does. */
static bool is_made(Job *job, virDomainPtr domain, const char *id) {
        for (unsigned idle = 0; idle < IDLE_LOOKS; idle++) {
                if (exists(domain, id) && rests_on_overlays(job, domain) &&
                                !is_memory_lost(domain, id))
                        return true;
                if (is_busy(domain))
                        idle = 0;
                job_wait(job, LOOK_MSEC);
        }
        return false;
}

static void remove_description(virDomainPtr domain, const char *id) {
        virDomainSnapshotPtr snapshot = virDomainSnapshotLookupByName(domain, id, 0);

        if (!snapshot)
                return;
        (void) virDomainSnapshotDelete(snapshot, VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY);
        (void) virDomainSnapshotFree(snapshot);
}

static bool create_settle(Job *job, GError **error) {
        const char *id = job_recall(job, MEMORY_ID);
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        libvirt_files_tidy(loan.domain);
        if (id && is_made(job, loan.domain, id)) {
                wake(job, loan.domain);
                return conclude(job, loan.domain, id, error);
        }
        if (id) {
                wake(job, loan.domain);
                remove_description(loan.domain, id);
                forget(loan.domain, id);
                libvirt_files_align_saved_state(loan.domain);
                if (!remove_overlays(job, loan.domain, error))
                        return false;
        }
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "Taking a snapshot of '%s' was interrupted; nothing has changed",
                        virDomainGetName(loan.domain));
        return false;
}

/* Progress and cancel: of the memory */

static bool create_progress(Job *job, Progress *ret) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        virTypedParameterPtr params = NULL;
        unsigned long long total = 0, remaining = 0;
        int type = VIR_DOMAIN_JOB_NONE, n = 0;

        if (job_counted(job, ret))
                return true;
        if (!job_may_ask(job) ||
                        !backend_open_domain(
                                        job->backend, BACKEND_PROGRESS, job->uuid, &loan, NULL) ||
                        virDomainGetJobStats(loan.domain, &type, &params, &n, 0) < 0)
                return false;
        if (type != VIR_DOMAIN_JOB_NONE) {
                (void) virTypedParamsGetULLong(params, n, VIR_DOMAIN_JOB_DATA_TOTAL, &total);
                (void) virTypedParamsGetULLong(
                                params, n, VIR_DOMAIN_JOB_DATA_REMAINING, &remaining);
        }
        virTypedParamsFree(params, n);
        if (total == 0 || remaining > total)
                return false;
        *ret = (Progress){.done = total - remaining, .total = total};
        return true;
}

static void create_cancel(Job *job) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (job_may_ask(job) &&
                        backend_open_domain(job->backend, BACKEND_ABORT, job->uuid, &loan, NULL) &&
                        is_busy(loan.domain))
                (void) virDomainAbortJob(loan.domain);
}

const Operation operation_snapshot_create = {
                .name = "snapshot-create",
                .interface = "SnapshotService",
                .member = "CreateSnapshot",
                .signature = "qa{sv}",
                .argument_names = "snapshot_type\0snapshot_settings\0task\0",
                .action = "org.virtask1.snapshot",
                .gerund = "Taking a snapshot of",
                .job_type = 70,
                .operational_status = 32768,
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_ENDS_WITH_US,
                .lane = LANE_LONG,
                .request_size = sizeof(CreateRequest),
                .parse = create_parse,
                .request_store = create_store,
                .request_load = create_load,
                .request_clear = create_clear,
                .admit = create_admit,
                .run = create_run,
                .settle = create_settle,
                .progress = create_progress,
                .cancel = create_cancel,
};
