/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* IVMVirtualPC::CreateDynamicVirtualHardDisk, CreateFixedVirtualHardDisk and
 * CreateDifferencingVirtualHardDisk; IVMHardDisk::Convert and MergeTo, which make a copy of what
 * the guest of an image sees. The image that is copied stays as it is, and QEMU's lock keeps guests
 * from changing it meanwhile. A process of the caller makes the image beside its place
 * (bundle/image-create.c); cancelled or interrupted, it leaves nothing. */

#include <syslog.h>

#include "backend/backend.h"
#include "bus/bus-path.h"
#include "disk/image-child.h"
#include "harddisk/create-request.h"
#include "harddisk/operations.h"
#include "image/image-facts.h"
#include "jobs/job.h"

#define MEMORY_PARTIAL "Partial"
#define RESULT_FILE    "ImagePath"

static void make_plan(const Layout *layout, const Job *job, const char *partial, ImagePlan *ret) {
        const CreateRequest *request = job->request;

        image_plan_init(ret, layout, job->caller, request->path);
        if (request->parent)
                image_plan_add(ret, layout, "parent", request->parent);
        if (request->common.file)
                image_plan_add(ret, layout, "source", request->common.file);
        json_object_set_string_member(ret->object, "partial", partial);
}

static void describe(const CreateRequest *request, JsonObject *plan) {
        json_object_set_string_member(plan, "format", image_format_name(request->format));
        json_object_set_int_member(plan, "size", (gint64) request->size);
        json_object_set_boolean_member(plan, "fixed", request->fixed);
        if (request->parent_format)
                json_object_set_string_member(plan, "parent_format", request->parent_format);
        if (request->common.file_format)
                json_object_set_string_member(plan, "source_format", request->common.file_format);
        json_object_set_boolean_member(plan, "merges", request->merges);
        if (request->backing)
                json_object_set_string_member(plan, "backing", request->backing);
}

static bool read_layout(const Job *job, Layout *ret, GError **error) {
        g_autoptr(virConnect) connection = backend_lend(job->backend, BACKEND_LONG, error);

        if (!connection)
                return false;
        layout_of_connection(connection, ret);
        return true;
}

/* The chain is taken. */
static void take_result(Job *job, GPtrArray *chain) {
        const ImageFacts *facts = chain->pdata[0];

        job_result(job, RESULT_FILE, facts->path);
        job->result_object = bus_path_hard_disk(facts->path);
        job->images = chain;
}

/* A child that was not killed has done it already. */
static void discard(Job *job, const ImagePlan *plan) {
        g_autoptr(GError) error = NULL;

        if (!image_child_remove(job, plan, &error))
                job_log(job, LOG_WARNING, "What is left of the image stays: %s", error->message);
}

/* The child was killed, perhaps after its work was done. NULL if there is nothing, as there is
 * then.
 */
static GPtrArray *find_made(Job *job, const ImagePlan *plan) {
        discard(job, plan);
        return image_child_read(job, plan, NULL);
}

static bool create_run(Job *job, GError **error) {
        g_autofree char *random = g_uuid_string_random();
        g_autofree char *partial = g_strconcat(IMAGE_PARTIAL, random, NULL);
        g_auto(ImagePlan) plan = {0};
        g_auto(Layout) layout = {0};
        g_autoptr(GError) cause = NULL;
        GPtrArray *chain;

        if (!read_layout(job, &layout, error) || !job_remember(job, MEMORY_PARTIAL, partial, error))
                return false;
        make_plan(&layout, job, partial, &plan);
        describe(job->request, plan.object);
        chain = image_child_create(job, &plan, &cause) ?: find_made(job, &plan);
        if (chain)
                take_result(job, chain);
        else
                g_propagate_error(error, g_steal_pointer(&cause));
        return chain;
}

/* The child has died with the daemon. */
static bool create_settle(Job *job, GError **error) {
        const char *partial = job_recall(job, MEMORY_PARTIAL);
        g_auto(ImagePlan) plan = {0};
        g_auto(Layout) layout = {0};
        GPtrArray *chain = NULL;

        if (!read_layout(job, &layout, error))
                return false;
        if (partial) {
                make_plan(&layout, job, partial, &plan);
                chain = find_made(job, &plan);
        }
        if (chain)
                take_result(job, chain);
        else
                g_set_error_literal(error, VIRTASK_ERROR, VIRTASK_ERROR_SERVICE_RESTARTED,
                                "The service was interrupted while it made the hard disk");
        return chain;
}

/* The documents count storage jobs on their own (1: "create virtual hard disk"), so that their
 * numbers would mean something else as a JobType: it is 0, "unknown". */
/* clang-format off */
#define CREATE_COMMON                                                                        \
                .action = "org.virtask1.storage",                                            \
                .job_type = 0,                                                               \
                .flags = OPERATION_CANCELLABLE | OPERATION_DURABLE | OPERATION_ENDS_WITH_US | \
                         OPERATION_SHARED,                                                   \
                .lane = LANE_DISK,                                                           \
                .request_size = sizeof(CreateRequest),                                       \
                .request_store = create_request_store,                                       \
                .request_load = create_request_load,                                         \
                .request_clear = create_request_clear,                                       \
                .run = create_run,                                                           \
                .settle = create_settle,                                                     \
                .progress = job_counted
/* clang-format on */

const Operation operation_create_dynamic = {
                .name = "disk-create-dynamic",
                .interface = "Manager",
                .gerund = "Creating a hard disk",
                .member = "CreateDynamicVirtualHardDisk",
                .signature = "sta{sv}",
                .argument_names = "image_path\0size_mb\0options\0task\0",
                .parse = create_request_parse_dynamic,
                CREATE_COMMON,
};

const Operation operation_create_fixed = {
                .name = "disk-create-fixed",
                .interface = "Manager",
                .gerund = "Creating a hard disk",
                .member = "CreateFixedVirtualHardDisk",
                .signature = "sta{sv}",
                .argument_names = "image_path\0size_mb\0options\0task\0",
                .parse = create_request_parse_fixed,
                CREATE_COMMON,
};

const Operation operation_create_differencing = {
                .name = "disk-create-differencing",
                .interface = "Manager",
                .gerund = "Creating a hard disk",
                .member = "CreateDifferencingVirtualHardDisk",
                .signature = "ssa{sv}",
                .argument_names = "image_path\0parent_path\0options\0task\0",
                .parse = create_request_parse_differencing,
                CREATE_COMMON,
};

const Operation operation_disk_convert = {
                .name = "disk-convert",
                .interface = "HardDisk",
                .member = "Convert",
                .gerund = "Converting a hard disk",
                .signature = "sua{sv}",
                .argument_names = "converted_disk_image_path\0converted_disk_image_type\0options\0"
                                  "task\0",
                .parse = create_request_parse_convert,
                CREATE_COMMON,
};

const Operation operation_disk_merge_to = {
                .name = "disk-merge-to",
                .interface = "HardDisk",
                .member = "MergeTo",
                .gerund = "Merging hard disks",
                .signature = "sua{sv}",
                .argument_names = "new_disk_image_path\0new_disk_image_type\0options\0task\0",
                .parse = create_request_parse_merge_to,
                CREATE_COMMON,
};
