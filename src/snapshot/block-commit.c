/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The image that the guest writes to is merged in two steps ("active commit"): QEMU copies until
 * both are equal, then it is told to switch over. Any other just by copying.
 *
 * libvirt 9.0 notes such a job before it notes that the disk has one (<mirror>), and dismisses it
 * before it notes that the disk has none any more. What a libvirtd that died in between has left
 * is not to be touched: ending a job without a mirror kills it (qemuBlockJobProcessEventFailed-
 * ActiveCommit()). */

#include "snapshot/block-commit.h"

#include "backend/backend-error.h"
#include "util/error.h"

#define LOOK_MSEC 100

typedef struct Commit {
        Job *job;
        virDomainPtr domain;
        const char *target;
        const ImageHooks *hooks;
} Commit;

/* *ret_ready: QEMU keeps both images equal. Whether the disk is noted to have a job with two steps.
 */
static bool read_mirror(const Commit *commit, bool *ret_ready) {
        char *text = virDomainGetXMLDesc(commit->domain, 0);
        g_autoptr(DiskSet) disks = text ? disk_set_parse(text, NULL) : NULL;
        const Disk *disk = disks ? disk_set_find(disks, commit->target) : NULL;

        free(text);
        *ret_ready = disk && disk->mirror_ready;
        return disk && disk->has_mirror;
}

/* 1: ready to switch over. 0: it is over. -1: it failed. */
static int wait_job(const Commit *commit, bool active, GError **error) {
        for (;;) {
                virDomainBlockJobInfo info;
                int r = virDomainGetBlockJobInfo(commit->domain, commit->target, &info, 0);
                bool ready;

                if (r < 0) {
                        backend_error_set(error, "Failed to watch the merging of images");
                        return -1;
                }
                if (r == 0)
                        return 0;
                if (info.end > 0)
                        commit->hooks->percent(
                                        100 * MIN((double) info.cur / (double) info.end, 1.0),
                                        commit->hooks->userdata);
                if (active && info.cur == info.end && read_mirror(commit, &ready) && ready)
                        return 1;
                job_wait(commit->job, LOOK_MSEC);
        }
}

#define MEMORY_PAUSED "PausedToSwitchOver"

static bool is_in_state(virDomainPtr domain, int wanted) {
        int state, reason;

        return virDomainGetState(domain, &state, &reason, 0) == 0 && state == wanted;
}

void block_commit_let_go_on(Job *job, virDomainPtr domain) {
        if (g_strcmp0(job_recall(job, MEMORY_PAUSED), "true") != 0)
                return;
        if (is_in_state(domain, VIR_DOMAIN_PAUSED))
                (void) virDomainResume(domain);
        (void) job_remember(job, MEMORY_PAUSED, "", NULL);
}

/* QEMU 7.2 dies now and then if the guest writes in the moment when an image is switched over to
 * the one below ("child->perm & BLK_PERM_WRITE"). It does not while it is stopped. */
static bool switch_over(const Commit *commit, GError **error) {
        bool ok;

        if (is_in_state(commit->domain, VIR_DOMAIN_RUNNING) &&
                        (!job_remember(commit->job, MEMORY_PAUSED, "true", error) ||
                                        virDomainSuspend(commit->domain) < 0)) {
                if (!*error)
                        backend_error_set(error, "Failed to pause '%s'",
                                        virDomainGetName(commit->domain));
                return false;
        }
        ok = virDomainBlockJobAbort(
                             commit->domain, commit->target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT) == 0;
        if (!ok)
                backend_error_set(error, "Failed to switch disk %s over", commit->target);
        block_commit_let_go_on(commit->job, commit->domain);
        return ok;
}

/* Of a merge that an earlier daemon began, or that failed half-way: the images show the same
 * without it. Jobs of others are theirs. */
static bool end_job(const Commit *commit, GError **error) {
        virDomainBlockJobInfo info = {0};
        int r = virDomainGetBlockJobInfo(commit->domain, commit->target, &info, 0);
        bool active = r == 1 && info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT;
        bool ready, mirror = read_mirror(commit, &ready);

        if ((active && !mirror) || (r == 0 && mirror)) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_BACKEND,
                                "libvirt does not know any more which image disk %s of '%s' uses; "
                                "turn the machine off",
                                commit->target, virDomainGetName(commit->domain));
                return false;
        }
        if (active || (r == 1 && info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT))
                (void) virDomainBlockJobAbort(commit->domain, commit->target, 0);
        return true;
}

bool block_commit(Job *job,
                virDomainPtr domain,
                const TreeImage *base,
                const TreeImage *top,
                const ImageHooks *hooks,
                GError **error) {
        const Commit commit = {job, domain, top->target, hooks};
        bool active = top->users->len == 0;
        unsigned flags = active ? VIR_DOMAIN_BLOCK_COMMIT_ACTIVE : 0;
        int r;

        if (!end_job(&commit, error))
                return false;
        if (virDomainBlockCommit(domain, top->target, base->path, top->path, 0, flags) < 0) {
                backend_error_set(error, "Failed to merge the images of disk %s", top->target);
                return false;
        }
        r = wait_job(&commit, active, error);
        if (r == 0 || (r > 0 && switch_over(&commit, error)))
                return true;
        (void) end_job(&commit, NULL);
        return false;
}
