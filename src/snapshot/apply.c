/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Apply: Msvm_VirtualSystemSnapshotService::ApplySnapshot. libvirt 9.0 can not revert to snapshots
 * with overlays, so it is done here:
 *
 *     new overlays on the images of the snapshot ── commit ── end the guest ── firmware variables
 *        ── definition of that time with the new overlays ── this one is current ── the overlays
 *        that the machine had are waste ── memory ── collect the waste
 *
 * Until the commit nothing has changed but that there are new files. After it the guest's present
 * is given up, and whoever interrupts us finds the steps repeated by settle(), each of which may be
 * done twice. A snapshot without memory leaves the machine off.
 *
 * A snapshot inside its image is reverted to by libvirt. */

#include <syslog.h>

#include "backend/backend-error.h"
#include "backend/backend.h"
#include "backend/saved-image.h"
#include "backend/snapshot-metadata.h"
#include "disk/image.h"
#include "jobs/job.h"
#include "snapshot/collect.h"
#include "snapshot/image-notes.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/names.h"
#include "snapshot/operations.h"
#include "snapshot/state-file.h"
#include "snapshot/tree.h"

#define TYPE_FULL 2

/* What settle() has to know. */
#define MEMORY_OVERLAYS "Overlays" /* target, path, target, path: lines */
#define MEMORY_REPLACED "Replaced" /* the files that the disks had */
#define MEMORY_STAGE    "Stage"    /* once the present is given up */

#define STAGE_REPLACING "replacing"
#define STAGE_RESTORED  "restored" /* only waste is left */

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

/* Inside the image */

static bool revert(virDomainPtr domain, const ApplyRequest *request, GError **error) {
        unsigned flags = VIR_DOMAIN_SNAPSHOT_REVERT_FORCE |
                         (request->paused ? VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED : 0);
        g_autoptr(virDomainSnapshot) snapshot =
                        virDomainSnapshotLookupByName(domain, request->common.snapshot, 0);

        return (snapshot && virDomainRevertToSnapshot(snapshot, flags) == 0) ||
               fail(error, domain, "apply the snapshot of");
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

/* libvirt brings the definition of that time back, with what we noted in it then. */
static bool revert_internal(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GError **error) {
        g_autoptr(GPtrArray) notes = snapshot_metadata_read(domain);

        if (!check_nobody_else(tree, snapshot, error) || !job_commit(job) ||
                        !revert(domain, job->request, error))
                return false;
        for (unsigned i = 0; i < notes->len; i++)
                if (!snapshot_metadata_set(domain, notes->pdata[i], error))
                        return false;
        return true;
}

/* The new overlays */

static bool make_overlays(Job *job,
                const SnapshotDefinition *snapshot,
                const DiskSet *frozen,
                GHashTable *overlays,
                GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);
        GHashTableIter iter;
        void *target, *path;

        for (unsigned i = 0; i < snapshot->targets->len; i++) {
                const Disk *disk = disk_set_find(frozen, snapshot->targets->pdata[i]);

                if (!disk || !disk_is_snapshottable(disk))
                        continue;
                path = snapshot_overlay_path(disk->path, snapshot->id, job->uuid, disk->target);
                g_hash_table_insert(overlays, g_strdup(disk->target), path);
                g_string_append_printf(text, "%s\n%s\n", disk->target, (const char *) path);
        }
        if (!job_remember(job, MEMORY_OVERLAYS, text->str, error))
                return false;
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
        const char *text = job_recall(job, MEMORY_OVERLAYS);
        g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);
        GHashTable *overlays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        for (unsigned i = 0; lines[i] && lines[i + 1]; i += 2)
                g_hash_table_insert(overlays, g_strdup(lines[i]), g_strdup(lines[i + 1]));
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
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i < tree->disks->disks->len; i++) {
                const Disk *disk = tree->disks->disks->pdata[i];

                if (disk_is_snapshottable(disk))
                        g_string_append_printf(text, "%s\n", disk->path);
        }
        return job_remember(job, MEMORY_REPLACED, text->str, error);
}

/* The replacement; every step may be done twice. */

static bool end_guest(virDomainPtr domain, GError **error) {
        if (virDomainIsActive(domain) == 1 && virDomainDestroy(domain) < 0)
                return fail(error, domain, "end");
        if (virDomainHasManagedSaveImage(domain, 0) == 1 &&
                        virDomainManagedSaveRemove(domain, 0) < 0)
                return fail(error, domain, "discard the saved state of");
        return true;
}

static bool restore_variables(virDomainPtr domain, const char *id, const char *to, GError **error) {
        g_autofree char *from = saved_image_path_of_snapshot(domain, id, "nvram");
        g_autoptr(GError) cause = NULL;

        if (!to || !from || state_file_copy(from, to, NULL, &cause) ||
                        g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_FILE_NOT_FOUND))
                return true;
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
}

/* A disk that is no part of the snapshot stays as it is: what it was then may be another snapshot's
 * by now. "text" is taken. */
static char *with_other_disks(char *text, const SnapshotTree *tree, GHashTable *overlays) {
        for (unsigned i = 0; text && i < tree->disks->disks->len; i++) {
                const Disk *disk = tree->disks->disks->pdata[i];
                char *new = NULL;

                if (disk->target && disk->path && disk->format &&
                                !g_hash_table_contains(overlays, disk->target))
                        new = definition_set_image(
                                        text, NULL, disk->target, disk->path, disk->format, NULL);
                if (!new)
                        continue;
                g_free(text);
                text = new;
        }
        return text;
}

/* The name and what we note in the definition are of today, whatever was then. */
static char *definition_to_define(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autofree char *now = snapshot_tree_definition(domain, true, error);
        g_autofree char *with_disks = NULL;

        if (now)
                with_disks = with_other_disks(domain_xml_with_sources(snapshot->domain_to_define,
                                                              overlays, "qcow2", error),
                                tree, overlays);
        return with_disks ? definition_with_identity(with_disks, now, error) : NULL;
}

static bool define(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autofree char *text = definition_to_define(domain, tree, snapshot, overlays, error);
        g_autoptr(virDomain) defined = NULL;

        if (!text)
                return false;
        defined = virDomainDefineXMLFlags(virDomainGetConnect(domain), text, 0);
        return defined || fail(error, domain, "define");
}

static bool make_current(virDomainPtr domain, const char *id, GError **error) {
        g_autofree char *text = snapshot_tree_document(domain, id, error);
        virDomainSnapshotPtr snapshot;

        if (!text)
                return false;
        snapshot = virDomainSnapshotCreateXML(domain, text,
                        VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT);
        if (!snapshot)
                return fail(error, domain, "change the current snapshot of");
        (void) virDomainSnapshotFree(snapshot);
        return true;
}

static char *memory_of(virDomainPtr domain, const SnapshotDefinition *snapshot) {
        g_autofree char *own = saved_image_path_of_snapshot(domain, snapshot->id, "memory");
        g_autoptr(GPtrArray) notes = snapshot_metadata_read(domain);
        const SnapshotMetadata *note = snapshot_metadata_find(notes, snapshot->id);

        if (snapshot->memory_file && g_file_test(snapshot->memory_file, G_FILE_TEST_EXISTS))
                return g_strdup(snapshot->memory_file);
        if (own && note && note->type == TYPE_FULL && g_file_test(own, G_FILE_TEST_EXISTS))
                return g_steal_pointer(&own);
        return NULL;
}

/* Whatever libvirt has no other word for. */
static bool fail_memory(GError **error, virDomainPtr domain, const char *what) {
        GError *cause = NULL;

        fail(&cause, domain, what);
        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND))
                cause->code = VIRTASK_ERROR_INCOMPATIBLE_SAVED_STATE;
        g_propagate_error(error, cause);
        return false;
}

/* The definition in the memory, with the new overlays. */
static char *definition_of_memory(virDomainPtr domain,
                const char *memory,
                const SnapshotTree *tree,
                GHashTable *overlays,
                GError **error) {
        char *text = virDomainSaveImageGetXMLDesc(
                        virDomainGetConnect(domain), memory, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
        char *fitting;

        if (!text) {
                fail_memory(error, domain, "read the memory of the snapshot of");
                return NULL;
        }
        fitting = domain_xml_with_sources(text, overlays, "qcow2", error);
        free(text);
        return with_other_disks(fitting, tree, overlays);
}

/* While nothing is given up. */
static bool check_definition(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autofree char *text = definition_to_define(domain, tree, snapshot, overlays, error);

        return text;
}

/* While nothing is given up. libvirt lets no memory come back under another name. */
static bool check_memory(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autofree char *memory = memory_of(domain, snapshot), *text = NULL;

        if (!memory)
                return true;
        text = definition_of_memory(domain, memory, tree, overlays, error);
        if (!text || definition_has_name(text, virDomainGetName(domain)))
                return text;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INCOMPATIBLE_SAVED_STATE,
                        "The memory is of a time when '%s' had another name; rename it back, or "
                        "clear the state of the snapshot",
                        virDomainGetName(domain));
        return false;
}

static bool restore_memory(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        const ApplyRequest *request = job->request;
        g_autofree char *memory = memory_of(domain, snapshot), *text = NULL;
        unsigned flags = request->paused ? VIR_DOMAIN_SAVE_PAUSED : 0;

        if (!memory)
                return true;
        text = definition_of_memory(domain, memory, tree, overlays, error);
        if (!text)
                return false;
        job_status(job, "restoring memory");
        return virDomainRestoreFlags(virDomainGetConnect(domain), memory, text, flags) == 0 ||
               fail_memory(error, domain, "restore the memory of");
}

static bool hide_replaced(Job *job, virDomainPtr domain, GError **error) {
        const char *text = job_recall(job, MEMORY_REPLACED);
        g_auto(GStrv) paths = g_strsplit(text ?: "", "\n", -1);
        g_autoptr(GHashTable) hidden = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; paths[i]; i++)
                if (*paths[i])
                        g_hash_table_add(hidden, paths[i]);
        return image_notes_add(domain, IMAGE_HIDDEN, hidden, error);
}

/* Waste that can't be removed now is no reason to fail: it is noted. */
static bool clean_up(Job *job, virDomainPtr domain) {
        g_autoptr(GError) cause = NULL;

        if (!collect_images(job, domain, &cause))
                job_log(job, LOG_WARNING, "Images that are not needed any more stay for now: %s",
                                cause->message);
        return true;
}

/* Ours are the new overlays, and those that any snapshot made, whoever took it. A set; borrowed. */
static GHashTable *made_by_snapshots(const SnapshotTree *tree, GHashTable *overlays) {
        GHashTable *made = g_hash_table_new(g_str_hash, g_str_equal);
        GHashTableIter iter;
        void *path;

        g_hash_table_iter_init(&iter, overlays);
        while (g_hash_table_iter_next(&iter, NULL, &path))
                g_hash_table_add(made, path);
        for (unsigned i = 0; i < tree->snapshots->len; i++) {
                const SnapshotDefinition *snapshot = tree->snapshots->pdata[i];

                g_hash_table_iter_init(&iter, snapshot->overlays);
                while (g_hash_table_iter_next(&iter, &path, NULL))
                        if (g_hash_table_contains(tree->images, path))
                                g_hash_table_add(made, path);
        }
        return made;
}

static bool replace_present(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GHashTable *overlays,
                GError **error) {
        g_autoptr(GHashTable) made = made_by_snapshots(tree, overlays);

        if (!end_guest(domain, error) || !image_notes_add(domain, IMAGE_MADE, made, error) ||
                        !restore_variables(domain, snapshot->id, tree->disks->nvram, error) ||
                        !define(domain, tree, snapshot, overlays, error) ||
                        !make_current(domain, snapshot->id, error) ||
                        !hide_replaced(job, domain, error) || !libvirt_files_sync(domain, error) ||
                        !restore_memory(job, domain, tree, snapshot, overlays, error))
                return false;
        /* From here on the guest has a new present, which nobody gave up. */
        return job_remember(job, MEMORY_STAGE, STAGE_RESTORED, error) && clean_up(job, domain);
}

static bool apply_run(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(SnapshotTree) tree = NULL;
        g_autoptr(DiskSet) frozen = NULL;
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
        frozen = disk_set_parse(snapshot->domain, error);
        if (frozen && make_overlays(job, snapshot, frozen, overlays, error) &&
                        check_definition(loan.domain, tree, snapshot, overlays, error) &&
                        check_memory(loan.domain, tree, snapshot, overlays, error) &&
                        remember_replaced(job, tree, error) && job_commit(job) &&
                        job_remember(job, MEMORY_STAGE, STAGE_REPLACING, error))
                return replace_present(job, loan.domain, tree, snapshot, overlays, error);
        remove_overlays(overlays);
        return false;
}

/* The guest is back and has gone on: to begin again would take that from it. */
static bool is_done(virDomainPtr domain, const SnapshotTree *tree, GHashTable *overlays) {
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

/* A guest that was back for a moment may have written to them, and its memory does not know. */
static bool renew_overlays(
                const SnapshotDefinition *snapshot, GHashTable *overlays, GError **error) {
        g_autoptr(DiskSet) frozen = disk_set_parse(snapshot->domain, error);
        GHashTableIter iter;
        void *target, *path;

        if (!frozen)
                return false;
        g_hash_table_iter_init(&iter, overlays);
        while (g_hash_table_iter_next(&iter, &target, &path)) {
                const Disk *disk = disk_set_find(frozen, target);

                if (disk && (!image_remove(path, error) || !image_create_overlay(path, disk->path,
                                                                           disk->format, error)))
                        return false;
        }
        return true;
}

static bool apply_settle(Job *job, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(GHashTable) overlays = recall_overlays(job);
        g_autoptr(SnapshotTree) tree = NULL;
        const SnapshotDefinition *snapshot;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        if (!job_recall(job, MEMORY_STAGE)) {
                remove_overlays(overlays);
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                "Applying a snapshot of '%s' was interrupted; nothing has changed",
                                virDomainGetName(loan.domain));
                return false;
        }
        libvirt_files_tidy(loan.domain);
        if (g_str_equal(job_recall(job, MEMORY_STAGE), STAGE_RESTORED))
                return clean_up(job, loan.domain);
        tree = snapshot_tree_read(loan.domain, error);
        snapshot = tree ? find(job, tree, error) : NULL;
        if (!snapshot)
                return false;
        if (is_done(loan.domain, tree, overlays))
                return clean_up(job, loan.domain);
        return end_guest(loan.domain, error) && renew_overlays(snapshot, overlays, error) &&
               replace_present(job, loan.domain, tree, snapshot, overlays, error);
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
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_ENDS_WITH_US,
                .lane = LANE_LONG,
                .request_size = sizeof(ApplyRequest),
                .parse = apply_parse,
                .request_store = apply_store,
                .request_load = apply_load,
                .run = apply_run,
                .settle = apply_settle,
};
