/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Images that no machine has are on the bus for somebody: for a caller of GetHardDisk while he is
 * on the bus, and for those who look at the result of a task. Both have some time more, as long as
 * a task is remembered: "busctl" has left the bus before it prints the path. What one user can have
 * there is limited. */

#include "bus/bus-path.h"
#include "bus/peer.h"
#include "service/hard-disk.h"
#include "util/error.h"

#define HOLDS_PER_USER 64U
#define HOLDS_ROOT     256U

typedef struct HardDiskHold {
        Manager *manager;
        uid_t uid;
        char *sender;     /* NULL: nobody, any more */
        GPtrArray *disks; /* of HardDisk, the image itself first */
        PeerWatch *watch;
        sd_event_source *expiry;
} HardDiskHold;

static void hold_free(HardDiskHold *hold) {
        peer_watch_free(hold->watch);
        sd_event_source_disable_unref(hold->expiry);
        g_ptr_array_unref(hold->disks);
        g_free(hold->sender);
        g_free(hold);
}

/* The image before what it rests on. */
static void release(HardDiskHold *hold) {
        g_queue_remove(&hold->manager->disk_holds, hold);
        for (unsigned i = 0; i < hold->disks->len; i++) {
                HardDisk *disk = hold->disks->pdata[i];

                disk->holds--;
                hard_disk_drop_unused(disk);
        }
        hold_free(hold);
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *userdata) {
        release(userdata);
        return 0;
}

static void begin_expiry(HardDiskHold *hold) {
        Manager *manager = hold->manager;
        uint64_t time = (uint64_t) manager->config.task_retention_sec * G_USEC_PER_SEC;

        g_clear_pointer(&hold->sender, g_free);
        (void) sd_event_add_time_relative(
                        manager->event, &hold->expiry, CLOCK_MONOTONIC, time, 0, on_expiry, hold);
}

static void on_peer_gone(void *userdata) {
        begin_expiry(userdata);
}

/* Whoever asks again has what he holds already. */
static HardDiskHold *find(const Manager *manager, const char *sender, const char *path) {
        for (GList *link = manager->disk_holds.head; link; link = link->next) {
                HardDiskHold *hold = link->data;
                const HardDisk *disk = hold->disks->pdata[0];

                if (g_strcmp0(hold->sender, sender) == 0 && g_str_equal(disk->path, path))
                        return hold;
        }
        return NULL;
}

/* The oldest that nobody has any more; NULL if there is none. */
static HardDiskHold *find_expiring(const Manager *manager, uid_t uid) {
        for (GList *link = manager->disk_holds.head; link; link = link->next) {
                HardDiskHold *hold = link->data;

                if (hold->uid == uid && !hold->sender)
                        return hold;
        }
        return NULL;
}

static bool make_room(Manager *manager, uid_t uid, GError **error) {
        unsigned limit = uid == 0 ? HOLDS_ROOT : HOLDS_PER_USER, own = 0;
        HardDiskHold *expiring;

        for (GList *link = manager->disk_holds.head; link; link = link->next)
                own += ((HardDiskHold *) link->data)->uid == uid;
        if (own < limit)
                return true;
        expiring = find_expiring(manager, uid);
        if (!expiring)
                return error_fail(VIRTASK_ERROR_LIMITS_EXCEEDED, error,
                                "The user holds %u hard disks, more are not allowed", own);
        release(expiring);
        return true;
}

/* The root first, so that each has its parent when it is announced. */
static void take_chain(HardDiskHold *hold, const GPtrArray *chain) {
        for (unsigned i = chain->len; i-- > 0;) {
                HardDisk *disk = hard_disk_take(hold->manager, chain->pdata[i]);

                disk->holds++;
                g_ptr_array_insert(hold->disks, 0, disk);
        }
}

const char *hard_disk_hold(Manager *manager,
                const GPtrArray *chain,
                uid_t uid,
                sd_bus_message *call,
                GError **error) {
        g_autofree char *path = bus_path_hard_disk(((ImageFacts *) chain->pdata[0])->path);
        const char *sender = call ? sd_bus_message_get_sender(call) : NULL;
        HardDiskHold *before = sender ? find(manager, sender, path) : NULL, *hold;

        /* The result of a task is there in any case. */
        if (!before && !make_room(manager, uid, call ? error : NULL) && call)
                return NULL;
        hold = g_new0(HardDiskHold, 1);
        hold->manager = manager;
        hold->uid = uid;
        hold->sender = g_strdup(sender);
        hold->disks = g_ptr_array_new();
        if (call && !(hold->watch = peer_watch_new(manager->peers, call, on_peer_gone, hold))) {
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_ACCESS_DENIED,
                                "The caller has left");
                hold_free(hold);
                return NULL;
        }
        take_chain(hold, chain);
        if (before)
                release(before);
        g_queue_push_tail(&manager->disk_holds, hold);
        if (!call)
                begin_expiry(hold);
        return ((HardDisk *) hold->disks->pdata[0])->path;
}

bool hard_disk_is_held_by(const HardDisk *disk, uid_t uid) {
        for (GList *link = disk->manager->disk_holds.head; link; link = link->next) {
                const HardDiskHold *hold = link->data;

                if (hold->uid == uid && g_ptr_array_find(hold->disks, disk, NULL))
                        return true;
        }
        return false;
}

void hard_disk_release_all(Manager *manager) {
        HardDiskHold *hold;

        while ((hold = g_queue_pop_head(&manager->disk_holds)))
                hold_free(hold);
}
