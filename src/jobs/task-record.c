/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A task in the ledger: a key file with what a client may still read of it, and with what settle()
 * needs to find out what became of an unfinished one. Only our own daemon writes these files, into
 * a directory that nobody else may enter; still a record that makes no sense is dropped and not
 * believed. Loop. */

#include "jobs/task-list.h"
#include "jobs/task.h"

#define GROUP         "Task"
#define RESULTS_GROUP "Results"

static void store_outcome(const Task *task, GKeyFile *record) {
        GHashTableIter iter;
        void *key, *value;

        g_key_file_set_int64(record, GROUP, "Finished", task->finished);
        if (task->error) {
                g_key_file_set_string(record, GROUP, "Error", error_info_of(task->error)->name);
                g_key_file_set_string(record, GROUP, "Message", task->error->message);
        }
        g_hash_table_iter_init(&iter, task->results);
        while (g_hash_table_iter_next(&iter, &key, &value))
                g_key_file_set_string(record, RESULTS_GROUP, key, value);
}

static void store_request(const Task *task, GKeyFile *record) {
        const Request *request = task->job->request;

        g_key_file_set_string(record, GROUP, "Machine", task->job->uuid);
        if (request && request->snapshot)
                g_key_file_set_string(record, GROUP, "Snapshot", request->snapshot);
        if (request && request->collection)
                g_key_file_set_string(record, GROUP, "Collection", request->collection);
        if (request && request->file)
                g_key_file_set_string(record, GROUP, "File", request->file);
        if (task->operation->request_store)
                task->operation->request_store(request, record);
}

/* Zero is what a missing key reads as, and a new task is mostly zeros. */
static void set_number(GKeyFile *record, const char *key, uint64_t value) {
        if (value)
                g_key_file_set_uint64(record, GROUP, key, value);
}

static void store_parts(const Task *task, GKeyFile *record) {
        const GArray *ids = task->part_ids;

        if (ids && ids->len > 0)
                g_key_file_set_integer_list(
                                record, GROUP, "Parts", (int *) (void *) ids->data, ids->len);
}

static void load_parts(Task *task, GKeyFile *record) {
        gsize length = 0;
        g_autofree int *ids = g_key_file_get_integer_list(record, GROUP, "Parts", &length, NULL);

        task->whole_id = (uint32_t) g_key_file_get_uint64(record, GROUP, "Parent", NULL);
        if (ids) {
                task->part_ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
                g_array_append_vals(task->part_ids, ids, (guint) length);
        }
}

GKeyFile *task_store(const Task *task) {
        GKeyFile *record = g_key_file_new();

        g_key_file_set_string(record, GROUP, "Operation", task->operation->name);
        g_key_file_set_string(record, GROUP, "Object", task->object);
        g_key_file_set_string(record, GROUP, "Description", task->description);
        g_key_file_set_string(record, GROUP, "OwnerName", task->owner_name);
        set_number(record, "Owner", task->owner);
        set_number(record, "Parent", task->whole_id);
        store_parts(task, record);
        set_number(record, "Submitted", (uint64_t) task->submitted);
        set_number(record, "Started", (uint64_t) task->started);
        set_number(record, "FromSaved", task->from_saved);
        set_number(record, "Restores", task->restores);
        set_number(record, "Keep", task->keep);
        set_number(record, "Killed", task->killed);
        set_number(record, "Percent", task->percent);
        set_number(record, "ProgressValid", task->progress_valid);
        set_number(record, "BytesTotal", task->bytes_total);
        set_number(record, "BytesDone", task->bytes_done);
        if (task->machine_name)
                g_key_file_set_string(record, GROUP, "MachineName", task->machine_name);
        if (task->result_object)
                g_key_file_set_string(record, GROUP, "ResultObject", task->result_object);
        if (task_is_complete(task))
                store_outcome(task, record);
        else
                store_request(task, record);
        return record;
}

static const Operation *find_operation(const Operation *const *operations, const char *name) {
        for (; *operations; operations++)
                if (name && g_str_equal((*operations)->name, name))
                        return *operations;
        return NULL;
}

static char *get_string(GKeyFile *record, const char *key) {
        return g_key_file_get_string(record, GROUP, key, NULL);
}

static void load_texts(GKeyFile *record, const char *group, GHashTable *texts) {
        g_auto(GStrv) keys = g_key_file_get_keys(record, group, NULL, NULL);

        for (unsigned i = 0; keys && keys[i]; i++)
                g_hash_table_insert(texts, g_strdup(keys[i]),
                                g_key_file_get_string(record, group, keys[i], NULL));
}

static void load_outcome(Task *task, GKeyFile *record) {
        g_autofree char *name = get_string(record, "Error");
        g_autofree char *message = get_string(record, "Message");

        task->finished = g_key_file_get_int64(record, GROUP, "Finished", NULL);
        task->state_changed = task->finished;
        if (name)
                task->error = g_error_new_literal(
                                VIRTASK_ERROR, (int) error_find(name), message ?: "");
        task->state = task_end_state(task->error);
        task->results = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        load_texts(record, RESULTS_GROUP, task->results);
}

static void load_unfinished(Task *task, GKeyFile *record) {
        const Operation *operation = task->operation;
        Request *request = operation->request_size ? g_malloc0(operation->request_size) : NULL;
        g_autofree char *machine = get_string(record, "Machine");

        if (request && operation->request_load)
                operation->request_load(request, record);
        if (request) {
                request->snapshot = get_string(record, "Snapshot");
                request->collection = get_string(record, "Collection");
                request->file = get_string(record, "File");
        }
        task->state = TASK_WAITING;
        task->state_changed = task->submitted;
        task->job = task_list_make_job(task->list, task, JOB_SETTLE, machine ?: "", NULL, request);
        load_texts(record, LEDGER_MEMORY, task->job->memory);
        task->job->memory_lost = g_key_file_has_group(record, LEDGER_MEMORY_LOST);
}

Task *task_load(TaskList *list, uint32_t id, GKeyFile *record, const Operation *const *operations) {
        g_autofree char *name = get_string(record, "Operation");
        const Operation *operation = find_operation(operations, name);
        g_autofree char *object = get_string(record, "Object");
        g_autofree char *description = get_string(record, "Description");
        g_autofree char *owner_name = get_string(record, "OwnerName");
        g_autofree char *result_object = get_string(record, "ResultObject");
        guint64 owner = g_key_file_get_uint64(record, GROUP, "Owner", NULL);
        Task *task;

        if (!operation || !object || !sd_bus_object_path_is_valid(object) || !description ||
                        !owner_name)
                return NULL;
        if (result_object && !sd_bus_object_path_is_valid(result_object))
                return NULL;

        task = task_alloc(list, id, operation, (uid_t) owner);
        task->object = g_steal_pointer(&object);
        task->description = g_steal_pointer(&description);
        task->owner_name = g_steal_pointer(&owner_name);
        task->machine_name = get_string(record, "MachineName");
        task->result_object = g_steal_pointer(&result_object);
        task->submitted = g_key_file_get_int64(record, GROUP, "Submitted", NULL);
        task->started = g_key_file_get_int64(record, GROUP, "Started", NULL);
        task->from_saved = g_key_file_get_boolean(record, GROUP, "FromSaved", NULL);
        task->restores = g_key_file_get_boolean(record, GROUP, "Restores", NULL);
        task->keep = g_key_file_get_boolean(record, GROUP, "Keep", NULL);
        task->killed = g_key_file_get_boolean(record, GROUP, "Killed", NULL);
        task->percent = MIN((unsigned) g_key_file_get_uint64(record, GROUP, "Percent", NULL), 100);
        task->progress_valid = g_key_file_get_boolean(record, GROUP, "ProgressValid", NULL);
        task->bytes_total = g_key_file_get_uint64(record, GROUP, "BytesTotal", NULL);
        task->bytes_done = g_key_file_get_uint64(record, GROUP, "BytesDone", NULL);
        load_parts(task, record);
        if (g_key_file_has_key(record, GROUP, "Finished", NULL))
                load_outcome(task, record);
        else
                load_unfinished(task, record);
        return task;
}
