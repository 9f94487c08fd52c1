/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What changes a collection and no machine: Msvm_CollectionManagementService. */

#include "bus/bus-path.h"
#include "collection/operations.h"
#include "collection/store.h"
#include "jobs/job.h"
#include "util/name.h"

#define COLLECTIONS_MAX 256U

typedef struct DefineRequest {
        Request common;
        char *name;
        char *id; /* NULL: a new one */
        CollectionKind kind;
} DefineRequest;

static bool read_name(sd_bus_message *call, char **ret, GError **error) {
        const char *name;

        if (sd_bus_message_read(call, "s", &name) < 0) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The name can not be read");
                return false;
        }
        *ret = g_strdup(name);
        return name_check(name, error);
}

static bool define_parse(sd_bus_message *call, void *request, GError **error) {
        DefineRequest *own = request;
        const char *id;
        uint16_t type;

        own->common.queue = true; /* for others that change the same list */
        if (!read_name(call, &own->name, error))
                return false;
        if (sd_bus_message_read(call, "sq", &id, &type) < 0 || type > COLLECTION_OF_COLLECTIONS) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "The type must be 0 (machines) or 1 (collections)");
                return false;
        }
        own->kind = (CollectionKind) type;
        own->id = *id ? g_strdup(id) : NULL;
        return (!own->id || collection_id_check(own->id, error)) &&
               bus_options_read(call, NULL, NULL, request, error);
}

static void define_clear(void *request) {
        DefineRequest *own = request;

        g_free(own->name);
        g_free(own->id);
}

static bool check_room(const GPtrArray *all, const char *id, GError **error) {
        unsigned count = 0;

        for (unsigned i = 0; i < all->len; i++) {
                const Collection *other = all->pdata[i];

                count += !collection_is_group(other);
                if (g_strcmp0(other->id, id) != 0)
                        continue;
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_DUPLICATE_NAME,
                                "There is a collection with this ID already");
                return false;
        }
        if (count < COLLECTIONS_MAX)
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_LIMITS_EXCEEDED,
                        "There are %u collections, more are not allowed", count);
        return false;
}

static bool define_run(Job *job, GError **error) {
        const DefineRequest *request = job->request;
        g_autoptr(GPtrArray) all = collection_store_list(job->collections);
        g_autoptr(Collection) collection = NULL;

        if (!check_room(all, request->id, error))
                return false;
        collection = collection_new(request->kind, request->id, request->name);
        if (!collection_store_put(job->collections, collection, error))
                return false;
        job->result_object = bus_path_collection(collection->id);
        return true;
}

const Operation operation_collection_define = {
                .name = "collection-define",
                .interface = "Manager",
                .member = "DefineCollection",
                .signature = "ssqa{sv}",
                .argument_names = "name\0id\0type\0options\0collection\0",
                .action = "org.virtask1.configure",
                .gerund = "Defining a collection",
                .job_type = 190,
                .flags = OPERATION_IMMEDIATE | OPERATION_ANSWERS_OBJECT,
                .lane = LANE_SHORT,
                .request_size = sizeof(DefineRequest),
                .parse = define_parse,
                .request_clear = define_clear,
                .run = define_run,
};

static Collection *copy_to_change(Job *job, GError **error) {
        const Request *request = job->request;
        g_autoptr(Collection) now =
                        collection_store_find(job->collections, request->collection, error);

        return now ? collection_copy(now) : NULL;
}

/* Members */

typedef struct MemberRequest {
        Request common;
        char uuid[UUID_STRING_SIZE];
        bool is_machine;
} MemberRequest;

static bool member_parse(sd_bus_message *call, void *request, GError **error) {
        MemberRequest *own = request;
        const char *path;

        if (sd_bus_message_read(call, "o", &path) >= 0) {
                own->is_machine = bus_path_to_machine(path, own->uuid);
                if (own->is_machine || bus_path_to_collection(path, own->uuid))
                        return true;
        }
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "A member is a virtual machine or a collection");
        return false;
}

/* Whether the collection "id" is, or holds, the one with "wanted". */
static bool reaches(CollectionStore *store, const char *id, const char *wanted) {
        g_autoptr(Collection) collection = NULL;

        if (g_str_equal(id, wanted))
                return true;
        collection = collection_store_find(store, id, NULL);
        if (!collection || collection->kind != COLLECTION_OF_COLLECTIONS)
                return false;
        for (unsigned i = 0; i < collection->members->len; i++)
                if (reaches(store, ((CollectionMember *) collection->members->pdata[i])->uuid,
                                    wanted))
                        return true;
        return false;
}

static bool check_machine(Job *job, const char *uuid, GError **error) {
        g_auto(BackendDomain) loan = {NULL, 0, NULL};

        return backend_open_domain(job->backend, BACKEND_SHORT, uuid, &loan, error);
}

static bool check_member(Job *job, const Collection *collection, GError **error) {
        const MemberRequest *request = job->request;
        bool of_machines = collection->kind == COLLECTION_OF_MACHINES;
        g_autoptr(Collection) member = NULL;

        if (request->is_machine != of_machines) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                                "'%s' is a collection of %s", collection->name,
                                of_machines ? "virtual machines" : "collections");
                return false;
        }
        if (collection->members->len >= COLLECTION_MEMBERS_MAX) {
                g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_LIMITS_EXCEEDED,
                                "A collection has at most %u members", COLLECTION_MEMBERS_MAX);
                return false;
        }
        if (of_machines)
                return check_machine(job, request->uuid, error);
        member = collection_store_find(job->collections, request->uuid, error);
        if (!member)
                return false;
        if (!reaches(job->collections, member->id, collection->id))
                return true;
        g_set_error(error, VIRTASK_ERROR, VIRTASK_ERROR_INVALID_ARGUMENT,
                        "'%s' would contain itself", collection->name);
        return false;
}

static bool add_member_run(Job *job, GError **error) {
        const MemberRequest *request = job->request;
        g_autoptr(Collection) changed = copy_to_change(job, error);

        if (!changed)
                return false;
        if (collection_has(changed, request->uuid))
                return true;
        if (!check_member(job, changed, error))
                return false;
        collection_add(changed, request->uuid, NULL);
        return collection_store_put(job->collections, changed, error);
}

static bool remove_member_run(Job *job, GError **error) {
        const MemberRequest *request = job->request;
        g_autoptr(Collection) changed = copy_to_change(job, error);

        if (!changed)
                return false;
        if (!collection_has(changed, request->uuid))
                return true;
        collection_remove(changed, request->uuid);
        return collection_store_put(job->collections, changed, error);
}

/* clang-format off */
#define MEMBER_COMMON                                           \
                .interface = "Collection",                      \
                .signature = "o",                               \
                .argument_names = "member\0",                   \
                .action = "org.virtask1.configure",             \
                .flags = OPERATION_IMMEDIATE,                   \
                .lane = LANE_SHORT,                             \
                .request_size = sizeof(MemberRequest),          \
                .parse = member_parse
/* clang-format on */

const Operation operation_collection_add_member = {
                .name = "collection-add-member",
                .member = "AddMember",
                .gerund = "Adding a member to",
                .job_type = 193,
                .run = add_member_run,
                MEMBER_COMMON,
};

const Operation operation_collection_remove_member = {
                .name = "collection-remove-member",
                .member = "RemoveMember",
                .gerund = "Removing a member from",
                .job_type = 194,
                .run = remove_member_run,
                MEMBER_COMMON,
};

/* The name, and the end */

typedef struct RenameRequest {
        Request common;
        char *name;
} RenameRequest;

static bool rename_parse(sd_bus_message *call, void *request, GError **error) {
        return read_name(call, &((RenameRequest *) request)->name, error);
}

static void rename_clear(void *request) {
        g_free(((RenameRequest *) request)->name);
}

static bool rename_run(Job *job, GError **error) {
        const RenameRequest *request = job->request;
        g_autoptr(Collection) changed = copy_to_change(job, error);

        if (!changed)
                return false;
        collection_rename(changed, request->name);
        return collection_store_put(job->collections, changed, error);
}

/* clang-format off */
#define RENAME_COMMON                                           \
                .member = "Rename",                             \
                .signature = "s",                               \
                .argument_names = "new_name\0",                 \
                .action = "org.virtask1.configure",             \
                .gerund = "Renaming",                           \
                .job_type = 192,                                \
                .flags = OPERATION_IMMEDIATE,                   \
                .lane = LANE_SHORT,                             \
                .request_size = sizeof(RenameRequest),          \
                .parse = rename_parse,                          \
                .request_clear = rename_clear,                  \
                .run = rename_run
/* clang-format on */

const Operation operation_collection_rename = {
                .name = "collection-rename",
                .interface = "Collection",
                RENAME_COMMON,
};

const Operation operation_group_rename = {
                .name = "group-rename",
                .interface = "SnapshotCollection",
                RENAME_COMMON,
};

static bool destroy_run(Job *job, GError **error) {
        const Request *request = job->request;

        return collection_store_remove(job->collections, request->collection, error);
}

const Operation operation_collection_destroy = {
                .name = "collection-destroy",
                .interface = "Collection",
                .member = "Destroy",
                .signature = "",
                .argument_names = "",
                .action = "org.virtask1.configure",
                .gerund = "Destroying",
                .job_type = 191,
                .flags = OPERATION_IMMEDIATE,
                .lane = LANE_SHORT,
                .request_size = sizeof(Request),
                .run = destroy_run,
};
