/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Destroy, DestroyTree and ClearState: Msvm_VirtualSystemSnapshotService::DestroySnapshot,
 * DestroySnapshotTree and ClearSnapshotState. Children of a snapshot that is destroyed keep all
 * that they show: the images that it alone showed become hidden, and hidden images are merged.
 *
 *     its images on the list of hidden ones ── its children are its parent's ── description gone
 *        ── its files gone ── collect
 *
 * Merging writes into images, so there is no way back, and no cancel, from the first step on. */

#include <string.h>

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "backend/snapshot-metadata.h"
#include "disk/image.h"
#include "jobs/job.h"
#include "snapshot/collect.h"
#include "snapshot/destroy.h"
#include "snapshot/host-state.h"
#include "snapshot/image-notes.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/operations.h"
#include "snapshot/tree.h"

static bool fail(GError **error, const char *what, const char *id) {
        backend_error_set(error, "Failed to %s the snapshot '%s'", what, id);
        return false;
}

/* The overlays that were made with the snapshot are ours as well, whoever took it; but not files
 * that he had made himself. */
static bool hide_images(virDomainPtr domain, const SnapshotDefinition *snapshot, GError **error) {
        g_autoptr(GHashTable) hidden = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) made = image_notes_made_with(snapshot);
        g_autoptr(DiskSet) frozen = disk_set_parse(snapshot->domain, error);

        if (!frozen)
                return false;
        for (unsigned i = 0; i < snapshot->targets->len; i++) {
                const Disk *disk = disk_set_find(frozen, snapshot->targets->pdata[i]);

                if (disk && disk_is_snapshottable(disk))
                        g_hash_table_add(hidden, disk->path);
        }
        return image_notes_add(domain, IMAGE_HIDDEN, hidden, error) &&
               image_notes_add(domain, IMAGE_MADE, made, error);
}

static bool delete_in_libvirt(virDomainPtr domain, const char *id, unsigned flags, GError **error) {
        virDomainSnapshotPtr snapshot = virDomainSnapshotLookupByName(domain, id, 0);
        bool ok;

        if (!snapshot)
                return fail(error, "find", id);
        ok = virDomainSnapshotDelete(snapshot, flags) == 0 || fail(error, "delete", id);
        (void) virDomainSnapshotFree(snapshot);
        return ok;
}

/* The description goes before the files, so that there is no description without them; which files
 * there are is written down before both. */

#define MEMORY_DOOMED "Doomed" /* id, memory file or "", id, ... */

static bool remember_doomed(Job *job, const SnapshotDefinition *snapshot, GError **error) {
        g_auto(GStrv) old = job_recall_list(job, MEMORY_DOOMED);
        g_autoptr(GPtrArray) list = g_ptr_array_new();

        for (unsigned i = 0; old[i]; i++)
                g_ptr_array_add(list, old[i]);
        g_ptr_array_add(list, snapshot->id);
        g_ptr_array_add(list, snapshot->memory_file ?: (char *) "");
        g_ptr_array_add(list, NULL);
        return job_remember_list(job, MEMORY_DOOMED, (const char *const *) list->pdata, error);
}

static bool remove_file(const char *path, GError **error) {
        return !path || image_remove(path, error);
}

static bool remove_state_files(
                virDomainPtr domain, const char *id, const char *memory_file, GError **error) {
        g_autofree char *memory = saved_image_path_of_snapshot(domain, id, "memory");

        return remove_file(*memory_file ? memory_file : NULL, error) &&
               remove_file(memory, error) && host_state_remove(domain, id, error);
}

/* Of those whose description is gone. */
static bool remove_rest_of_doomed(
                Job *job, virDomainPtr domain, const SnapshotTree *tree, GError **error) {
        g_auto(GStrv) doomed = job_recall_list(job, MEMORY_DOOMED);

        for (unsigned i = 0; doomed[i] && doomed[i + 1]; i += 2)
                if (!snapshot_tree_find(tree, doomed[i]) &&
                                (!snapshot_metadata_remove(domain, doomed[i], error) ||
                                                !remove_state_files(domain, doomed[i],
                                                                doomed[i + 1], error)))
                        return false;
        return true;
}

static bool is_below(const SnapshotTree *tree, const SnapshotDefinition *snapshot, const char *id) {
        while (snapshot && snapshot->parent) {
                if (g_str_equal(snapshot->parent, id))
                        return true;
                snapshot = snapshot_tree_find(tree, snapshot->parent);
        }
        return false;
}

static bool give_away(virDomainPtr domain, const char *id, const char *parent, GError **error) {
        g_autoptr(GError) cause = NULL;
        g_autofree char *old = snapshot_tree_document(domain, id, &cause), *new = NULL;

        if (g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT))
                return true; /* destroyed before */
        if (cause) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        new = definition_with_parent(old, parent, error);
        return new &&snapshot_tree_redefine(domain, id, new, error);
}

/* libvirt believes that whoever deletes a description with children has merged the images: it has
 * all that lie below name those of the parent, and stops half-way if it can't write one of them.
 * Of a description without children it changes no other. So they get their new parent before, each
 * by one file that is replaced as a whole; wherever that ends, all descriptions are true. The tree
 * follows, as the new parent may be the next to go. */
static bool give_away_children(virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GError **error) {
        for (unsigned i = 0; i < tree->snapshots->len; i++) {
                SnapshotDefinition *child = tree->snapshots->pdata[i];

                if (g_strcmp0(child->parent, snapshot->id) != 0)
                        continue;
                if (!give_away(domain, child->id, snapshot->parent, error))
                        return false;
                g_free(child->parent);
                child->parent = g_strdup(snapshot->parent);
        }
        return true;
}

static bool destroy_one(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GError **error) {
        if (!snapshot->external)
                return give_away_children(domain, tree, snapshot, error) &&
                       delete_in_libvirt(domain, snapshot->id, 0, error) &&
                       snapshot_metadata_remove(domain, snapshot->id, error);
        return hide_images(domain, snapshot, error) && remember_doomed(job, snapshot, error) &&
               give_away_children(domain, tree, snapshot, error) &&
               delete_in_libvirt(domain, snapshot->id, VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY,
                               error) &&
               snapshot_metadata_remove(domain, snapshot->id, error) &&
               remove_state_files(domain, snapshot->id, snapshot->memory_file ?: "", error);
}

static bool is_point(const GPtrArray *notes, const char *id) {
        const SnapshotMetadata *entry = snapshot_metadata_find(notes, id);

        return entry && entry->type == SNAPSHOT_TYPE_REFERENCE_POINT;
}

/* Children first: who is interrupted leaves a tree. Reference points are no snapshots for him who
 * destroys the tree, and stay. */
static bool destroy_below(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const char *id,
                GError **error) {
        g_autoptr(GPtrArray) notes = snapshot_metadata_read(domain, error);

        if (!notes)
                return false;
        for (unsigned i = tree->snapshots->len; i-- > 0;) {
                const SnapshotDefinition *snapshot = tree->snapshots->pdata[i];

                if (is_below(tree, snapshot, id) && !is_point(notes, snapshot->id) &&
                                !destroy_one(job, domain, tree, snapshot, error))
                        return false;
        }
        return true;
}

bool snapshot_destroy(
                Job *job, virDomainPtr domain, const char *id, bool with_children, GError **error) {
        g_autoptr(SnapshotTree) tree = NULL;
        const SnapshotDefinition *snapshot;

        if (job->mode == JOB_SETTLE) {
                libvirt_files_tidy(domain);
                libvirt_files_align_saved_state(domain);
        }
        tree = snapshot_tree_read(domain, error);
        if (!tree)
                return false;
        snapshot = snapshot_tree_find(tree, id);
        if (snapshot && with_children && !destroy_below(job, domain, tree, id, error))
                return false;
        if (snapshot && !destroy_one(job, domain, tree, snapshot, error))
                return false;
        return remove_rest_of_doomed(job, domain, tree, error) &&
               collect_images(job, domain, error);
}

static bool check_exists(virDomainPtr domain, const char *id, GError **error) {
        g_autoptr(virDomainSnapshot) snapshot = virDomainSnapshotLookupByName(domain, id, 0);

        return snapshot || fail(error, "find", id);
}

static bool destroy(Job *job, bool with_children, GError **error) {
        const Request *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        return backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error) &&
               job_commit(job) &&
               (job->mode == JOB_SETTLE || check_exists(loan.domain, request->snapshot, error)) &&
               snapshot_destroy(job, loan.domain, request->snapshot, with_children, error);
}

bool snapshot_destroy_run(Job *job, GError **error) {
        return destroy(job, false, error);
}

static bool destroy_tree_run(Job *job, GError **error) {
        return destroy(job, true, error);
}

/* The memory file is the state; without it the snapshot is one of disks. */
static bool clear_state_run(Job *job, GError **error) {
        const Request *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(SnapshotTree) tree = NULL;
        g_autofree char *memory = NULL;
        const SnapshotDefinition *snapshot;

        if (!backend_open_domain(job->backend, BACKEND_SHORT, job->uuid, &loan, error))
                return false;
        tree = snapshot_tree_read(loan.domain, error);
        snapshot = tree ? snapshot_tree_find(tree, request->snapshot) : NULL;
        if (!snapshot) {
                if (tree)
                        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                                        "The snapshot '%s' is gone", request->snapshot);
                return false;
        }
        if (!snapshot->external) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "The memory of a snapshot inside its image can not be removed "
                                "alone");
                return false;
        }
        memory = saved_image_path_of_snapshot(loan.domain, snapshot->id, "memory");
        return job_commit(job) && remove_file(snapshot->memory_file, error) &&
               remove_file(memory, error);
}

/* clang-format off */
#define DESTROY_COMMON                                          \
                .interface = "Snapshot",                        \
                .signature = "a{sv}",                           \
                .argument_names = "options\0task\0",            \
                .action = "org.virtask1.snapshot-apply",        \
                .lane = LANE_DISK,                              \
                .request_size = sizeof(Request),                \
                .parse = operation_parse_common,                \
                .progress = job_counted
/* clang-format on */

const Operation operation_snapshot_destroy = {
                .name = "snapshot-destroy",
                .member = "Destroy",
                .gerund = "Destroying a snapshot of",
                .job_type = 72,
                .operational_status = 32770,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_CHANGES_CHAINS |
                         OPERATION_ENDS_WITH_US | OPERATION_FAMILY_A,
                .run = snapshot_destroy_run,
                .settle = snapshot_destroy_run,
                DESTROY_COMMON,
};

const Operation operation_snapshot_destroy_tree = {
                .name = "snapshot-destroy-tree",
                .member = "DestroyTree",
                .gerund = "Destroying snapshots of",
                .job_type = 72,
                .operational_status = 32770,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_CHANGES_CHAINS |
                         OPERATION_ENDS_WITH_US,
                .run = destroy_tree_run,
                .settle = destroy_tree_run,
                DESTROY_COMMON,
};

const Operation operation_snapshot_clear_state = {
                .name = "snapshot-clear-state",
                .member = "ClearState",
                .gerund = "Clearing the state of a snapshot of",
                .job_type = 73,
                .flags = OPERATION_DURABLE | OPERATION_INHIBITS | OPERATION_CHANGES_CHAINS |
                         OPERATION_ENDS_WITH_US,
                .run = clear_state_run,
                .settle = clear_state_run,
                DESTROY_COMMON,
};
