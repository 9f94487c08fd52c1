/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Destroy, DestroyTree and ClearState: Msvm_VirtualSystemSnapshotService::DestroySnapshot,
 * DestroySnapshotTree and ClearSnapshotState. Children of a snapshot that is destroyed keep all
 * that they show: the images that it alone showed become hidden, and hidden images are merged.
 *
 *     its images on the list of hidden ones ── description gone ── its files gone ── collect
 *
 * Merging writes into images, so there is no way back, and no cancel, from the first step on. */

#include <string.h>

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "backend/snapshot-metadata.h"
#include "disk/image.h"
#include "jobs/job.h"
#include "snapshot/collect.h"
#include "snapshot/image-notes.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/operations.h"
#include "snapshot/tree.h"

static bool fail(GError **error, const char *what, const char *id) {
        backend_error_set(error, "Failed to %s the snapshot '%s'", what, id);
        return false;
}

/* The overlays that were made with the snapshot are ours as well, whoever took it. */
static bool hide_images(virDomainPtr domain, const SnapshotDefinition *snapshot, GError **error) {
        g_autoptr(GHashTable) hidden = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(DiskSet) frozen = disk_set_parse(snapshot->domain, error);

        if (!frozen)
                return false;
        for (unsigned i = 0; i < snapshot->targets->len; i++) {
                const Disk *disk = disk_set_find(frozen, snapshot->targets->pdata[i]);

                if (disk && disk_is_snapshottable(disk))
                        g_hash_table_add(hidden, disk->path);
        }
        return image_notes_add(domain, IMAGE_HIDDEN, hidden, error) &&
               image_notes_add(domain, IMAGE_MADE, snapshot->overlays, error);
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

#define MEMORY_DOOMED "Doomed" /* id, memory file or nothing, id, ...: lines */

static bool remember_doomed(Job *job, const SnapshotDefinition *snapshot, GError **error) {
        g_autofree char *text = g_strdup_printf("%s%s\n%s\n", job_recall(job, MEMORY_DOOMED) ?: "",
                        snapshot->id, snapshot->memory_file ?: "");

        return job_remember(job, MEMORY_DOOMED, text, error);
}

static bool remove_file(const char *path, GError **error) {
        return !path || image_remove(path, error);
}

static bool remove_state_files(
                virDomainPtr domain, const char *id, const char *memory_file, GError **error) {
        g_autofree char *memory = saved_image_path_of_snapshot(domain, id, "memory");
        g_autofree char *nvram = saved_image_path_of_snapshot(domain, id, "nvram");

        return remove_file(*memory_file ? memory_file : NULL, error) &&
               remove_file(memory, error) && remove_file(nvram, error);
}

/* Of those whose description is gone. */
static bool remove_rest_of_doomed(
                Job *job, virDomainPtr domain, const SnapshotTree *tree, GError **error) {
        g_auto(GStrv) lines = g_strsplit(job_recall(job, MEMORY_DOOMED) ?: "", "\n", -1);

        for (unsigned i = 0; lines[i] && lines[i + 1]; i += 2)
                if (!snapshot_tree_find(tree, lines[i]) &&
                                (!snapshot_metadata_remove(domain, lines[i], error) ||
                                                !remove_state_files(domain, lines[i], lines[i + 1],
                                                                error)))
                        return false;
        return true;
}

/* libvirt believes that whoever deletes a description has merged the images, and has all that lie
 * below name those of its parent. What they name is written down before, and put right afterwards,
 * also when libvirt fails on its way. */

#define MEMORY_BELOW "Below" /* id, element, target, path, format, id, ...: lines */
#define BELOW_LINES  5

static void describe_images(
                GString *text, const char *id, const char *element, const char *definition) {
        g_autoptr(DiskSet) disks = disk_set_parse(definition, NULL);

        for (unsigned i = 0; disks && i < disks->disks->len; i++) {
                const Disk *disk = disks->disks->pdata[i];

                if (disk->target && disk->path && disk->format)
                        g_string_append_printf(text, "%s\n%s\n%s\n%s\n%s\n", id, element,
                                        disk->target, disk->path, disk->format);
        }
}

static bool is_below(const SnapshotTree *tree, const SnapshotDefinition *snapshot, const char *id) {
        while (snapshot && snapshot->parent) {
                if (g_str_equal(snapshot->parent, id))
                        return true;
                snapshot = snapshot_tree_find(tree, snapshot->parent);
        }
        return false;
}

/* What is remembered already is the truth: libvirt may have begun since. */
static bool remember_below(Job *job, const SnapshotTree *tree, const char *id, GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);
        const char *old = job_recall(job, MEMORY_BELOW);

        if (old && *old)
                return true;
        for (unsigned i = 0; i < tree->snapshots->len; i++) {
                const SnapshotDefinition *other = tree->snapshots->pdata[i];

                if (!other->external || !is_below(tree, other, id))
                        continue;
                describe_images(text, other->id, "domain", other->domain);
                if (other->has_inactive)
                        describe_images(text, other->id, "inactiveDomain", other->domain_to_define);
        }
        return job_remember(job, MEMORY_BELOW, text->str, error);
}

/* All lines of one snapshot; *line is set behind them. One that is gone needs nothing. */
static bool put_right(virDomainPtr domain, char ***line, GError **error) {
        const char *id = **line;
        g_autoptr(GError) cause = NULL;
        g_autofree char *text = snapshot_tree_document(domain, id, &cause);
        bool changed = false;

        for (; (*line)[0] && g_str_equal((*line)[0], id); *line += BELOW_LINES) {
                char *new = text ? definition_set_image(text, (*line)[1], (*line)[2], (*line)[3],
                                                   (*line)[4], NULL)
                                 : NULL;

                if (!new)
                        continue;
                g_free(text);
                text = new;
                changed = true;
        }
        if (!text && !g_error_matches(cause, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT)) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        return !changed || snapshot_tree_redefine(domain, id, text, error);
}

static bool put_below_right(Job *job, virDomainPtr domain, GError **error) {
        g_auto(GStrv) lines = g_strsplit(job_recall(job, MEMORY_BELOW) ?: "", "\n", -1);
        char **line = lines;

        if (g_strv_length(lines) < BELOW_LINES)
                return true;
        while (*line && **line)
                if (!put_right(domain, &line, error))
                        return false;
        /* What happens to them from now on is right. */
        return job_remember(job, MEMORY_BELOW, "", error);
}

static bool delete_description(Job *job, virDomainPtr domain, const char *id, GError **error) {
        bool deleted = delete_in_libvirt(
                        domain, id, VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY, error);

        return put_below_right(job, domain, deleted ? error : NULL) && deleted;
}

static bool destroy_one(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const SnapshotDefinition *snapshot,
                GError **error) {
        if (!snapshot->external)
                return delete_in_libvirt(domain, snapshot->id, 0, error) &&
                       snapshot_metadata_remove(domain, snapshot->id, error);
        return hide_images(domain, snapshot, error) && remember_doomed(job, snapshot, error) &&
               remember_below(job, tree, snapshot->id, error) &&
               delete_description(job, domain, snapshot->id, error) &&
               snapshot_metadata_remove(domain, snapshot->id, error) &&
               remove_state_files(domain, snapshot->id, snapshot->memory_file ?: "", error);
}

/* Children first: who is interrupted leaves a tree. */
static bool destroy_below(Job *job,
                virDomainPtr domain,
                const SnapshotTree *tree,
                const char *id,
                GError **error) {
        for (unsigned i = tree->snapshots->len; i-- > 0;) {
                const SnapshotDefinition *snapshot = tree->snapshots->pdata[i];

                if (is_below(tree, snapshot, id) &&
                                !destroy_one(job, domain, tree, snapshot, error))
                        return false;
        }
        return true;
}

static bool destroy(Job *job, bool with_children, GError **error) {
        const Request *request = job->request;
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        g_autoptr(SnapshotTree) tree = NULL;
        const SnapshotDefinition *snapshot;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error) ||
                        !job_commit(job))
                return false;
        if (job->mode == JOB_SETTLE) {
                libvirt_files_tidy(loan.domain);
                libvirt_files_align_saved_state(loan.domain);
        }
        if (!put_below_right(job, loan.domain, error))
                return false;
        tree = snapshot_tree_read(loan.domain, error);
        if (!tree)
                return false;
        snapshot = snapshot_tree_find(tree, request->snapshot);
        if (!snapshot && job->mode == JOB_RUN) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NO_SUCH_SNAPSHOT,
                                "The snapshot '%s' is gone", request->snapshot);
                return false;
        }
        if (snapshot && with_children &&
                        !destroy_below(job, loan.domain, tree, snapshot->id, error))
                return false;
        if (snapshot && !destroy_one(job, loan.domain, tree, snapshot, error))
                return false;
        if (!remove_rest_of_doomed(job, loan.domain, tree, error))
                return false;
        return collect_images(job, loan.domain, error);
}

static bool destroy_run(Job *job, GError **error) {
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
                .flags = OPERATION_DURABLE | OPERATION_ENDS_WITH_US, \
                .lane = LANE_LONG,                              \
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
                .run = destroy_run,
                .settle = destroy_run,
                DESTROY_COMMON,
};

const Operation operation_snapshot_destroy_tree = {
                .name = "snapshot-destroy-tree",
                .member = "DestroyTree",
                .gerund = "Destroying snapshots of",
                .job_type = 72,
                .operational_status = 32770,
                .run = destroy_tree_run,
                .settle = destroy_tree_run,
                DESTROY_COMMON,
};

const Operation operation_snapshot_clear_state = {
                .name = "snapshot-clear-state",
                .member = "ClearState",
                .gerund = "Clearing the state of a snapshot of",
                .job_type = 73,
                .run = clear_state_run,
                .settle = clear_state_run,
                DESTROY_COMMON,
};
