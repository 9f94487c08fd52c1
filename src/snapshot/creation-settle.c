/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The end of a creation that was interrupted. */

#include <string.h>

#include "backend/saved-image.h"
#include "disk/image.h"
#include "snapshot/creation-internal.h"
#include "snapshot/creation.h"
#include "snapshot/libvirt-files.h"
#include "snapshot/tree.h"

#define LOOK_MSEC  100
#define IDLE_LOOKS 5 /* without a job, before a snapshot that is not there counts as not made */

/* Before it is thawed: the agent of a guest that is stopped does not answer. Who paused it by
 * himself, shall find it paused; libvirt calls that and what we do the same. */
static void wake(Job *job, virDomainPtr domain) {
        int state, reason;

        if (!job_recall(job, MEMORY_WAS_RUNNING) ||
                        virDomainGetState(domain, &state, &reason, 0) < 0 ||
                        state != VIR_DOMAIN_PAUSED || reason == VIR_DOMAIN_PAUSED_IOERROR ||
                        (reason == VIR_DOMAIN_PAUSED_USER && !job_recall(job, MEMORY_STOPS)))
                return;
        (void) virDomainResume(domain);
}

const char *creation_recall(const Job *job) {
        return job_recall(job, MEMORY_ID);
}

void creation_wake(Job *job) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        if (job_recall(job, MEMORY_ID) &&
                        backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, NULL))
                wake(job, loan.domain);
}

/* Others may have taken a snapshot since, and the disk be an overlay of theirs on top of ours. */
static bool rests_on(const Disk *disk, const char *overlay) {
        g_autoptr(GPtrArray) chain = NULL;

        if (g_strcmp0(disk->path, overlay) == 0)
                return true;
        if (!disk_is_snapshottable(disk) || g_strcmp0(disk->format, "qcow2") != 0)
                return false;
        chain = image_chain_read(disk->path, disk->format, NULL);
        for (unsigned i = 0; chain && i < chain->len; i++)
                if (g_str_equal(((const ImageInfo *) chain->pdata[i])->path, overlay))
                        return true;
        return false;
}

/* libvirt knows the snapshot before it is made. And it writes the definition first, but a file
 * system that does not keep the order may have lost that in a power cut, and not the snapshot. */
static bool rests_on_overlays(const Job *job, virDomainPtr domain) {
        g_auto(GStrv) paths = g_strsplit(job_recall(job, MEMORY_OVERLAYS) ?: "", "\n", -1);
        g_autofree char *definition = snapshot_tree_definition(domain, true, NULL);
        g_autoptr(DiskSet) disks = definition ? disk_set_parse(definition, NULL) : NULL;
        unsigned found = 0;

        for (unsigned i = 0; disks && paths[i]; i++) {
                bool rests = false;

                for (unsigned j = 0; !rests && j < disks->disks->len; j++)
                        rests = rests_on(disks->disks->pdata[j], paths[i]);
                found += rests;
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
                if (creation_exists(domain, id) && rests_on_overlays(job, domain) &&
                                !is_memory_lost(domain, id))
                        return true;
                if (creation_is_under_way(domain))
                        idle = 0;
                job_wait(job, LOOK_MSEC);
        }
        return false;
}

static void remove_description(virDomainPtr domain, const char *id) {
        g_autoptr(virDomainSnapshot) snapshot = virDomainSnapshotLookupByName(domain, id, 0);

        if (snapshot)
                (void) virDomainSnapshotDelete(snapshot, VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY);
}

static bool remove_half(Job *job,
                const SnapshotRequest *request,
                virDomainPtr domain,
                const char *id,
                GError **error) {
        if (!creation_thaw_guest(job, request, domain, id, error))
                return false;
        remove_description(domain, id);
        creation_forget(domain, id);
        libvirt_files_align_saved_state(domain);
        return creation_remove_overlays(job, domain, error);
}

bool creation_settle(Job *job, const SnapshotRequest *request, unsigned flags, GError **error) {
        const char *id = job_recall(job, MEMORY_ID);
        g_auto(BackendDomain) loan = {NULL, 0, NULL};
        bool made;

        if (!backend_open_domain(job->backend, BACKEND_LONG, job->uuid, &loan, error))
                return false;
        libvirt_files_tidy(loan.domain);
        made = id && is_made(job, loan.domain, id);
        if (id)
                wake(job, loan.domain);
        if (made) {
                /* Its saved state was pointed to the overlays before, and not synced. */
                libvirt_files_align_saved_state(loan.domain);
                return creation_thaw_guest(job, request, loan.domain, id, error) &&
                       creation_conclude_taken(job, request, loan.domain, id, flags, error);
        }
        if (id && !remove_half(job, request, loan.domain, id, error))
                return false;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                        "Taking a snapshot of '%s' was interrupted; nothing has changed",
                        virDomainGetName(loan.domain));
        return false;
}

bool creation_whole_settle(Job *job, GError **error) {
        return creation_settle(job, job->request, 0, error);
}
