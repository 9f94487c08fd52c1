/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The definition names the overlays as long as the machine is undoable, whoever starts it, so the
 * disks below are not written to before they are to be:
 *
 *     begin:    note the overlays ── make them ── definition and note in one: the machine has them
 *     discard:  note "preparing" ── make an empty one beside each ── note "discarding"
 *               ── put each in its place (a rename) ── note the end
 *     merge:    note "merging" ── write each into its base, then empty it ── note the end
 *     end:      definition and note in one: the machine has its disks ── remove the overlays
 *
 * Each can be interrupted anywhere and begun again. Several disks belong together, hence the notes:
 * what has begun with one must come to its end with all. While a disk is merged the machine has the
 * same content at any time; the disk below alone has not, so a merge that has begun is not taken
 * back.
 *
 * What can fail for want of room comes before "discarding": a discard that fails has changed
 * nothing. One that was interrupted has left the empty ones that are still to be put in their
 * places. Where there is none, it is done: what a machine, which somebody has started meanwhile,
 * has written since is not thrown away.
 *
 * Nobody asks us before he starts a machine with virsh. So an overlay is only replaced under QEMU's
 * lock: a guest that has it open keeps it, and none can open it at that moment. */

#include "undo/undo-disks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "backend/backend-error.h"
#include "backend/saved-image.h"
#include "backend/undo-note.h"
#include "disk/image-file.h"
#include "disk/image-lock.h"
#include "disk/image.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/names.h"
#include "snapshot/tree.h"
#include "undo/parent-users.h"
#include "util/fd.h"

#define MERGE_ROUNDS 3 /* while somebody writes to an overlay as soon as it was merged */

/* The note, and everything else that libvirt keeps of the machine, survives a power cut. */
static bool write_note(virDomainPtr domain, const UndoNote *note, GError **error) {
        return undo_note_write(domain, note, error) && libvirt_files_sync(domain, error);
}

static bool write_step(virDomainPtr domain, UndoNote *note, UndoStep step, GError **error) {
        UndoStep before = note->step;

        note->step = step;
        if (write_note(domain, note, error))
                return true;
        /* libvirt has it in its memory all the same when there is no room for the file: it shall
         * not go on with a step that was reported to have failed. */
        note->step = before;
        (void) undo_note_write(domain, note, NULL);
        return false;
}

static bool write_settled(virDomainPtr domain, UndoNote *note, GError **error) {
        undo_note_settle(note);
        return write_step(domain, note, UNDO_STEP_NONE, error);
}

static bool define(virDomainPtr domain, const char *text, const UndoNote *note, GError **error) {
        g_autofree char *noted = undo_note_into(text, note, error);

        return noted && snapshot_tree_define(domain, noted, error) &&
               libvirt_files_sync(domain, error);
}

/* What is to come in the place of an overlay. */
static char *empty_of(const UndoDisk *disk) {
        return g_strconcat(disk->overlay, UNDO_EMPTY_SUFFIX, NULL);
}

static bool remove_empty(const UndoNote *note, GError **error) {
        for (unsigned i = 0; i < note->disks->len; i++) {
                g_autofree char *empty = empty_of(note->disks->pdata[i]);

                if (!image_remove(empty, error))
                        return false;
        }
        return true;
}

/* Overlays that no machine has: of a begin or an end that was interrupted. They may be half made. A
 * file of somebody else that has the name stays. */
static bool remove_overlays(const SnapshotTree *tree, const UndoNote *note, GError **error) {
        for (unsigned i = 0; i < note->disks->len; i++) {
                const UndoDisk *disk = note->disks->pdata[i];
                g_autoptr(ImageInfo) info = NULL;

                if (g_hash_table_contains(tree->images, disk->overlay))
                        continue;
                info = image_info_read(disk->overlay, "qcow2", NULL);
                if (info && info->backing && !g_str_equal(info->backing, disk->base))
                        continue;
                if (!image_remove(disk->overlay, error))
                        return false;
        }
        return true;
}

static bool remove_leftovers(virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = undo_note_read(domain, error);
        g_autoptr(SnapshotTree) tree = NULL;

        if (!note || note->undoable || note->disks->len == 0)
                return note;
        tree = snapshot_tree_read(domain, error);
        if (!tree || !remove_overlays(tree, note, error) || !remove_empty(note, error))
                return false;
        g_ptr_array_set_size(note->disks, 0);
        return write_step(domain, note, UNDO_STEP_NONE, error);
}

/* Begin */

static bool plan(virDomainPtr domain, const SnapshotTree *tree, UndoNote *note, GError **error) {
        const GPtrArray *disks = tree->disks->disks;
        char uuid[VIR_UUID_STRING_BUFLEN] = "";

        (void) virDomainGetUUIDString(domain, uuid);
        for (unsigned i = 0; i < disks->len; i++) {
                const Disk *disk = disks->pdata[i];
                g_autofree char *overlay = NULL;

                if (!disk_is_snapshottable(disk)) {
                        if (disk->readonly || (!disk->is_disk && !disk->is_lun))
                                continue;
                        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                        "Disk %s can not have an undo disk", disk->target);
                        return false;
                }
                overlay = snapshot_overlay_path(tree, disk->path, "undo", uuid, disk->target);
                undo_note_add(note, disk->target, overlay, disk->path, disk->format);
        }
        return true;
}

static bool make_overlays(const UndoNote *note, GError **error) {
        for (unsigned i = 0; i < note->disks->len; i++) {
                const UndoDisk *disk = note->disks->pdata[i];

                if (!image_create_overlay(disk->overlay, disk->base, disk->base_format, error))
                        return false;
        }
        return true;
}

static bool define_with_overlays(virDomainPtr domain, UndoNote *note, GError **error) {
        g_autofree char *text = snapshot_tree_definition(domain, true, error);

        for (unsigned i = 0; text && i < note->disks->len; i++) {
                const UndoDisk *disk = note->disks->pdata[i];
                char *new = definition_set_image(
                                text, NULL, disk->target, disk->overlay, "qcow2", error);

                if (!new)
                        return false;
                g_free(text);
                text = new;
        }
        if (!text)
                return false;
        note->undoable = true;
        undo_note_settle(note);
        return define(domain, text, note, error);
}

bool undo_disks_begin(virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = NULL;
        g_autoptr(SnapshotTree) tree = NULL;

        if (!remove_leftovers(domain, error))
                return false;
        note = undo_note_read(domain, error);
        if (!note || note->undoable)
                return note;
        if (virDomainIsPersistent(domain) != 1) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_NOT_SUPPORTED,
                                "'%s' is gone when it is turned off", virDomainGetName(domain));
                return false;
        }
        tree = snapshot_tree_read(domain, error);
        if (!tree || !snapshot_check_room(tree, error) || !plan(domain, tree, note, error) ||
                        !write_note(domain, note, error))
                return false;
        if (make_overlays(note, error) && define_with_overlays(domain, note, error))
                return true;
        (void) remove_leftovers(domain, NULL);
        return false;
}

/* All that follows. Somebody may have changed the machine behind our back: an overlay that another
 * image rests on, or that has a snapshot inside, is not ours to throw away. */

static bool
check_disk(virDomainPtr domain, const SnapshotTree *tree, const UndoDisk *undo, GError **error) {
        const Disk *disk = disk_set_find(tree->disks, undo->target);
        const TreeImage *overlay = g_hash_table_lookup(tree->images, undo->overlay);

        if (overlay && overlay->problem) {
                g_propagate_error(error, g_error_copy(overlay->problem));
                return false;
        }
        if (disk && overlay && g_strcmp0(disk->path, undo->overlay) == 0 && !overlay->inhabited &&
                        overlay->users->len == 0 && g_strcmp0(overlay->backing, undo->base) == 0)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                        "The undo disk of disk %s of '%s' was changed by somebody else",
                        undo->target, virDomainGetName(domain));
        return false;
}

static SnapshotTree *read_tree(virDomainPtr domain, const UndoNote *note, GError **error) {
        g_autoptr(SnapshotTree) tree = snapshot_tree_read(domain, error);

        if (tree && tree->active) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_ALREADY_RUNNING, "'%s' is running",
                                virDomainGetName(domain));
                return NULL;
        }
        for (unsigned i = 0; tree && i < note->disks->len; i++)
                if (!check_disk(domain, tree, note->disks->pdata[i], error))
                        return NULL;
        return g_steal_pointer(&tree);
}

static bool check_not_merging(const UndoNote *note, GError **error) {
        if (note->step != UNDO_STEP_MERGING)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE,
                        "The undo disks were not merged to the end; MergeUndoDisks does the rest");
        return false;
}

static UndoNote *read_note(virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = undo_note_read(domain, error);

        if (!note || note->undoable)
                return g_steal_pointer(&note);
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_STATE, "'%s' has no undo disks",
                        virDomainGetName(domain));
        return NULL;
}

/* FILE_IN_USE if QEMU has it open; while the descriptor is open, no QEMU opens it to write. */
static int lock_overlay(const UndoDisk *disk, GError **error) {
        struct stat st;
        auto_fd fd = image_file_open(disk->overlay, false, &st, error);

        if (fd < 0 || !image_lock_for_reading(fd, disk->overlay, error))
                return -1;
        return fd_take(&fd);
}

/* Discard */

static bool make_empty(UndoNote *note, GError **error) {
        if (!remove_empty(note, error))
                return false;
        for (unsigned i = 0; i < note->disks->len; i++) {
                UndoDisk *disk = note->disks->pdata[i];
                g_autofree char *empty = empty_of(disk);

                if (!image_create_overlay(empty, disk->base, disk->base_format, error))
                        return false;
                disk->written = undo_note_last_write(empty);
        }
        return true;
}

static bool prepare(virDomainPtr domain, UndoNote *note, GError **error) {
        g_autofree int64_t *written = g_new(int64_t, note->disks->len + 1);

        for (unsigned i = 0; i < note->disks->len; i++)
                written[i] = ((const UndoDisk *) note->disks->pdata[i])->written;
        if (write_step(domain, note, UNDO_STEP_PREPARING, error) && make_empty(note, error) &&
                        write_step(domain, note, UNDO_STEP_DISCARDING, error))
                return true;
        /* Nothing is discarded then, and what was kept is kept. */
        for (unsigned i = 0; i < note->disks->len; i++)
                ((UndoDisk *) note->disks->pdata[i])->written = written[i];
        (void) remove_empty(note, NULL);
        (void) write_step(domain, note, UNDO_STEP_NONE, NULL);
        return false;
}

/* Those that are missing were put in their places before an interruption. */
static bool put_in_place(const UndoNote *note, GError **error) {
        for (unsigned i = 0; i < note->disks->len; i++) {
                const UndoDisk *disk = note->disks->pdata[i];
                g_autofree char *empty = empty_of(disk);

                if (rename(empty, disk->overlay) < 0 && errno != ENOENT)
                        return image_file_fail(errno, "replace", disk->overlay, error);
                if (!image_file_sync_directory(disk->overlay, error))
                        return false;
        }
        return true;
}

static bool lock_all(const UndoNote *note, GArray *locks, GError **error) {
        for (unsigned i = 0; i < note->disks->len; i++) {
                int fd = lock_overlay(note->disks->pdata[i], error);

                if (fd < 0)
                        return false;
                g_array_append_val(locks, fd);
        }
        return true;
}

static void close_lock(void *fd) {
        (void) close(*(int *) fd);
}

static bool discard(virDomainPtr domain, UndoNote *note, GError **error) {
        g_autoptr(GArray) locks = g_array_new(FALSE, FALSE, sizeof(int));
        g_autoptr(SnapshotTree) tree = NULL;

        g_array_set_clear_func(locks, close_lock);
        if (!check_not_merging(note, error))
                return false;
        tree = read_tree(domain, note, error);
        if (!tree || !lock_all(note, locks, error))
                return false;
        if (note->step != UNDO_STEP_DISCARDING && !prepare(domain, note, error))
                return false;
        return put_in_place(note, error) && write_step(domain, note, UNDO_STEP_NONE, error);
}

bool undo_disks_discard(virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = read_note(domain, error);

        if (!note || (note->step == UNDO_STEP_DISCARDING && !discard(domain, note, error)))
                return false;
        return discard(domain, note, error);
}

/* Merge */

static bool
check_base(virDomainPtr domain, const SnapshotTree *tree, const UndoDisk *disk, GError **error) {
        const char *path = disk->base;
        const TreeImage *base = g_hash_table_lookup(tree->images, path);
        g_autofree char *user = NULL;
        struct statvfs file_system;
        struct stat st;

        if (stat(path, &st) < 0 || statvfs(path, &file_system) < 0)
                return image_file_fail(errno, "look at", path, error);
        if (!(st.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) || file_system.f_flag & ST_RDONLY) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FILE_READ_ONLY,
                                "'%s' can only be read", path);
                return false;
        }
        if (base && base->users->len > 1)
                user = g_strdup(virDomainGetName(domain));
        else if (!parent_users_find(domain, disk->target, path, &user, error))
                return false;
        if (!user)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_PARENT_IN_USE,
                        "Another disk of '%s' rests on '%s'", user, path);
        return false;
}

typedef struct Counter {
        Job *job;
        uint64_t before, size, total;
} Counter;

static void on_percent(double percent, void *userdata) {
        const Counter *counter = userdata;

        job_progress(counter->job,
                        counter->before + (uint64_t) ((double) counter->size * percent / 100),
                        counter->total);
}

static uint64_t size_on_host(const char *path) {
        struct stat st;

        return stat(path, &st) == 0 ? (uint64_t) st.st_blocks * 512 : 0;
}

/* Whoever starts the machine beside us may do so once qemu-img has let go of its disks. */
static bool merge_disk(const UndoDisk *disk, const ImageHooks *hooks, GError **error) {
        for (unsigned i = 0; i < MERGE_ROUNDS; i++) {
                int64_t written = undo_note_last_write(disk->overlay);
                auto_fd lock = -1;

                if (!image_commit(disk->overlay, "qcow2", disk->base, hooks, error))
                        return false;
                lock = lock_overlay(disk, error);
                if (lock < 0)
                        return false;
                if (undo_note_last_write(disk->overlay) == written)
                        return image_replace_overlay(
                                        disk->overlay, disk->base, disk->base_format, error);
        }
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_FILE_IN_USE,
                        "Somebody writes to '%s' again and again", disk->overlay);
        return false;
}

static bool merge_disks(Job *job, const UndoNote *note, GError **error) {
        Counter counter = {.job = job};
        const ImageHooks hooks = {.percent = on_percent, .userdata = &counter};

        for (unsigned i = 0; i < note->disks->len; i++)
                counter.total += size_on_host(((const UndoDisk *) note->disks->pdata[i])->overlay);
        for (unsigned i = 0; i < note->disks->len; i++) {
                const UndoDisk *disk = note->disks->pdata[i];

                counter.size = size_on_host(disk->overlay);
                if (!merge_disk(disk, &hooks, error))
                        return false;
                counter.before += counter.size;
        }
        return true;
}

static bool merge(Job *job, virDomainPtr domain, UndoNote *note, GError **error) {
        g_autoptr(SnapshotTree) tree = NULL;

        if (note->step == UNDO_STEP_DISCARDING && !discard(domain, note, error))
                return false;
        tree = read_tree(domain, note, error);
        for (unsigned i = 0; tree && i < note->disks->len; i++)
                if (!check_base(domain, tree, note->disks->pdata[i], error))
                        return false;
        return tree && job_commit(job) && write_step(domain, note, UNDO_STEP_MERGING, error) &&
               merge_disks(job, note, error) && write_settled(domain, note, error);
}

bool undo_disks_merge(Job *job, virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = read_note(domain, error);

        return note && merge(job, domain, note, error);
}

int undo_disks_are_merging(virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = undo_note_read(domain, error);

        return note ? note->step == UNDO_STEP_MERGING : -1;
}

/* End */

static bool define_without_overlays(virDomainPtr domain, UndoNote *note, GError **error) {
        g_autofree char *text = snapshot_tree_definition(domain, true, error);

        for (unsigned i = 0; text && i < note->disks->len; i++) {
                const UndoDisk *disk = note->disks->pdata[i];
                char *new = definition_set_image(
                                text, NULL, disk->target, disk->base, disk->base_format, error);

                if (!new)
                        return false;
                g_free(text);
                text = new;
        }
        note->undoable = false;
        note->step = UNDO_STEP_NONE;
        return text && define(domain, text, note, error);
}

bool undo_disks_end(virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = undo_note_read(domain, error);
        g_autoptr(SnapshotTree) tree = NULL;

        if (!note || !check_not_merging(note, error))
                return false;
        if (note->undoable) {
                tree = read_tree(domain, note, error);
                if (!tree || !define_without_overlays(domain, note, error))
                        return false;
        }
        return remove_leftovers(domain, error);
}

/* When the machine has gone off */

static bool is_off(virDomainPtr domain) {
        return virDomainIsActive(domain) == 0 && saved_image_exists(domain) != 1;
}

/* It was tried, and is not tried again and again. */
static void keep(virDomainPtr domain, UndoNote *note) {
        undo_note_settle(note);
        (void) write_note(domain, note, NULL);
}

/* A discard that was interrupted before it began. */
static bool drop_prepared(virDomainPtr domain, UndoNote *note, GError **error) {
        return note->step != UNDO_STEP_PREPARING ||
               (remove_empty(note, error) && write_step(domain, note, UNDO_STEP_NONE, error));
}

bool undo_disks_finish(virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = NULL;

        if (!is_off(domain))
                return true;
        note = undo_note_read(domain, error);
        if (!note || !undo_note_is_pending(note))
                return note;
        if (!note->undoable)
                return remove_leftovers(domain, error);
        if (note->step == UNDO_STEP_MERGING)
                return true;
        if (!drop_prepared(domain, note, error))
                return false;
        if (note->step == UNDO_STEP_DISCARDING && !discard(domain, note, error))
                return false;
        if (note->action != UNDO_ACTION_DISCARD || !undo_note_is_pending(note))
                return true;
        return discard(domain, note, error);
}

bool undo_disks_apply(Job *job, virDomainPtr domain, GError **error) {
        g_autoptr(UndoNote) note = NULL;
        bool ok;

        if (!undo_disks_finish(domain, error))
                return false;
        note = undo_note_read(domain, error);
        if (!note || !is_off(domain) || !undo_note_is_pending(note))
                return note;
        ok = note->action == UNDO_ACTION_COMMIT ? merge(job, domain, note, error)
                                                : check_not_merging(note, error);
        if (!ok)
                keep(domain, note);
        return ok;
}
