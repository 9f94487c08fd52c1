/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The image that the guest writes to is merged in two steps ("active commit"): QEMU copies until
 * both are equal, then it is told to switch over. Any other just by copying. */

#include "snapshot/block-commit.h"

#include "backend/backend-error.h"
#include "backend/guest-disks.h"
#include "snapshot/libvirt-files.h"
#include "util/error.h"

#define LOOK_MSEC 100

typedef struct Commit {
        Job *job;
        virDomainPtr domain;
        const char *target;
        const ImageHooks *hooks;
} Commit;

/* QEMU keeps both images equal. */
static bool is_ready(const Commit *commit) {
        char *text = virDomainGetXMLDesc(commit->domain, 0);
        g_autoptr(DiskSet) disks = text ? disk_set_parse(text, NULL) : NULL;
        const Disk *disk = disks ? disk_set_find(disks, commit->target) : NULL;

        free(text);
        return disk && disk->mirror_ready;
}

/* 1: ready to switch over. 0: it is over. -1: it failed. */
static int wait_job(const Commit *commit, bool active, GError **error) {
        for (;;) {
                virDomainBlockJobInfo info;
                int r = virDomainGetBlockJobInfo(commit->domain, commit->target, &info, 0);

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
                if (active && info.cur == info.end && is_ready(commit))
                        return 1;
                job_wait(commit->job, LOOK_MSEC);
        }
}

#define MEMORY_PAUSED "PausedToSwitchOver"

static bool is_running(virDomainPtr domain) {
        int state, reason;

        return virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_RUNNING;
}

bool block_commit_holds(const Job *job) {
        return g_strcmp0(job_recall(job, MEMORY_PAUSED), "true") == 0;
}

/* It stays noted while the guest can't be reached. */
void block_commit_let_go_on(Job *job, virDomainPtr domain) {
        int state, reason;

        if (!block_commit_holds(job))
                return;
        if (virDomainGetState(domain, &state, &reason, 0) == 0 &&
                        (state != VIR_DOMAIN_PAUSED || virDomainResume(domain) == 0))
                (void) job_remember(job, MEMORY_PAUSED, "", NULL);
}

/* QEMU 7.2 dies now and then if the guest writes in the moment when an image is switched over to
 * the one below ("child->perm & BLK_PERM_WRITE"). It does not while it is stopped. */
static bool switch_over(const Commit *commit, GError **error) {
        bool ok;

        if (is_running(commit->domain) &&
                        (!job_remember(commit->job, MEMORY_PAUSED, "true", error) ||
                                        virDomainSuspend(commit->domain) < 0)) {
                if (!*error)
                        backend_error_set(error, "Failed to pause '%s'",
                                        virDomainGetName(commit->domain));
                return false;
        }
        ok = virDomainBlockJobAbort(
                             commit->domain, commit->target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT) == 0;
        if (!ok) {
                backend_error_set(error, "Failed to switch disk %s over", commit->target);
                block_commit_let_go_on(commit->job, commit->domain);
                return false;
        }
        /* The definition, before the guest writes to the other image. */
        ok = libvirt_files_sync(commit->domain, error);
        block_commit_let_go_on(commit->job, commit->domain);
        return ok;
}

/* Of a merge that an earlier daemon began, or that failed half-way: the images show the same
 * without it. Jobs of others are theirs. */
static bool end_job(const Commit *commit, GError **error) {
        virDomainBlockJobInfo info;

        if (!guest_disks_check(commit->domain, error))
                return false;
        if (virDomainGetBlockJobInfo(commit->domain, commit->target, &info, 0) == 1 &&
                        (info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT ||
                                        info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT))
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
