/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Apply: Msvm_VirtualSystemSnapshotService::ApplySnapshot. libvirt 9.0 can not revert to snapshots
 * with overlays, so it is done here:
 *
 *     new overlays on the images of the snapshot ── commit ── all overlays are noted as waste
 *        ── end the guest ── firmware variables ── definition of that time with the new overlays
 *        ── this one is current ── memory, paused ── remember that ── go on ── collect the waste
 *
 * Until the commit nothing has changed but that there are new files. After it the guest's present
 * is given up, and whoever interrupts us finds the steps repeated by settle(), each of which may be
 * done twice, until it is remembered that the guest is back: before, it has not run. What is noted
 * as waste too early costs nothing, as nothing is collected that a disk shows. A snapshot without
 * memory leaves the machine off.
 *
 * A snapshot inside its image is reverted to by libvirt. */

#include <libvirt/virterror.h>
#include <syslog.h>
#include <unistd.h>

#include "backend/backend-error.h"
#include "backend/backend.h"
#include "backend/saved-image.h"
#include "disk/image.h"
#include "jobs/job.h"
#include "snapshot/collect.h"
#include "snapshot/host-state.h"
#include "snapshot/image-notes.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/memory.h"
#include "snapshot/names.h"
#include "snapshot/operations.h"
#include "snapshot/state-file.h"
#include "snapshot/tree.h"

/* What settle() has to know. */
#define MEMORY_OVERLAYS   "Overlays"   /* target, path, target, path */
#define MEMORY_REPLACED   "Replaced"   /* the files that the disks had */
#define MEMORY_DEFINITION "Definition" /* with what is noted in it */
#define MEMORY_STAGE      "Stage"      /* once the present is given up */

#define STAGE_REPLACING "replacing"
#define STAGE_REVERTING "reverting" /* libvirt does it */
#define STAGE_RESTORED  "restored"  /* paused, and is to go on */
#define STAGE_DONE      "done"      /* only waste is left */

typedef struct ApplyRequest {
        Request common;
        bool paused;
} ApplyRequest;

static bool apply_parse(sd_bus_message *call, void *request, GError **error) {
        static const OptionSpec own[] = {
                        {"Paused", OPTION_BOOLEAN, offsetof(ApplyRequest, paused), NO_SEEN},
                        {NULL, 0, 0, NO_SEEN},
        };

        return bus_options_read(call, operation_common_options, own, request, error);
}

static void apply_store(const void *request, GKeyFile *file) {
        g_key_file_set_boolean(file, "Request", "Paused", ((const ApplyRequest *) request)->paused);
}

static void apply_load(void *request, GKeyFile *file) {
        ((ApplyRequest *) request)->paused =
                        g_key_file_get_boolean(file, "Request", "Paused", NULL);
}

static bool fail(GError **error, virDomainPtr domain, const char *what) {
        backend_error_set(error, "Failed to %s '%s'", what, virDomainGetName(domain));
        return false;
}

static SnapshotDefinition *find(const Job *job, const SnapshotTree *tree, GError **error) {
        const Request *request = job->request;
        SnapshotDefinition *snapshot = snapshot_tree_find(tree, request->snapshot);

        if (!snapshot)
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                                "The snapshot '%s' is gone", request->snapshot);
        return snapshot;
}

/* The end */

/* Waste that can't be removed now is no reason to fail: it is noted. */
static void clean_up(Job *job, virDomainPtr domain) {
        g_autoptr(GError) cause = NULL;

        if (!collect_images(job, domain, &cause))
                job_log(job, LOG_WARNING, "Images that are not needed any more stay for now: %s",
                                cause->message);
}

/* The guest has a new present from here on, which nobody gave up. */
static bool go_on(Job *job, virDomainPtr domain, GError **error) {
        int state, reason;

        if (g_str_equal(job_recall(job, MEMORY_STAGE), STAGE_DONE))
                return true;
        if (virDomainGetState(domain, &state, &reason, 0) < 0 ||
                        (state == VIR_DOMAIN_PAUSED && virDomainResume(domain) < 0))
                return fail(error, domain, "resume");
        return job_remember(job, MEMORY_STAGE, STAGE_DONE, error);
}

static bool finish(Job *job, virDomainPtr domain, GError **error) {
        bool ok = go_on(job, domain, error);

        clean_up(job, domain);
        return ok;
}

/* The guest is back, if the snapshot has memory, and has not run yet. */
static bool conclude(Job *job, virDomainPtr domain, bool ran, GError **error) {
        const ApplyRequest *request = job->request;
        bool goes_on = ran && !request->paused;

        return job_remember(job, MEMORY_STAGE, goes_on ? STAGE_RESTORED : STAGE_DONE, error) &&
               finish(job, domain, error);
}

/* Inside the image */

/* libvirt would start a machine that was off, if it is to be paused. */
static bool revert(virDomainPtr domain, const SnapshotDefinition *snapshot, GError **error) {
        bool off = g_str_equal(snapshot->state, "shutoff");
        unsigned flags = VIR_DOMAIN_SNAPSHOT_REVERT_FORCE |
                         (off ? 0 : VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED);
        g_autoptr(virDomainSnapshot) handle =
                        virDomainSnapshotLookupByName(domain, snapshot->id, 0);

        return (handle && virDomainRevertToSnapshot(handle, flags) == 0) ||
               fail(error, domain, "apply the snapshot of");
}

/* libvirt brings the definition of that time back, with what we noted in it then. */
static bool bring_notes_back(Job *job, virDomainPtr domain, GError **error) {
        const char *before = job_recall(job, MEMORY_DEFINITION);
        g_autofree char *then = snapshot_tree_definition(domain, true, error), *text = NULL;

        text = then && before ? definition_with_identity(then, before, error) : NULL;
        return text && snapshot_tree_define(domain, text, error);
}

static bool remember_definition(Job *job, virDomainPtr domain, GError **error) {
        g_autofree char *text = snapshot_tree_definition(domain, true, error);

        return text && job_remember(job, MEMORY_DEFINITION, text, error);
}

static bool revert_and_conclude(
                Job *job, virDomainPtr domain, const SnapshotDefinition *snapshot, GError **error) {
        return revert(domain, snapshot, error) && bring_notes_back(job, domain, error) &&
               conclude(job, domain, g_str_equal(snapshot->state, "running"), error);
}

/* libvirt writes into the image. */
static bool check_nobody_else(
                const SnapshotTree *tree, const SnapshotDefinition *snapshot, GError **error) {
        g_autoptr(DiskSet) then = disk_set_parse(snapshot->domain, error);

        if (!then)
                return false;
        for (unsigned i = 0; i < snapshot->targets->len; i++) {
                const char *target = snapshot->targets->pdata[i];
                const Disk *disk = disk_set_find(then, target);
                const Disk *now = disk_set_find(tree->disks, target);

                if (disk && now && g_strcmp0(disk->path, now->path) == 0)
                        continue;
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "The snapshot '%s' lies inside an image that the machine has left "
                                "behind; apply or destroy the later ones first",
                                snapshot->id);
                return false;
        }
        return true;
}

static bool revert_internal(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GError **error) {
        return check_nobody_else(tree, snapshot, error) &&
               remember_definition(job, domain, error) && job_commit(job) &&
               job_remember(job, MEMORY_STAGE, STAGE_REVERTING, error) &&
               revert_and_conclude(job, domain, snapshot, error);
}

/* The new overlays */

static bool plan_overlays(Job *job,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                const DiskSet *frozen,
                GHashTable *overlays,
                GError **error) {
        g_autoptr(GPtrArray) list = g_ptr_array_new();

        for (unsigned i = 0; i < snapshot->targets->len; i++) {
                const Disk *disk = disk_set_find(frozen, snapshot->targets->pdata[i]);
                char *path;

                if (!disk || !disk_is_snapshottable(disk))
                        continue;
                path = snapshot_overlay_path(
                                tree, disk->path, snapshot->id, job->uuid, disk->target);
                g_hash_table_insert(overlays, g_strdup(disk->target), path);
                g_ptr_array_add(list, disk->target);
                g_ptr_array_add(list, path);
        }
        g_ptr_array_add(list, NULL);
        return job_remember_list(job, MEMORY_OVERLAYS, (const char *const *) list->pdata, error);
}

static bool make_overlays(Job *job, const DiskSet *frozen, GHashTable *overlays, GError **error) {
        GHashTableIter iter;
        void *target, *path;

        g_hash_table_iter_init(&iter, overlays);
        while (g_hash_table_iter_next(&iter, &target, &path)) {
                const Disk *disk = disk_set_find(frozen, target);

                if (job_is_cancelled(job) ||
                                !image_create_overlay(path, disk->path, disk->format, error))
                        return false;
        }
        return true;
}

static GHashTable *recall_overlays(const Job *job) {
        g_auto(GStrv) list = job_recall_list(job, MEMORY_OVERLAYS);
        GHashTable *overlays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        for (unsigned i = 0; list[i] && list[i + 1]; i += 2)
                g_hash_table_insert(overlays, g_strdup(list[i]), g_strdup(list[i + 1]));
        return overlays;
}

static void remove_overlays(GHashTable *overlays) {
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, overlays);
        while (g_hash_table_iter_next(&iter, NULL, &path))
                (void) image_remove(path, NULL);
}

/* The images that the disks show now are nobody's afterwards, unless a snapshot froze them. */
static bool remember_replaced(Job *job, const SnapshotTree *tree, GError **error) {
        g_autoptr(GPtrArray) list = g_ptr_array_new();

        for (unsigned i = 0; i < tree->disks->disks->len; i++) {
                const Disk *disk = tree->disks->disks->pdata[i];

                if (disk_is_snapshottable(disk))
                        g_ptr_array_add(list, disk->path);
        }
        g_ptr_array_add(list, NULL);
        return job_remember_list(job, MEMORY_REPLACED, (const char *const *) list->pdata, error);
}

/* Ours are the new overlays, and those that were made with any snapshot, whoever took it. A set;
 * borrowed. */
static GHashTable *made_by_snapshots(const SnapshotTree *tree, GHashTable *overlays) {
        GHashTable *made = g_hash_table_new(g_str_hash, g_str_equal);
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, overlays);
        while (g_hash_table_iter_next(&iter, NULL, &path))
                g_hash_table_add(made, path);
        for (unsigned i = 0; i < tree->snapshots->len; i++) {
                g_autoptr(GHashTable) own = image_notes_made_with(tree->snapshots->pdata[i]);

                g_hash_table_iter_init(&iter, own);
                while (g_hash_table_iter_next(&iter, &path, NULL))
                        if (g_hash_table_contains(tree->images, path))
                                g_hash_table_add(made, path);
        }
        return made;
}

/* Before the first step that may fail: the old overlays and the new ones. Those that the disks show
 * in the end, whichever they are, are taken off the list when the waste is collected. */
static bool note_waste(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                GHashTable *overlays,
                GError **error) {
        g_autoptr(GHashTable) made = made_by_snapshots(tree, overlays);
        g_autoptr(GHashTable) waste = g_hash_table_new(g_str_hash, g_str_equal);
        g_auto(GStrv) replaced = job_recall_list(job, MEMORY_REPLACED);
        GHashTableIter iter;
        void *path;

        for (unsigned i = 0; replaced[i]; i++)
                g_hash_table_add(waste, replaced[i]);
        g_hash_table_iter_init(&iter, overlays);
        while (g_hash_table_iter_next(&iter, NULL, &path))
                g_hash_table_add(waste, path);
        return image_notes_add(domain, IMAGE_MADE, made, error) &&
               image_notes_add(domain, IMAGE_HIDDEN, waste, error);
}

/* The replacement; every step may be done twice. */

/* It may be ending already, by the hand of a daemon that died since. */
static bool end_guest(virDomainPtr domain, GError **error) {
        if (virDomainIsActive(domain) == 1 && virDomainDestroy(domain) < 0 &&
                        virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID)
                return fail(error, domain, "end");
        if (saved_image_exists(domain) == 1 && virDomainManagedSaveRemove(domain, 0) < 0)
                return fail(error, domain, "discard the saved state of");
        return true;
}

/* The name and what we note in the definition are of today, whatever was then. A disk that is no
 * part of the snapshot stays as it is: what it was then may be another snapshot's by now. */
static char *definition_to_define(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autofree char *now = snapshot_tree_definition(domain, true, error);
        g_autofree char *text = NULL;

        if (now)
                text = definition_with_other_disks(
                                domain_xml_with_sources(snapshot->domain_to_define, overlays,
                                                "qcow2", error),
                                tree->disks, overlays);
        return text ? definition_with_identity(text, now, error) : NULL;
}

static bool define(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autofree char *text = definition_to_define(domain, tree, snapshot, overlays, error);

        return text && snapshot_tree_define(domain, text, error);
}

/* While nothing is given up. */
static bool check_definition(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autofree char *text = definition_to_define(domain, tree, snapshot, overlays, error);

        return text && snapshot_tree_check_room(domain, snapshot->id, error);
}

static bool replace_present(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        bool ran;

        if (!end_guest(domain, error) ||
                        !host_state_restore(domain, tree->disks, snapshot->id, error) ||
                        !define(domain, tree, snapshot, overlays, error) ||
                        !snapshot_tree_make_current(domain, snapshot->id, error) ||
                        !libvirt_files_sync(domain, error))
                return false;
        job_status(job, "restoring memory");
        return snapshot_memory_restore(domain, tree, snapshot, overlays, &ran, error) &&
               conclude(job, domain, ran, error);
}

static bool prepare(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autoptr(DiskSet) frozen = disk_set_parse(snapshot->domain, error);
        bool exists;

        return frozen && plan_overlays(job, tree, snapshot, frozen, overlays, error) &&
               make_overlays(job, frozen, overlays, error) &&
               check_definition(domain, tree, snapshot, overlays, error) &&
               snapshot_memory_check(domain, tree, snapshot, overlays, &exists, error) &&
               remember_replaced(job, tree, error) && job_commit(job) &&
               job_remember(job, MEMORY_STAGE, STAGE_REPLACING, error) &&
               note_waste(job, domain, tree, overlays, error);
}

static bool apply_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(SnapshotTree) tree = NULL;
        g_autoptr(GHashTable) overlays =
                        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        const SnapshotDefinition *snapshot;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        tree = snapshot_tree_read(loan.domain, error);
        snapshot = tree ? find(job, tree, error) : NULL;
        if (!snapshot)
                return false;
        if (!snapshot->external)
                return revert_internal(job, loan.domain, tree, snapshot, error);
        if (prepare(job, loan.domain, tree, snapshot, overlays, error))
                return replace_present(job, loan.domain, tree, snapshot, overlays, error);
        remove_overlays(overlays);
        return false;
}

/* After an interruption */

/* Somebody let the guest go on, or started it: to begin again would take that from it. */
static bool is_inhabited(virDomainPtr domain, const SnapshotTree *tree, GHashTable *overlays) {
        GHashTableIter iter;
        void *target, *path;
        int state, reason;

        if (virDomainGetState(domain, &state, &reason, 0) < 0 || state != VIR_DOMAIN_RUNNING)
                return false;
        g_hash_table_iter_init(&iter, overlays);
        while (g_hash_table_iter_next(&iter, &target, &path)) {
                const Disk *disk = disk_set_find(tree->disks, target);

                if (!disk || g_strcmp0(disk->path, path) != 0)
                        return false;
        }
        return g_hash_table_size(overlays) > 0;
}

/* What is in them fits no memory, if anybody wrote to them. Of a snapshot without memory they are
 * the disks of a machine that may have been used since. */
static bool renew_overlays(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autoptr(DiskSet) frozen = disk_set_parse(snapshot->domain, error);
        GHashTableIter iter;
        void *target, *path;
        bool exists;

        if (!frozen || !snapshot_memory_check(domain, tree, snapshot, overlays, &exists, error))
                return false;
        g_hash_table_iter_init(&iter, overlays);
        while (g_hash_table_iter_next(&iter, &target, &path)) {
                const Disk *disk = disk_set_find(frozen, target);

                if (disk && (exists || access(path, F_OK) < 0) &&
                                !image_replace_overlay(path, disk->path, disk->format, error))
                        return false;
        }
        return true;
}

static bool replace_again(Job *job, virDomainPtr domain, GHashTable *overlays, GError **error) {
        g_autoptr(SnapshotTree) tree = snapshot_tree_read(domain, error);
        const SnapshotDefinition *snapshot;

        if (!tree || !note_waste(job, domain, tree, overlays, error))
                return false;
        snapshot = find(job, tree, error);
        if (!snapshot)
                return false;
        if (!snapshot->external)
                return revert_and_conclude(job, domain, snapshot, error);
        if (is_inhabited(domain, tree, overlays))
                return snapshot_tree_make_current(domain, snapshot->id, error) &&
                       conclude(job, domain, false, error);
        return end_guest(domain, error) &&
               renew_overlays(domain, tree, snapshot, overlays, error) &&
               replace_present(job, domain, tree, snapshot, overlays, error);
}

static bool apply_settle(Job *job, GError **error) {
        const char *stage = job_recall(job, MEMORY_STAGE);
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GHashTable) overlays = recall_overlays(job);

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        if (!stage) {
                remove_overlays(overlays);
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                "Applying a snapshot of '%s' was interrupted; nothing has changed",
                                virDomainGetName(loan.domain));
                return false;
        }
        libvirt_files_tidy(loan.domain);
        if (g_str_equal(stage, STAGE_REPLACING) || g_str_equal(stage, STAGE_REVERTING))
                return replace_again(job, loan.domain, overlays, error);
        return finish(job, loan.domain, error);
}

const Operation operation_snapshot_apply = {
                .name = "snapshot-apply",
                .interface = "Snapshot",
                .member = "Apply",
                .signature = "a{sv}",
                .argument_names = "options\0task\0",
                .action = "org.virtask1.snapshot-apply",
                .gerund = "Applying a snapshot of",
                .job_type = 71,
                .operational_status = 32769,
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_INHIBITS |
                         OPERATION_CHANGES_CHAINS | OPERATION_ENDS_WITH_US | OPERATION_FAMILY_A,
                .lane = LANE_LONG,
                .request_size = sizeof(ApplyRequest),
                .parse = apply_parse,
                .request_store = apply_store,
                .request_load = apply_load,
                .run = apply_run,
                .settle = apply_settle,
};
