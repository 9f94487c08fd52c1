/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Manager.GetHardDisk: IVMVirtualPC::GetHardDisk. An image of a machine is no secret, and is read
 * anew by ourselves. An image in a directory of the service is the service's: polkit is asked. Any
 * other is opened by a process of the caller, so that he learns nothing that he could not find out
 * alone. It takes a moment, or as long as a file system hangs: a worker does it, and what one user
 * can have done at a time is limited. */

#include "backend/layout.h"
#include "bus/bus-error.h"
#include "disk/image-child.h"
#include "disk/image-directories.h"
#include "disk/machine-images.h"
#include "service/hard-disk.h"
#include "util/error.h"
#include "util/path.h"

#define LOOKUPS_PER_USER 4U
#define LOOKUPS          12U

typedef struct Lookup {
        PoolWork work;
        Manager *manager;
        sd_bus_message *call;
        uid_t uid;
        char *file;
        char *format; /* of an image of a machine; NULL: of another one */
        GPtrArray *chain;
        GError *error;
} Lookup;

/* Worker. */
static void lookup_run(void *data) {
        Lookup *lookup = data;
        g_auto(ImagePlan) plan = {0};
        g_auto(Layout) layout = {0};

        if (lookup->format) {
                lookup->chain = machine_images_read_chain(
                                lookup->file, lookup->format, &lookup->error);
                return;
        }
        layout_of_uri(lookup->manager->uri, &layout);
        image_plan_init(&plan, &layout, lookup->uid, lookup->file);
        lookup->chain = image_child_read(NULL, &plan, &lookup->error);
}

static void lookup_done(void *data) {
        Lookup *lookup = data;
        const char *path = NULL;

        g_queue_remove(&lookup->manager->disk_lookups, lookup);
        if (lookup->chain)
                path = hard_disk_hold(lookup->manager, lookup->chain, lookup->uid, lookup->call,
                                &lookup->error);
        if (path)
                (void) sd_bus_reply_method_return(lookup->call, "o", path);
        else
                (void) bus_reply_error(lookup->call, lookup->error);
        g_clear_error(&lookup->error);
        g_clear_pointer(&lookup->chain, g_ptr_array_unref);
        sd_bus_message_unref(lookup->call);
        g_free(lookup->format);
        g_free(lookup->file);
        g_free(lookup);
}

static bool check_limits(Manager *manager, uid_t uid, GError **error) {
        unsigned own = 0;

        for (GList *link = manager->disk_lookups.head; link; link = link->next)
                own += ((Lookup *) link->data)->uid == uid;
        return (own < LOOKUPS_PER_USER && g_queue_get_length(&manager->disk_lookups) < LOOKUPS) ||
               error_fail(VIRTASK_ERROR_LIMITS_EXCEEDED, error,
                               "Too many images are being looked at, try again");
}

/* The image of a machine that has this name; NULL if it is none. */
static const HardDisk *find_of_machine(Manager *manager, const char *file) {
        const HardDisk *disk = hard_disk_of_file(manager, file);

        return disk && g_hash_table_size(disk->machines) > 0 ? disk : NULL;
}

static Verdict authorize(Manager *manager, sd_bus_message *call, const char *file, GError **error) {
        const char *details[] = {"operation", "disk-get", "vm", "*new*", NULL};
        g_auto(Layout) layout = {0};

        layout_of_uri(manager->uri, &layout);
        if (!image_directories_have(&layout, file))
                return VERDICT_ALLOWED;
        return authorizer_check(manager->authorizer, call, "org.virtask1.storage", details, error);
}

static void begin(Manager *manager, sd_bus_message *call, const char *file, uid_t uid) {
        const HardDisk *known = find_of_machine(manager, file);
        Lookup *lookup = g_new0(Lookup, 1);

        lookup->manager = manager;
        lookup->call = sd_bus_message_ref(call);
        lookup->uid = uid;
        lookup->file = g_strdup(file);
        lookup->format = known ? g_strdup(known->facts->format) : NULL;
        lookup->work = (PoolWork){.run = lookup_run, .done = lookup_done, .data = lookup};
        g_queue_push_tail(&manager->disk_lookups, lookup);
        pool_submit(manager->pool, LANE_QUERY, &lookup->work);
}

int hard_disk_method_get(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        Manager *manager = userdata;
        Verdict verdict = VERDICT_DENIED;
        GError *error = NULL;
        const char *file;
        uid_t uid;
        int r = sd_bus_message_read(call, "s", &file);

        if (r < 0)
                return r;
        if (path_check(file, &error) && peer_uid(manager->peers, call, &uid, &error) &&
                        check_limits(manager, uid, &error))
                verdict = find_of_machine(manager, file) ? VERDICT_ALLOWED
                                                         : authorize(manager, call, file, &error);
        if (verdict == VERDICT_DENIED)
                return bus_error_take(ret_error, error);
        if (verdict == VERDICT_ALLOWED)
                begin(manager, call, file, uid);
        return 1;
}
